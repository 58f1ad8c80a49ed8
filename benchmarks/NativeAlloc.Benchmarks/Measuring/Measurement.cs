using System.Diagnostics;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>
/// One run: a prepared workload on one allocator, in this process.
/// <para>
/// Time: every pass is timed alone; the run's value is the median of the timed passes, and the fastest one is kept too.
/// Peak: VmHWM after all passes less VmRSS right before the first, the kernel's peak being reset in between. The warm-up
/// therefore uses a small stand-in for the workload, so that the allocator has not already grown when the baseline is
/// taken.
/// </para>
/// <para>
/// Whatever else a workload tells about the allocator it finds out last, when nothing is timed any more.
/// </para>
/// </summary>
internal static class Measurement
{
    public static RunResult Run<TAllocator>(IPreparedWorkload workload, PassPolicy policy)
        where TAllocator : struct, IAllocator
    {
        // Everything managed that the passes need is allocated here, ahead of the baseline.
        double[] times = new double[PassPolicy.MaxTimedPasses];
        double nsPerTickPerOp = 1e9 / Stopwatch.Frequency / workload.Operations;

        Tiering.RunUntilOptimised(workload.WarmUp<TAllocator>);
        _ = ResidentMemory.ResetPeak() + ResidentMemory.PeakKiB;
        GC.Collect();

        long baseline = ResidentMemory.ResetPeak();
        workload.RunPass<TAllocator>();
        int passes = 0;
        long began = Stopwatch.GetTimestamp();
        while (!policy.IsEnough(passes, Stopwatch.GetElapsedTime(began)))
            times[passes++] = workload.RunPass<TAllocator>() * nsPerTickPerOp;
        long peak = ResidentMemory.PeakKiB;

        double[] timed = times[..passes];
        return new RunResult(
            Statistics.Median(timed),
            timed.Min(),
            Math.Max(0, peak - baseline),
            workload.LiveKiB,
            workload.Operations,
            passes,
            workload.Examine<TAllocator>());
    }
}
