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
    public override string? Missing => library?.Missing;

    public override bool Supports(string? stagedFile) => true;

    public override ProcessStartInfo CreateChild(RunRequest request)
    {
        string host = Environment.ProcessPath ?? throw new InvalidOperationException("the program's own path is unknown");
        ProcessStartInfo start = new(host);

        // Started as "dotnet NativeAlloc.Benchmarks.dll" the process is the host, and needs to be told what to run.
        if (Path.GetFileNameWithoutExtension(host).Equals("dotnet", StringComparison.OrdinalIgnoreCase))
            start.ArgumentList.Add(typeof(ManagedArm).Assembly.Location);

        start.ArgumentList.Add(MeasureCommand.Verb);
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
