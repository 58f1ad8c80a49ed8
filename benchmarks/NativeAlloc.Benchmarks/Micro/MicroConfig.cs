using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Filters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Arms;
using Perfolizer.Horology;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>How the microbenchmarks run: BenchmarkDotNet's ways, without the arms that are not available.</summary>
internal sealed class MicroConfig : ManualConfig
{
    public MicroConfig()
    {
        // A mutator, so that it also holds for a job chosen on the command line. There are some 300 combinations:
        // shorter and fewer iterations than usual keep all of them to well under an hour.
        AddJob(Job.Default
            .WithEnvironmentVariable(CLibrary.RequiredEnvironment.Key, CLibrary.RequiredEnvironment.Value)
            .WithIterationTime(TimeInterval.FromMilliseconds(200))
            .WithMaxIterationCount(20)
            .AsMutator());
        HideColumns("EnvironmentVariables");
        AddLogger(ConsoleLogger.Default);
        AddExporter(MarkdownExporter.GitHub);
        AddColumnProvider(DefaultColumnProviders.Instance);
        AddFilter(new SimpleFilter(benchmark => IsAvailable(benchmark.Descriptor.WorkloadMethod.Name)));
    }

    /// <summary>
    /// A method is named after its arm; one that has another name needs nothing that could be missing.
    /// </summary>
    private static bool IsAvailable(string method) =>
        ArmRegistry.Managed.FirstOrDefault(arm =>
            arm.Name.Equals(method, StringComparison.OrdinalIgnoreCase))?.Missing is null;
}
