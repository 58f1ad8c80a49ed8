using System.Diagnostics;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>
/// One run: a prepared workload on one allocator, in this process.
/// <para>
/// Time: every pass is timed alone; the run's value is the median of the timed passes, and the fastest one is kept too.
/// Peak: VmHWM after all passes less VmRSS right before the first, the kernel's peak being reset in between. The
/// warm-up therefore uses a small stand-in for the workload, so that the allocator has not already grown when the
/// baseline is taken.
/// </para>
/// <para>
/// A workload that is to run once has one pass, the first of its process, and it is timed.
/// </para>
/// <para>
/// Counters of the allocator and the processor time are taken over the timed passes, per operation.
/// Whatever else a workload tells about the allocator it finds out last, when nothing is timed any more.
/// </para>
/// </summary>
internal static class Measurement
{
    private static readonly Dictionary<string, long> s_none = [];

    /// <param name="begin">Called right before the first pass; null if there is nothing to do.</param>
    public static RunResult Run<TAllocator>(IPreparedWorkload workload, PassPolicy policy, Action? begin = null)
        where TAllocator : struct, IAllocator
    {
        // Everything managed that the passes need is allocated here, ahead of the baseline.
        double[] times = new double[PassPolicy.MaxTimedPasses];
        if (!workload.Cold)
            WarmUp<TAllocator>(workload);
        begin?.Invoke();

        long baseline = ResidentMemory.ResetPeak();
        if (workload.Once)
            policy = PassPolicy.Once;
        else
            workload.RunPass<TAllocator>();
        // Before the first call of a process there is nothing to read, and reading would be that call.
        IReadOnlyDictionary<string, long> counted = workload.Cold ? s_none : TAllocator.ReadCounters();
        IReadOnlyDictionary<string, long> countedAgain = workload.Cold ? s_none : TAllocator.ReadCounters();
        long faults = PageFaults.Count;
        TimeSpan cpu = Environment.CpuUsage.TotalTime;
        int passes = 0;
        long began = Stopwatch.GetTimestamp();
        while (!policy.IsEnough(passes, Stopwatch.GetElapsedTime(began)))
            times[passes++] = workload.RunPass<TAllocator>();
        long peak = ResidentMemory.PeakKiB;
        cpu = Environment.CpuUsage.TotalTime - cpu;
        faults = PageFaults.Count - faults;
        IReadOnlyDictionary<string, long> now = workload.Cold ? s_none : TAllocator.ReadCounters();

        double operations = (double)workload.Operations * passes;
        Dictionary<string, double> counters = CountersSince(counted, countedAgain, now, operations);
        counters[PageFaults.Name] = faults * 1000 / operations;
        return Condense(times.AsSpan(0, passes), Math.Max(0, peak - baseline), workload) with
        {
            Figures = workload.Examine<TAllocator>(),
            CpuNsPerOp = cpu.TotalNanoseconds / operations,
            Counters = counters,
        };
    }

    private static RunResult Condense(ReadOnlySpan<double> ticks, long peakKiB, IPreparedWorkload workload)
    {
        double[] times = ticks.ToArray();
        foreach (ref double time in times.AsSpan())
            time *= 1e9 / Stopwatch.Frequency / workload.Operations;
        return new RunResult(
            Statistics.Median(times), times.Min(), peakKiB, workload.LiveKiB, workload.Operations, times.Length);
    }

    /// <summary>
    /// Brings code to its final form, and the allocator to where it holds nothing of the stand-in. What that leaves
    /// behind would count only for the allocators that give memory back unasked.
    /// </summary>
    private static void WarmUp<TAllocator>(IPreparedWorkload workload)
        where TAllocator : struct, IAllocator
    {
        Tiering.RunUntilOptimised(() =>
        {
            TAllocator.WarmUp();
            workload.WarmUp<TAllocator>();
        });
        _ = CountersSince(TAllocator.ReadCounters(), TAllocator.ReadCounters(), TAllocator.ReadCounters(), 1);
        _ = ResidentMemory.ResetPeak() + ResidentMemory.PeakKiB + PageFaults.Count;
        GC.Collect();
        TAllocator.Trim();
    }

    /// <summary>
    /// Per 1000 operations. Reading counters may itself be counted (it takes locks), which reading them twice in a row
    /// tells.
    /// </summary>
    private static Dictionary<string, double> CountersSince(
        IReadOnlyDictionary<string, long> before,
        IReadOnlyDictionary<string, long> again,
        IReadOnlyDictionary<string, long> now,
        double operations) =>
        now.ToDictionary(
            counter => counter.Key,
            counter => (counter.Value - (2 * again[counter.Key]) + before[counter.Key]) * 1000 / operations);
}
