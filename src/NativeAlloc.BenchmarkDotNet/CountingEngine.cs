using System.Diagnostics;
using BenchmarkDotNet.Characteristics;
using BenchmarkDotNet.Engines;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Reports;

namespace NativeAlloc.BenchmarkDotNet;

/// <summary>
/// BenchmarkDotNet's engine, and two iterations behind its own. In both each allocation is a sample of the profiler.
/// The first is not counted: it finds out how many operations there is time for, and uses up what threads have in
/// magazines that were loaded before the profiler ran, as the profiler does not see these objects.
/// </summary>
internal sealed class CountingEngine(IEngine engine, EngineParameters parameters) : IEngine
{
    // For the first of the two iterations. An operation alone may take longer.
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(200);

    // Threads may move what is cached while the statistics are read.
    private const int MostReads = 20;

    public IHost Host => engine.Host;

    public Job TargetJob => engine.TargetJob;

    public long OperationsPerInvoke => engine.OperationsPerInvoke;

    public Action? GlobalSetupAction => engine.GlobalSetupAction;

    public Action? GlobalCleanupAction => engine.GlobalCleanupAction;

    public Action<long> WorkloadAction => engine.WorkloadAction;

    public Action<long> OverheadAction => engine.OverheadAction;

    public IResolver Resolver => engine.Resolver;

    public RunResults Run()
    {
        RunResults results = engine.Run();
        IReadOnlyList<Measurement> timed = results.Workload;
        long invocations = timed.Count == 0 ? 1 : timed[timed.Count - 1].Operations / OperationsPerInvoke;
        Host.WriteLine(CountOrExcuse(Math.Max(1, invocations)));
        return results;
    }

    public Measurement RunIteration(IterationData data) => engine.RunIteration(data);

    public void WriteLine() => engine.WriteLine();

    public void WriteLine(string line) => engine.WriteLine(line);

    public void Dispose() => engine.Dispose();

    private string CountOrExcuse(long mostInvocations)
    {
        NativeAllocator.ReleaseThreadCache();
        try
        {
            AllocationProfiler.Start(sampleEveryBytes: 1);
        }
        catch (Exception error) when (error is InvalidOperationException or PlatformNotSupportedException)
        {
            return OperationCounts.Excuse(error.Message);
        }
        try
        {
            long invocations = 0;
            RunOnce(() => invocations = FindInvocations(mostInvocations));
            return Count(invocations).ToLine();
        }
        finally
        {
            AllocationProfiler.Stop();
        }
    }

    private OperationCounts Count(long invocations)
    {
        AllocatorStatistics before = default, after = default;
        long blocks = 0, bytes = 0;
        RunOnce(() =>
        {
            before = ReadAtRest();
            (blocks, bytes) = (AllocationProfiler.AllocatedBlocks, AllocationProfiler.AllocatedBytes);
            parameters.WorkloadActionNoUnroll(invocations);
            blocks = AllocationProfiler.AllocatedBlocks - blocks;
            bytes = AllocationProfiler.AllocatedBytes - bytes;
            after = ReadAtRest();
        });
        return new OperationCounts(invocations * OperationsPerInvoke, blocks, bytes,
            after.LiveBlocks - before.LiveBlocks, (long)after.LiveBytes - (long)before.LiveBytes);
    }

    // An iteration as the engine has it: a benchmark may use up what its setup has made.
    private void RunOnce(Action workload)
    {
        parameters.IterationSetupAction?.Invoke();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        workload();
        parameters.IterationCleanupAction?.Invoke();
    }

    // Returns how many invocations there is time for, at most so many as an iteration that was timed had.
    private long FindInvocations(long most)
    {
        Stopwatch clock = Stopwatch.StartNew();
        long done = 0;
        for (long next = 1; next != 0 && (done == 0 || clock.Elapsed < s_patience); next = Math.Min(done, most - done))
        {
            parameters.WorkloadActionNoUnroll(next);
            done += next;
        }
        return done;
    }

    // The statistics when two in a row say the same.
    private static AllocatorStatistics ReadAtRest()
    {
        AllocatorStatistics last = NativeAllocator.GetStatistics();
        for (int read = 1; read < MostReads; read++)
        {
            AllocatorStatistics next = NativeAllocator.GetStatistics();
            if (next.LiveBlocks == last.LiveBlocks && next.LiveBytes == last.LiveBytes) break;
            last = next;
            Thread.Sleep(1);
        }
        return last;
    }
}
