using NativeAlloc.Benchmarks.Allocators;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// A workload inside the process that measures it. Its generic methods are called once per pass, so what matters is
/// only that the loops below them are compiled for the allocator's type, and that they allocate nothing managed.
/// </summary>
internal interface IPreparedWorkload : IDisposable
{
    /// <summary>One pass is all, and the first: the figures are about a process that does it once.</summary>
    bool Once => false;

    /// <summary>Every call is timed, asked for or not: the time per operation is not what it is about.</summary>
    bool TimesCalls => false;

    /// <summary>
    /// It is about the first calls of a process, so there is no warm-up, and no look at the allocator before.
    /// </summary>
    bool Cold => false;

    /// <summary>
    /// Operations per pass, over all threads. Where a pass goes by the clock it is those of the last pass, and 0
    /// before.
    /// </summary>
    long Operations { get; }

    /// <summary>What the workload itself has alive at its peak, over all threads.</summary>
    long LiveKiB { get; }

    /// <summary>
    /// Runs the code of a pass, calling everything at least 64 times so that the runtime optimises it, on all threads,
    /// but with few and small blocks, of which none remains.
    /// </summary>
    void WarmUp<TAllocator>()
        where TAllocator : struct, IAllocator;

    /// <summary>One pass, which leaves nothing allocated; returns the time it took in stopwatch ticks.</summary>
    long RunPass<TAllocator>()
        where TAllocator : struct, IAllocator;

    /// <summary>
    /// Figures about the allocator beyond time and peak, by name, found in one more pass that is not timed; null if
    /// there are none. A workload that runs once found them in its pass.
    /// </summary>
    IReadOnlyDictionary<string, double>? Examine<TAllocator>()
        where TAllocator : struct, IAllocator => null;
}
