using NativeAlloc.Benchmarks.Heaps;

namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>The library itself.</summary>
internal readonly unsafe struct NativeAllocAllocator : IAllocator
{
    // Eight magazines and slabs of 1 KiB objects: more than a thread keeps for itself, some more than the compiler
    // waits for.
    private const int ObjectBytes = 1024, Objects = 512, Exchanges = 8;

    public static void* Alloc(nuint size) => NativeAllocator.Alloc(size);

    public static void* AllocZeroed(nuint size) => NativeAllocator.AllocZeroed(size);

    public static void* AlignedAlloc(nuint size, nuint alignment) => NativeAllocator.AlignedAlloc(size, alignment);

    public static void* Realloc(void* block, nuint size) => NativeAllocator.Realloc(block, size);

    public static void Free(void* block) => NativeAllocator.Free(block);

    public static void AlignedFree(void* block) => NativeAllocator.AlignedFree(block);

    public static void* AllocPages(int order) => PageAllocator.GetFreePages(order);

    public static void FreePages(void* block, int order) => PageAllocator.FreePages(block, order);

    public static void* AllocLarge(nuint size) => Vmalloc.Alloc(size);

    public static void* ReallocLarge(void* block, nuint oldSize, nuint size) => Vmalloc.Realloc(block, size);

    public static void FreeLarge(void* block, nuint size) => Vmalloc.Free(block);

    public static void Trim() => NativeAllocator.Trim();

    /// <summary>
    /// A small workload hardly leaves the fast paths, so two threads pass objects of a cache to each other, some
    /// magazines full at a time. It is a cache of their own: the size classes know nothing of them.
    /// </summary>
    public static void WarmUp()
    {
        using (SlabCache cache = new("warm-up", ObjectBytes))
        {
            nint[] objects = new nint[Objects];
            for (int i = 0; i < Exchanges; i++)
            {
                FreshThreads.Run(1, _ => Fill(cache, objects));
                Empty(cache, objects);
                Fill(cache, objects);
                FreshThreads.Run(1, _ => Empty(cache, objects));
            }
        }

        _ = ReadCounters();
        Trim();
    }

    public static IReadOnlyDictionary<string, long> ReadCounters()
    {
        AllocatorStatistics statistics = NativeAllocator.GetStatistics();
        return new Dictionary<string, long>
        {
            ["systemCalls"] = statistics.OsCalls,
            ["lockAcquisitions"] = statistics.LockAcquisitions,
            ["reallocCopiedBytes"] = (long)statistics.ReallocCopiedBytes,
            ["depotExchanges"] = statistics.DepotExchanges,
            // What other threads write too: a lock is taken and let go; an exchange changes two stacks, their counts,
            // and how often it was done.
            ["sharedLineWrites"] = 2 * statistics.LockAcquisitions + 5 * statistics.DepotExchanges,
        };
    }

    private static void Fill(SlabCache cache, nint[] objects)
    {
        foreach (ref nint slot in objects.AsSpan())
            slot = (nint)cache.Alloc();
    }

    private static void Empty(SlabCache cache, nint[] objects)
    {
        foreach (nint slot in objects)
            cache.Free((void*)slot);
    }
}
