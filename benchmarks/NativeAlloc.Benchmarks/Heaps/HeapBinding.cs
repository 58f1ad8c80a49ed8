using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Latency;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>The heap that belongs to an allocator: pointers, but for the array pool.</summary>
internal static class HeapBinding<TAllocator>
    where TAllocator : struct, IAllocator
{
    private static bool IsArrayPool => typeof(TAllocator) == typeof(ArrayPoolAllocator);

    private static bool IsTimedArrayPool => typeof(TAllocator) == typeof(TimedAllocator<ArrayPoolAllocator>);

    public static HeapRun Bind(HeapWorkload workload, int threads, ThreadTeam team) =>
        IsArrayPool ? workload.Bind<ArrayPoolHeap, PooledArray>(threads, team)
        : IsTimedArrayPool ? workload.Bind<TimedHeap<ArrayPoolHeap, PooledArray>, PooledArray>(threads, team)
        : workload.Bind<PointerHeap<TAllocator>, nint>(threads, team);

    /// <summary>One pass with every call counted.</summary>
    /// <returns>How many operations there were, how many there should be, and how many blocks are left.</returns>
    public static (long Operations, long Expected, long Left) Count(HeapWorkload workload, int threads,
        ThreadTeam team) => IsArrayPool
        ? Count<ArrayPoolHeap, PooledArray>(workload, threads, team)
        : Count<PointerHeap<TAllocator>, nint>(workload, threads, team);

    private static (long Operations, long Expected, long Left) Count<THeap, TBlock>(HeapWorkload workload, int threads,
        ThreadTeam team)
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        HeapRun run = workload.Bind<CountingHeap<THeap, TBlock>, TBlock>(threads, team);
        CountingHeap<THeap, TBlock>.Reset();
        run.Pass();
        return (CountingHeap<THeap, TBlock>.Operations, run.Operations, CountingHeap<THeap, TBlock>.Live);
    }
}
