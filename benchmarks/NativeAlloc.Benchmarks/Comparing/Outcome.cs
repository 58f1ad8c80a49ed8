using NativeAlloc.Benchmarks.Latency;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Comparing;

/// <summary>What the runs of one workload on one allocator, with so many threads, came to.</summary>
internal sealed class Outcome(string workload, int threads, string allocator)
{
    private readonly List<RunResult> _runs = [];

    private readonly List<IReadOnlyDictionary<string, LatencySummary>> _latencies = [];

    public string Workload => workload;

    public int Threads => threads;

    public string Allocator => allocator;

    /// <summary>See <see cref="Workloads.IWorkload.Conditions"/>.</summary>
    public string? Conditions { get; init; }

    /// <summary>
    /// Why there is no result, if so. One run that fails spoils the others: they are not to be trusted.
    /// </summary>
    public string? Failure { get; private set; }

    public int Runs => _runs.Count;

    /// <summary>The median over the runs, each of which is the median over its passes.</summary>
    public double NsPerOp => Statistics.Median(_runs.Select(run => run.NsPerOp));

    /// <summary>The fastest pass of all runs.</summary>
    public double NsPerOpBest => _runs.Min(run => run.NsPerOpBest);

    public long PeakKiB => (long)Statistics.Median(_runs.Select(run => (double)run.PeakKiB));

    public long LiveKiB => _runs[0].LiveKiB;

    public long Operations => _runs[0].Operations;

    /// <summary>The median over the runs of each figure the workload adds; empty if it adds none.</summary>
    public IReadOnlyDictionary<string, double> Figures => MedianOf(run => run.Figures);

    /// <summary>
    /// The median over the runs of each of the allocator's counters, per 1000 operations; empty if it has none.
    /// </summary>
    public IReadOnlyDictionary<string, double> Counters => MedianOf(run => run.Counters);

    /// <summary>The median over the runs; null if the arm does not tell.</summary>
    public double? CpuNsPerOp =>
        _runs.All(run => run.CpuNsPerOp is not null)
            ? Statistics.Median(_runs.Select(run => run.CpuNsPerOp!.Value))
            : null;

    /// <summary>How long single calls took, by kind of call, over all runs; empty if they were not timed.</summary>
    public IReadOnlyDictionary<string, LatencySummary> Latency => _latencies
        .SelectMany(run => run)
        .GroupBy(pair => pair.Key, pair => pair.Value)
        .ToDictionary(group => group.Key, group => LatencySummary.Combine([.. group]));

    public void Add(RunResult run)
    {
        _runs.Add(run);
        AddLatency(run);
    }

    /// <summary>A run of which nothing but the latencies counts.</summary>
    public void AddLatency(RunResult run)
    {
        if (run.Latency is { } latency)
            _latencies.Add(latency);
    }

    public void Fail(string reason) => Failure = reason;

    private Dictionary<string, double> MedianOf(Func<RunResult, IReadOnlyDictionary<string, double>?> figures) =>
        _runs.SelectMany(run => figures(run) ?? new Dictionary<string, double>())
            .GroupBy(figure => figure.Key, figure => figure.Value)
            .ToDictionary(group => group.Key, Statistics.Median);
}
