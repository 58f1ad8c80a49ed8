using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Measuring;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>
/// A situation that allocators are known to be bad at: one pass in a fresh process, on threads of its own however many
/// the comparison asks for. Its results are what is resident at named moments and how long single calls take.
/// </summary>
/// <param name="parameters">What the user wants otherwise.</param>
/// <param name="small">Parameters of a form that takes about a millisecond: for warm-up and self-check.</param>
internal abstract class ShapeWorkload(WorkloadParameters parameters, string small) : IWorkload
{
    public string Name => parameters.Text;

    public abstract string Description { get; }

    public string Conditions => HugePages.Setting;

    /// <summary>See <see cref="IPreparedWorkload.Cold"/>.</summary>
    public virtual bool Cold => false;

    public ShapeWorkload Small => Create(parameters.With(small));

    public string? Stage(string folder) => null;

    public IPreparedWorkload Prepare(string? stagedFile, int threads) => new PreparedShape(this);

    /// <summary>
    /// The pass. It leaves nothing allocated, and throws if a block does not hold what was written to it.
    /// </summary>
    public abstract void Run<TAllocator>(ShapeRun run)
        where TAllocator : struct, IAllocator;

    protected abstract ShapeWorkload Create(WorkloadParameters parameters);

    protected void ThrowCorrupt() =>
        throw new InvalidDataException($"{Name}: a block does not hold what was written to it");
}
