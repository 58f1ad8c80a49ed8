using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>
/// A workload about what stays resident, rather than about time: one pass in a fresh process is all of it, and what is
/// resident at named moments are its figures. It has threads of its own, however many the comparison asks for. Its
/// blocks are native memory: when arrays go is up to the garbage collector and no matter of the pool's.
/// </summary>
/// <param name="parameters">See <see cref="HeapWorkload"/>.</param>
/// <param name="small">See <see cref="HeapWorkload"/>; without waiting.</param>
internal abstract class ResidentWorkload(WorkloadParameters parameters, string small) : HeapWorkload(parameters, small)
{
    public sealed override bool Arrays => false;

    public sealed override bool Once => true;
}
