using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.NoEmit;
using NativeAlloc.BenchmarkHost;
using Xunit;

namespace NativeAlloc.ClientTests;

/// <summary>
/// Runs benchmarks of which it is known what they allocate, in processes of their own and in this one, and reads what
/// the diagnoser says of them.
/// </summary>
public sealed class DiagnoserTests
{
    private static readonly Lazy<(Summary Summary, string Log)> s_run = new(static () => Run(typeof(SampleBenchmarks),
        Program.Job.WithToolchain(new PrebuiltToolchain()).WithEnvironmentVariable("DOTNET_EnableDiagnostics", "0")));

    [Theory]
    [InlineData("Nothing", 0, 0, 0, 0)]
    [InlineData("ThreeBlocks", 3, 3 * 112, 0, 0)]
    [InlineData("Leak", 1, 112, 1, 112)]
    [InlineData("Exchange", 1, 32, 0, 0)]
    [InlineData("LargeBlocks", 2, 3_600_000, 0, 0)]
    [InlineData("OtherThread", 1, 48, 0, 0)]
    [InlineData("Many", 1, 16, 0, 0)]
    public void An_operation_is_counted(string benchmark, double blocks, double bytes, double leakedBlocks,
        double leakedBytes)
    {
        double[] found = CountsOf(s_run.Value.Summary, benchmark);
        Assert.True(found.SequenceEqual([blocks, bytes, leakedBlocks, leakedBytes]),
            $"{string.Join(' ', found)}\n{s_run.Value.Log}");
    }

    [Theory]
    [InlineData("End", "its process ended before")]
    [InlineData("Profiled", "profiler runs already")]
    public void A_benchmark_that_cannot_be_counted_says_why(string benchmark, string reason)
    {
        Assert.Empty(CountsOf(s_run.Value.Summary, benchmark));
        Assert.Contains(s_run.Value.Log.Split('\n'), line => line.StartsWith($"{nameof(SampleBenchmarks)}.{benchmark}:",
            StringComparison.Ordinal) && line.Contains(reason, StringComparison.Ordinal));
    }

    [Fact]
    public void The_columns_say_what_they_are()
    {
        string log = s_run.Value.Log;
        foreach (string column in (string[])["Native blocks", "Native bytes", "Leaked blocks", "Leaked bytes"])
            Assert.Contains(column, log, StringComparison.Ordinal);
        Assert.Contains("336 B", log, StringComparison.Ordinal);
    }

    [Fact]
    public void Each_iteration_has_a_setup_of_its_own_also_in_this_process()
    {
        (Summary summary, string log) = Run(typeof(SetupBenchmarks),
            Job.Dry.WithToolchain(InProcessNoEmitToolchain.Instance));
        Assert.True(CountsOf(summary, "Free").SequenceEqual([0, 0, -1, -208]), log);
    }

    private static (Summary Summary, string Log) Run(Type type, Job job)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("nativealloc");
        try
        {
            AccumulationLogger logger = new();
            IConfig config = ManualConfig.CreateEmpty().AddJob(job).AddLogger(logger)
                .AddColumnProvider(DefaultConfig.Instance.GetColumnProviders().ToArray())
                .WithArtifactsPath(folder.FullName);
            Summary summary = BenchmarkRunner.Run(type, config);
            return (summary, logger.GetLog());
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    // In the order of the columns; none where there are none.
    private static double[] CountsOf(Summary summary, string benchmark)
    {
        BenchmarkReport report = summary.Reports.Single(report =>
            report.BenchmarkCase.Descriptor.WorkloadMethod.Name == benchmark);
        return [.. report.Metrics.Values.Where(static metric =>
            metric.Descriptor.Id.StartsWith("NativeAlloc", StringComparison.Ordinal))
            .OrderBy(static metric => metric.Descriptor.PriorityInCategory).Select(static metric => metric.Value)];
    }
}
