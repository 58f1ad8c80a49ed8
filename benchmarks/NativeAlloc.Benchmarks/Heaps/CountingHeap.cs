namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>
/// A heap that counts what is asked of it: by it the self-check knows that a workload does as many operations as it
/// says, and that it leaves nothing allocated. Not for measuring.
/// </summary>
internal readonly struct CountingHeap<THeap, TBlock> : IHeap<TBlock>
    where THeap : struct, IHeap<TBlock>
    where TBlock : struct
{
    private static long s_allocs;
    private static long s_frees;
    private static long s_reallocs;

    public static long Operations => s_allocs + s_frees + s_reallocs;

    public static long Live => s_allocs - s_frees;

    public static void Reset() => s_allocs = s_frees = s_reallocs = 0;

    public static TBlock Alloc(uint bytes)
    {
        Interlocked.Increment(ref s_allocs);
        return THeap.Alloc(bytes);
    }

    public static TBlock AllocZeroed(uint bytes)
    {
        Interlocked.Increment(ref s_allocs);
        return THeap.AllocZeroed(bytes);
    }

    public static TBlock AlignedAlloc(uint bytes, uint alignment)
    {
        Interlocked.Increment(ref s_allocs);
        return THeap.AlignedAlloc(bytes, alignment);
    }

    public static TBlock Realloc(TBlock block, uint bytes)
    {
        Interlocked.Increment(ref s_reallocs);
        return THeap.Realloc(block, bytes);
    }

    public static void Free(TBlock block)
    {
        Interlocked.Increment(ref s_frees);
        THeap.Free(block);
    }

    public static void AlignedFree(TBlock block)
    {
        Interlocked.Increment(ref s_frees);
        THeap.AlignedFree(block);
    }

    public static ref byte At(TBlock block) => ref THeap.At(block);

    public static bool IsNone(TBlock block) => THeap.IsNone(block);

    public static TBlock Exchange(ref TBlock slot, TBlock block) => THeap.Exchange(ref slot, block);
}
