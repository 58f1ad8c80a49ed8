using System.Numerics;

namespace NativeAlloc.Benchmarks.Scaling;

/// <summary>
/// What an allocator has in common for all cores, and what each core has of its own: as much of it as decides when a
/// call has to use a shared line. A call that does not is free here.
/// </summary>
/// <param name="cores">Cores, each with one thread.</param>
internal abstract class AllocatorStructure(int cores)
{
    internal const uint LargestClassBytes = 512 * 1024;

    // Classes of 16 bytes up to 128, eight to a doubling above.
    internal const int Classes = 1 + 8 + 12 * 8;

    protected int Cores { get; } = cores;

    /// <summary>Bytes of free objects in the caches of threads and in those that they share, at present.</summary>
    internal abstract double IdleBytes { get; }

    /// <summary>An object of a class is allocated on a core. Returns when that is done.</summary>
    internal abstract double Alloc(int core, int block, int sizeClass, double now);

    /// <summary>An object is freed on a core. Returns when that is done.</summary>
    internal abstract double Free(int core, int block, int sizeClass, double now);

    /// <summary>The class of a size; 0 for one that has none.</summary>
    internal static int ClassOf(uint bytes)
    {
        if (bytes > LargestClassBytes)
            return 0;
        if (bytes <= 128)
            return (int)((bytes + 15) / 16);
        int log2 = BitOperations.Log2(bytes - 1);
        return 8 + ((log2 - 7) * 8) + (int)((bytes - 1) >> (log2 - 3) & 7) + 1;
    }

    internal static int BytesOf(int sizeClass)
    {
        if (sizeClass <= 8)
            return sizeClass * 16;
        int index = sizeClass - 9, log2 = 7 + (index / 8);
        return (1 << log2) + (((index % 8) + 1) << (log2 - 3));
    }
}
