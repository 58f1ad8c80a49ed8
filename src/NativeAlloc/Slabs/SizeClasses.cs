using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>
/// The sizes that slabs serve. Up to 128 B every multiple of 16; above, eight to a doubling, of which at most an
/// eighth was not asked for, the end of the slab included; the largest is 512 KiB, from where whole pages waste no
/// more. Classes are numbered from 1; 0 stands for "no class".
/// </summary>
/// <remarks>
/// Every class is a multiple of any power of two up to its distance from the next, so a size that was rounded up to a
/// multiple of an alignment has a class that is one too: <c>AlignedAlloc</c> needs no classes of its own.
/// </remarks>
internal static unsafe class SizeClasses
{
    internal const int Granule = 16, GranuleShift = 4;

    /// <summary>Up to here classes are multiples of <see cref="Granule"/>.</summary>
    private const int LinearBytes = 128;

    private const int LinearCount = LinearBytes / Granule;

    private const int StepsPerDoublingShift = 3, StepsPerDoubling = 1 << StepsPerDoublingShift;

    private const int LinearLog2 = 7, LargestLog2 = 19;

    /// <summary>The largest size served from slabs.</summary>
    internal const nuint LargestBytes = (nuint)1 << LargestLog2;

    /// <summary>Classes, with the one that is none: valid numbers are 1..Count-1.</summary>
    internal const int Count = 1 + LinearCount + (LargestLog2 - LinearLog2) * StepsPerDoubling;

    /// <summary>Sizes that threads keep in magazines.</summary>
    internal const nuint MagazineBytes = 32768;

    /// <summary>
    /// Sizes whose class the table has. Its 65 bytes are two cache lines; a table for all of the sizes above would not
    /// stay in the cache, and their class is worked out.
    /// </summary>
    internal const nuint TableBytes = 1024;

    // By granules, rounded up. Data of the assembly and not an array, because the JIT folds what stands at a constant
    // index of it: a constant size then has a constant class. A test compares it with the arithmetic.
    private static ReadOnlySpan<byte> Table =>
    [
        1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
        16, 17, 17, 18, 18, 19, 19, 20, 20, 21, 21, 22, 22, 23, 23, 24,
        24, 25, 25, 25, 25, 26, 26, 26, 26, 27, 27, 27, 27, 28, 28, 28,
        28, 29, 29, 29, 29, 30, 30, 30, 30, 31, 31, 31, 31, 32, 32, 32,
        32,
    ];

    /// <summary>The class of a size up to <see cref="TableBytes"/>; the class of 1 byte for 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static nuint OfSmall(nuint bytes) =>
        Unsafe.Add(ref MemoryMarshal.GetReference(Table), (bytes + (Granule - 1)) >> GranuleShift);

    /// <summary>
    /// The class of a size up to <see cref="LargestBytes"/>, by arithmetic; the class of 1 byte for 0.
    /// </summary>
    internal static int Of(nuint bytes)
    {
        Debug.Assert(bytes <= LargestBytes, "the size has a class");
        if (bytes <= LinearBytes) return bytes == 0 ? 1 : (int)((bytes + (Granule - 1)) >> GranuleShift);
        // The eight steps between 2^log2 and 2^(log2 + 1), the size rounded up to the next.
        int log2 = BitOperations.Log2(bytes - 1);
        int shift = log2 - StepsPerDoublingShift;
        int step = (int)((bytes - 1) >> shift) & (StepsPerDoubling - 1);
        return LinearCount + (log2 - LinearLog2) * StepsPerDoubling + step + 1;
    }

    /// <summary>Bytes of a class.</summary>
    internal static nuint BytesOf(int sizeClass)
    {
        Debug.Assert(sizeClass is > 0 and < Count, "the class exists");
        if (sizeClass <= LinearCount) return (nuint)(sizeClass * Granule);
        int index = sizeClass - LinearCount - 1;
        int log2 = LinearLog2 + index / StepsPerDoubling, step = index % StepsPerDoubling + 1;
        return ((nuint)1 << log2) + ((nuint)step << (log2 - StepsPerDoublingShift));
    }

    /// <summary>
    /// Pages of a slab: the fewest that lose at most an eighth to the slab's end, and with which at most an eighth of
    /// the memory that is touched was not asked for, by the smallest request of the class. Few objects to a slab mean
    /// that few keep its other memory from going elsewhere; sizes of whole pages get slabs of a single object.
    /// </summary>
    internal static uint SlabPagesOf(nuint objectBytes)
    {
        nuint leastRequest = LeastRequestOf(objectBytes);
        for (uint pages = 1; ; pages++)
        {
            nuint slabBytes = pages * PageGeometry.PageBytes, objects = slabBytes / objectBytes;
            bool isTight = TouchedBytes(objects * objectBytes) * 7 <= objects * leastRequest * 8;
            if (isTight && slabBytes % objectBytes * 8 <= slabBytes) return pages;
        }
    }

    /// <summary>
    /// The smallest request that gets an object of so many bytes. For classes of up to 128 B, which round to 16, and
    /// for sizes without a class it is the size itself.
    /// </summary>
    internal static nuint LeastRequestOf(nuint objectBytes)
    {
        if (objectBytes is <= LinearBytes or > LargestBytes) return objectBytes;
        int sizeClass = Of(objectBytes);
        return BytesOf(sizeClass) == objectBytes ? BytesOf(sizeClass - 1) + 1 : objectBytes;
    }

    /// <summary>
    /// Bytes of the system pages that the first bytes of a slab lie in: the others have memory only where they had it
    /// before they became the slab's, and go with the next holes.
    /// </summary>
    internal static nuint TouchedBytes(nuint bytes) =>
        (bytes + (VirtualMemory.PageBytes - 1)) & ~(VirtualMemory.PageBytes - 1);
}
