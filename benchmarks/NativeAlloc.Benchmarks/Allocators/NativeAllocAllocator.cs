namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>The library itself.</summary>
internal readonly unsafe struct NativeAllocAllocator : IAllocator
{
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

    public static IReadOnlyDictionary<string, long> ReadCounters()
    {
        AllocatorStatistics statistics = NativeAllocator.GetStatistics();
        return new Dictionary<string, long>
        {
            ["lockAcquisitions"] = statistics.LockAcquisitions,
            ["reallocCopiedBytes"] = (long)statistics.ReallocCopiedBytes,
            ["depotExchanges"] = statistics.DepotExchanges,
            // What other threads write too: a lock is taken and let go; an exchange changes two stacks, their counts, and how often it was done.
            ["sharedLineWrites"] = 2 * statistics.LockAcquisitions + 5 * statistics.DepotExchanges,
        };
    }
}
