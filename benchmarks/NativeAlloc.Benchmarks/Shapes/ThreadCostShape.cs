using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>
/// Very many threads that allocate a little and then wait: what the allocator has for each of them, at once, after a
/// while of rest, and once they have ended.
/// </summary>
internal sealed unsafe class ThreadCostShape : ShapeWorkload
{
    public const string Kind = "thread-cost";

    private readonly int _threads;
    private readonly int _bytes;
    private readonly bool _allSizes;
    private readonly int _restMs;

    public ThreadCostShape(WorkloadParameters parameters)
        : base(parameters, "threads=2:rest=0")
    {
        _threads = parameters.Number("threads", 3000, 1, 100_000);
        _bytes = parameters.Number("size", 1000, 16, 1 << 20);
        _allSizes = parameters.Choice("sizes", "one", "all") == "all";
        _restMs = parameters.Number("rest", 2500, 0, 3_600_000);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_threads} threads that each " +
        $"{(_allSizes ? "use a block of each size up to" : "hold a block of")} {_bytes} B and wait; " +
        "parameters: threads=N, size=B, sizes=one|all, rest=MS";

    public override void Run<TAllocator>(ShapeRun run)
    {
        using CountdownEvent started = new(_threads), allocated = new(_threads);
        using ManualResetEventSlim begin = new(), end = new();
        Thread[] threads = new Thread[_threads];
        foreach (ref Thread thread in threads.AsSpan())
        {
            thread = FreshThreads.Start(() =>
            {
                started.Signal();
                begin.Wait();
                nint block = Use<TAllocator>();
                allocated.Signal();
                end.Wait();
                if (block != 0)
                    TAllocator.Free((void*)block);
            });
        }

        started.Wait();
        run.BeginHere();
        begin.Set();
        allocated.Wait();
        long live = _allSizes ? 0 : (long)_threads * _bytes;
        Note(run, "alive", live);
        run.Idle(_restMs);
        Note(run, "rested", live);
        end.Set();
        foreach (Thread thread in threads)
            thread.Join();
        run.Idle(_restMs);
        run.NoteResident("ended", 0);
        run.CountOperations(2L * _threads);
    }

    protected override ShapeWorkload Create(WorkloadParameters parameters) => new ThreadCostShape(parameters);

    private void Note(ShapeRun run, string moment, long live) =>
        run.Note(moment + "PerThreadKiB", run.NoteResident(moment, live) / 1024.0 / _threads);

    /// <summary>Returns the block that the thread holds; 0 if none.</summary>
    private nint Use<TAllocator>()
        where TAllocator : struct, IAllocator
    {
        for (int size = 16; _allSizes && size <= _bytes; size += Math.Max(16, size / 8))
        {
            byte* used = (byte*)TAllocator.Alloc((nuint)size);
            *used = 1;
            TAllocator.Free(used);
        }

        if (_allSizes)
            return 0;
        byte* block = (byte*)TAllocator.Alloc((nuint)_bytes);
        new Span<byte>(block, _bytes).Fill(1);
        return (nint)block;
    }
}
