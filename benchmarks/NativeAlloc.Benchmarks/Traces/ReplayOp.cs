using System.Runtime.InteropServices;

namespace NativeAlloc.Benchmarks.Traces;

/// <summary>
/// What a <see cref="ReplayOp"/> does. The values are part of the layout that <c>replay.c</c> reads too.
/// </summary>
internal static class ReplayKind
{
    public const uint Malloc = 0;
    public const uint Free = 1;
    public const uint Calloc = 2;
    public const uint Realloc = 3;
    public const uint Aligned = 4;

    /// <summary>
    /// Frees a block that <see cref="Aligned"/> made. A trace does not tell the two frees apart, but
    /// <see cref="System.Runtime.InteropServices.NativeMemory"/> does, so the decoder notes which one it is.
    /// </summary>
    public const uint AlignedFree = 5;
}

/// <summary>
/// One decoded operation: 16 bytes, so that four fit a cache line and reading them costs next to nothing beside the
/// allocator calls they stand for.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ReplayOp
{
    public uint Kind;
    public uint Slot;
    public uint Size;

    /// <summary>In bytes; only meaningful for <see cref="ReplayKind.Aligned"/>.</summary>
    public uint Alignment;

    public static ReplayOp FreeOf(int slot, bool aligned) =>
        new() { Kind = aligned ? ReplayKind.AlignedFree : ReplayKind.Free, Slot = (uint)slot };
}
