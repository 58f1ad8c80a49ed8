namespace NativeAlloc;

/// <summary>What the heap of the process's C library has at one moment, all of its arenas together.</summary>
public readonly record struct NativeHeapFigures
{
    /// <summary>Bytes that the heap has of the system, but for blocks with a mapping of their own.</summary>
    public ulong SystemBytes { get; init; }

    /// <summary>Bytes of blocks that have a mapping of their own.</summary>
    public ulong MappedBytes { get; init; }

    /// <summary>How many blocks these are.</summary>
    public long MappedBlocks { get; init; }

    /// <summary>
    /// Bytes of <see cref="SystemBytes"/> that no block is in. After <see cref="NativeHeapReport.Trim"/> there is
    /// hardly any memory behind them, and glibc counts them still.
    /// </summary>
    public ulong FreeBytes { get; init; }

    /// <summary>Arenas, the parts that threads are spread over; 0 where it is not known.</summary>
    public int Arenas { get; init; }

    /// <summary>Bytes in blocks, with what glibc adds to each.</summary>
    public ulong LiveBytes => SystemBytes - Math.Min(SystemBytes, FreeBytes) + MappedBytes;

    /// <summary>The part of all that the heap has that no block is in, in percent.</summary>
    public double WastePercent => SystemBytes + MappedBytes == 0 ? 0 : 100.0 * FreeBytes / (SystemBytes + MappedBytes);
}
