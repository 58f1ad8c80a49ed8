using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Measuring;
using NativeAlloc.Benchmarks.Traces;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// A trace being replayed by one or more threads: they share the operations, and each has slots of its own.
/// </summary>
internal sealed unsafe class PreparedTrace : IPreparedWorkload
{
    private const int WarmUpRepeats = 64;

    private readonly OpFile _trace;
    private readonly ThreadTeam _team;
    private readonly void**[] _slots;
    private readonly int _threads;

    public PreparedTrace(OpFile trace, int threads)
    {
        _trace = trace;
        _threads = threads;
        _slots = new void**[threads];
        for (int i = 0; i < threads; i++)
            _slots[i] = (void**)MappedPages.Allocate((nuint)trace.SlotCount * (nuint)sizeof(void*));
        _team = new ThreadTeam(threads);
    }

    public long Operations => _trace.Operations * _threads;

    public long LiveKiB => _trace.PeakLiveBytes * _threads / 1024;

    public void WarmUp<TAllocator>()
        where TAllocator : struct, IAllocator
    {
        for (int i = 0; i < WarmUpRepeats; i++)
            Replay<TAllocator>(_trace.WarmUpOps, _trace.WarmUpOpCount);
    }

    public long RunPass<TAllocator>()
        where TAllocator : struct, IAllocator =>
        Replay<TAllocator>(_trace.Ops, _trace.OpCount);

    /// <summary>
    /// Shared with the warm-up, so that the passes bring no code of their own that would have to be compiled.
    /// </summary>
    private long Replay<TAllocator>(ReplayOp* ops, long count)
        where TAllocator : struct, IAllocator =>
        _team.Run(index => Replayer<TAllocator>.Replay(ops, count, _slots[index]));

    public void Dispose() => _team.Dispose();
}
