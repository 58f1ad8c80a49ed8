using System.Diagnostics;
using System.Globalization;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Commands;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Latency;
using NativeAlloc.Benchmarks.Measuring;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Arms;

/// <summary>An allocator called from .NET, measured by this program in another process of its own.</summary>
internal abstract class ManagedArm(string name, string description, CLibrary? library) : Arm(name, description)
{
    /// <summary>
    /// The arm has nothing but <see cref="IAllocator.AllocPages"/> and <see cref="IAllocator.AllocLarge"/>.
    /// </summary>
    public bool WholePagesOnly { get; init; }

    /// <summary>What its process has in its environment beyond what all have.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Environment { get; init; } = [];

    /// <summary>What the arm's process does before the workload.</summary>
    public Action? Prepare { get; init; }

    /// <summary>The arm has no pointers, and runs workloads only that can do with managed arrays.</summary>
    public bool ArraysOnly { get; init; }

    public override string? Missing => library?.Missing;

    public override bool Supports(IWorkload workload) =>
        (workload.WholePages || workload.LargeBlocks || !WholePagesOnly) && (workload.Arrays || !ArraysOnly);

    public override ProcessStartInfo CreateChild(RunRequest request)
    {
        ProcessStartInfo start = ThisProgram.CreateChild(MeasureCommand.Verb);
        AddArguments(start, request);
        return start;
    }

    /// <summary>The rest of a child's command line, and its environment. The child may be of another build.</summary>
    public void AddArguments(ProcessStartInfo start, RunRequest request)
    {
        start.ArgumentList.Add(Name);
        start.ArgumentList.Add(request.Workload);
        start.ArgumentList.Add(request.StagedFile ?? "");
        start.ArgumentList.Add(request.Threads.ToString(CultureInfo.InvariantCulture));
        start.ArgumentList.Add(request.Policy.MinTimedPasses.ToString(CultureInfo.InvariantCulture));
        start.ArgumentList.Add(request.Policy.MinSeconds.ToString(CultureInfo.InvariantCulture));
        if (request.Latency)
            start.ArgumentList.Add(MeasureCommand.Latency);

        SetEnvironment(start, request.Threads);
        foreach (KeyValuePair<string, string> variable in Environment)
            start.Environment[variable.Key] = variable.Value;
    }

    /// <summary>What a process in which arms run needs from its start.</summary>
    public static void SetEnvironment(ProcessStartInfo start, int threads)
    {
        start.Environment.Add(Tiering.ChildEnvironment!);
        start.Environment.Add(CLibrary.RequiredEnvironment!);

        // Threads of the pool: as many as asked for, neither more nor less. The runtime reads hexadecimal numbers.
        string hexadecimal = threads.ToString("X", CultureInfo.InvariantCulture);
        start.Environment["DOTNET_ThreadPool_ForceMinWorkerThreads"] = hexadecimal;
        start.Environment["DOTNET_ThreadPool_ForceMaxWorkerThreads"] = hexadecimal;
    }

    /// <summary>Measures here and now; this is what the child does.</summary>
    public abstract RunResult Measure(IPreparedWorkload workload, PassPolicy policy);

    /// <summary>Measures here and now, and times every call.</summary>
    public abstract RunResult MeasureLatency(IPreparedWorkload workload, PassPolicy policy);

    /// <summary>
    /// One warm-up, one pass and the examination, without waiting for optimised code; returns the pass's time.
    /// </summary>
    public abstract long RunOnce(IPreparedWorkload workload);

    /// <summary>See <see cref="HeapBinding{TAllocator}.Count"/>.</summary>
    public abstract (long Operations, long Expected, long Left) Count(HeapWorkload workload, int threads,
        ThreadTeam team);
}

/// <inheritdoc/>
internal sealed class ManagedArm<TAllocator>(string name, string description, CLibrary? library = null)
    : ManagedArm(name, description, library)
    where TAllocator : struct, IAllocator
{
    public override RunResult Measure(IPreparedWorkload workload, PassPolicy policy)
    {
        Prepare?.Invoke();
        return Measurement.Run<TAllocator>(workload, policy);
    }

    public override RunResult MeasureLatency(IPreparedWorkload workload, PassPolicy policy)
    {
        Prepare?.Invoke();
        return Measurement.Run<TimedAllocator<TAllocator>>(workload, policy, CallClock.Reset) with
        {
            Latency = CallClock.Summarise(),
        };
    }

    public override long RunOnce(IPreparedWorkload workload)
    {
        workload.WarmUp<TAllocator>();
        long time = workload.RunPass<TAllocator>();
        workload.Examine<TAllocator>();
        return time;
    }

    public override (long Operations, long Expected, long Left) Count(HeapWorkload workload, int threads,
        ThreadTeam team) =>
        HeapBinding<TAllocator>.Count(workload, threads, team);
}
