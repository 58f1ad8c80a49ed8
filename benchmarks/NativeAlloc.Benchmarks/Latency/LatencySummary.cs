using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Latency;

/// <summary>How long calls of one kind took, in ns.</summary>
/// <param name="Count">How many calls there were.</param>
/// <param name="P50">The median.</param>
/// <param name="P99">One call in a hundred took longer.</param>
/// <param name="P999">One call in a thousand took longer.</param>
/// <param name="P9999">One call in ten thousand took longer.</param>
/// <param name="Max">The longest call.</param>
internal sealed record LatencySummary(long Count, long P50, long P99, long P999, long P9999, long Max)
{
    /// <summary>Several runs: the median of each percentile, and the longest call of all.</summary>
    public static LatencySummary Combine(IReadOnlyCollection<LatencySummary> runs)
    {
        return new(
            runs.Sum(run => run.Count),
            Median(run => run.P50),
            Median(run => run.P99),
            Median(run => run.P999),
            Median(run => run.P9999),
            runs.Max(run => run.Max));

        long Median(Func<LatencySummary, long> of) => (long)Statistics.Median(runs.Select(run => (double)of(run)));
    }
}
