using System.Diagnostics;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Measuring;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>
/// A heap workload inside the process that measures it. It is bound to a heap when the warm-up begins; the warm-up is
/// many passes of the small form, which runs the same code on the same team.
/// </summary>
internal sealed class PreparedHeapWorkload(HeapWorkload workload, int threads) : IPreparedWorkload
{
    private const int WarmUpRepeats = 64;

    private readonly ThreadTeam _team = new(workload.TeamSize(threads));
    private HeapRun? _full;
    private HeapRun? _small;

    public bool Once => workload.Once;

    public long Operations => Full.Operations;

    public long LiveKiB => Full.LiveBytes / 1024;

    private HeapRun Full => _full ?? throw new InvalidOperationException("there was no warm-up");

    public void WarmUp<TAllocator>()
        where TAllocator : struct, IAllocator
    {
        _full ??= HeapBinding<TAllocator>.Bind(workload, threads, _team);
        _small ??= HeapBinding<TAllocator>.Bind(workload.Small, threads, _team);

        // A workload that runs once has many threads, and calls on all of them count.
        int repeats = workload.Once ? Math.Max(1, WarmUpRepeats / workload.TeamSize(threads)) : WarmUpRepeats;
        for (int i = 0; i < repeats; i++)
            _small.Pass();
        FinaliseRemains();
    }

    public long RunPass<TAllocator>()
        where TAllocator : struct, IAllocator
    {
        FinaliseRemains();
        long before = Stopwatch.GetTimestamp();
        Full.Pass();
        return Stopwatch.GetTimestamp() - before - Full.IdleTicks;
    }

    public IReadOnlyDictionary<string, double>? Examine<TAllocator>()
        where TAllocator : struct, IAllocator => Full.Examine();

    /// <summary>
    /// Threads and tasks of the pass before are dead, but until they are finalised they hold memory. Not a full
    /// collection: that would empty the array pool.
    /// </summary>
    private static void FinaliseRemains()
    {
        GC.Collect(0);
        GC.WaitForPendingFinalizers();
    }

    public void Dispose() => _team.Dispose();
}
