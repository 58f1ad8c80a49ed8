using NativeAlloc.Benchmarks.Measuring;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>
/// A workload of blocks that are allocated, written to and freed by one or more threads, written against
/// <see cref="IHeap{TBlock}"/>. Random numbers come from <see cref="Dice"/>, with a seed per thread: all heaps get the
/// same requests.
/// </summary>
/// <param name="parameters">What the user wants otherwise.</param>
/// <param name="small">Parameters of a pass that takes about a millisecond and a few blocks: for warm-up and
/// self-check.</param>
internal abstract class HeapWorkload(WorkloadParameters parameters, string small) : IWorkload
{
    public string Name => parameters.Text;

    public abstract string Description { get; }

    /// <summary>Blocks may be managed arrays. Not where a workload asks for alignment.</summary>
    public virtual bool Arrays => true;

    /// <summary>See <see cref="IPreparedWorkload.Once"/>.</summary>
    public virtual bool Once => false;

    public virtual long? MemoryLimitBytes => null;

    public virtual string? Conditions => null;

    /// <summary>The same workload with few blocks.</summary>
    public HeapWorkload Small => Create(parameters.With(small));

    public string? Stage(string folder) => null;

    public IPreparedWorkload Prepare(string? stagedFile, int threads) => new PreparedHeapWorkload(this, threads);

    /// <summary>
    /// How many threads its team has; 1 is the calling thread alone, for workloads that run there or make threads of
    /// their own.
    /// </summary>
    public abstract int TeamSize(int threads);

    /// <summary>Makes it ready on a heap.</summary>
    /// <param name="threads">The number of threads that was asked for.</param>
    /// <param name="team">A team of <see cref="TeamSize"/> threads.</param>
    public abstract HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team)
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct;

    /// <summary>
    /// A thread's part of a number that is for all threads: a pass then takes about as long on many threads as on one.
    /// </summary>
    protected static int Share(int inAll, int threads) => Math.Max(1, inAll / threads);

    protected abstract HeapWorkload Create(WorkloadParameters parameters);
}
