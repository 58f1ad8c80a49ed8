namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>
/// A heap workload on one heap, with everything a pass needs made ready: slots, tables, queues. Implementations are
/// generic over the heap, and their hot methods are called at least once per pass and thread, so that 64 passes of a
/// small one bring them to their final form.
/// </summary>
internal abstract class HeapRun
{
    /// <summary>
    /// Allocations plus frees of a pass, over all threads, those of its beginning and its end among them. The same for
    /// every heap, and no matter how the threads are scheduled, unless passes go by the clock: then those of the last
    /// pass.
    /// </summary>
    public abstract long Operations { get; }

    /// <summary>
    /// About what the workload has alive at its peak, by the sizes it draws; an upper bound where it depends on
    /// scheduling.
    /// </summary>
    public abstract long LiveBytes { get; }

    /// <summary>How much of the last pass was waiting that is not to count as its time.</summary>
    public virtual long IdleTicks => 0;

    /// <summary>
    /// One pass. It leaves nothing allocated, and throws if a block does not hold what was written to it.
    /// </summary>
    public abstract void Pass();

    /// <summary>See <see cref="Workloads.IPreparedWorkload.Examine"/>.</summary>
    public virtual IReadOnlyDictionary<string, double>? Examine() => null;

    /// <summary>
    /// An array for slots and the like. All of it is resident from the start, so it weighs on no pass and is part of
    /// the baseline.
    /// </summary>
    internal static T[] MakeResident<T>(int length)
    {
        T[] array = new T[length];
        array.AsSpan().Clear();
        return array;
    }

    /// <summary>
    /// What a block holds is not what was written to it: the allocator handed the memory out twice, or wrote to it.
    /// </summary>
    protected static void ThrowCorrupt(string workload) =>
        throw new InvalidDataException($"{workload}: a block does not hold what was written to it");
}
