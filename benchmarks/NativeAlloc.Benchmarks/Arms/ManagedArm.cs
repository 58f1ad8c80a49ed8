using System.Diagnostics;
using System.Globalization;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Commands;
using NativeAlloc.Benchmarks.Measuring;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Arms;

/// <summary>An allocator called from .NET, measured by this program in another process of its own.</summary>
internal abstract class ManagedArm(string name, string description, CLibrary? library) : Arm(name, description)
{
    /// <summary>The arm has nothing but <see cref="IAllocator.AllocPages"/>.</summary>
    public bool WholePagesOnly { get; init; }

    public override string? Missing => library?.Missing;

    public override bool Supports(IWorkload workload) => workload.WholePages || !WholePagesOnly;

    public override ProcessStartInfo CreateChild(RunRequest request)
    {
        ProcessStartInfo start = ThisProgram.CreateChild(MeasureCommand.Verb);
        start.ArgumentList.Add(Name);
        start.ArgumentList.Add(request.Workload);
        start.ArgumentList.Add(request.StagedFile ?? "");
        start.ArgumentList.Add(request.Threads.ToString(CultureInfo.InvariantCulture));
        start.ArgumentList.Add(request.Policy.MinTimedPasses.ToString(CultureInfo.InvariantCulture));
        start.ArgumentList.Add(request.Policy.MinSeconds.ToString(CultureInfo.InvariantCulture));

        start.Environment.Add(Tiering.ChildEnvironment!);
        start.Environment.Add(CLibrary.RequiredEnvironment!);
        return start;
    }

    /// <summary>Measures here and now; this is what the child does.</summary>
    public abstract RunResult Measure(IPreparedWorkload workload, PassPolicy policy);
}

/// <inheritdoc/>
internal sealed class ManagedArm<TAllocator>(string name, string description, CLibrary? library = null)
    : ManagedArm(name, description, library)
    where TAllocator : struct, IAllocator
{
    public override RunResult Measure(IPreparedWorkload workload, PassPolicy policy) =>
        Measurement.Run<TAllocator>(workload, policy);
}
