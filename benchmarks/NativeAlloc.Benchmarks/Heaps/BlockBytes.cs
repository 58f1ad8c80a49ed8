using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>What workloads write to their blocks and read from them.</summary>
internal static class BlockBytes
{
    /// <summary>A system page: a byte in each makes a block resident.</summary>
    private const uint PageBytes = 4096;

    /// <summary>Writes the first byte and the last.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void TouchEnds(ref byte block, uint bytes)
    {
        block = 1;
        Unsafe.Add(ref block, bytes - 1) = 1;
    }

    /// <summary>Writes a byte every 4 KiB, beginning at an offset.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void TouchPages(ref byte block, uint bytes, uint offset = 0)
    {
        for (uint at = offset; at < bytes; at += PageBytes)
            Unsafe.Add(ref block, at) = 1;
    }

    /// <summary>Writes all of it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Fill(ref byte block, uint bytes, byte value) =>
        Unsafe.InitBlockUnaligned(ref block, value, bytes);

    /// <summary>Reads all of it, and tells whether it is what <see cref="Fill"/> wrote.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(ref byte block, uint bytes, byte value) =>
        !MemoryMarshal.CreateReadOnlySpan(ref block, (int)bytes).ContainsAnyExcept(value);
}
