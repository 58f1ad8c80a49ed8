using NativeAlloc.Benchmarks.Traces;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>The workloads that can be named on the command line.</summary>
internal static class WorkloadRegistry
{
    public static IReadOnlyList<IWorkload> All { get; } = [.. TraceFile.Bundled().Select(path => new TraceWorkload(path))];

    public static IWorkload? Find(string name) => All.FirstOrDefault(workload => workload.Name == name);

    /// <summary>
    /// Makes a workload ready in a child. The registry need not know a trace that came from elsewhere: its staged file is
    /// all there is to it.
    /// </summary>
    public static IPreparedWorkload Prepare(string name, string? stagedFile, int threads)
    {
        IWorkload workload = stagedFile is null
            ? Find(name) ?? throw new ArgumentException($"no workload '{name}'", nameof(name))
            : new TraceWorkload(stagedFile);
        return workload.Prepare(stagedFile, threads);
    }
}
