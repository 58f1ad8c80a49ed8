using System.Collections.Concurrent;
using BenchmarkDotNet.Analysers;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Engines;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Validators;

namespace NativeAlloc.BenchmarkDotNet;

/// <summary>
/// Makes metrics of the counts, and says of which benchmarks there are none. There is one diagnoser for all configs, as
/// BenchmarkDotNet keeps one logger of a name.
/// </summary>
internal sealed class NativeAllocDiagnoser : IDiagnoser
{
    internal static readonly NativeAllocDiagnoser Instance = new();

    private const string Ended = "its process ended before its operations were counted.";

    /// <summary>
    /// Benchmarks that began and have no counts, and why. They run one after the other; signals come on threads of the
    /// pool.
    /// </summary>
    private readonly ConcurrentDictionary<string, string> _excuses = new();

    public IEnumerable<string> Ids => [nameof(NativeAllocDiagnoser)];

    public IEnumerable<IExporter> Exporters => [];

    public IEnumerable<IAnalyser> Analysers => [];

    // What is timed is over when operations are counted.
    public RunMode GetRunMode(BenchmarkCase benchmarkCase) => RunMode.NoOverhead;

    public void Handle(HostSignal signal, DiagnoserActionParameters parameters)
    {
        if (signal != HostSignal.BeforeAnythingElse) return;
        CountsLogger.Instance.ReadAndReset(); // of a benchmark that failed when it had been counted
        _excuses[parameters.BenchmarkCase.DisplayInfo] = Ended;
    }

    public IEnumerable<Metric> ProcessResults(DiagnoserResults results)
    {
        string benchmark = results.BenchmarkCase.DisplayInfo;
        if (CountsLogger.Instance.ReadAndReset() is not { } line)
        {
            _excuses[benchmark] = "no counts came: is its engine another one, or is the output of its toolchain off?";
            return [];
        }
        OperationCounts.TryParse(line, out OperationCounts counts, out string? excuse);
        if (excuse == null) _excuses.TryRemove(benchmark, out _);
        else _excuses[benchmark] = excuse;
        return excuse == null ? CountDescriptor.MetricsOf(counts) : [];
    }

    public void DisplayResults(ILogger logger)
    {
        foreach ((string benchmark, string excuse) in _excuses) logger.WriteLineError($"{benchmark}: {excuse}");
        _excuses.Clear();
    }

    public IEnumerable<ValidationError> Validate(ValidationParameters validationParameters) =>
        validationParameters.Benchmarks
            .Where(static benchmark => benchmark.Job.Infrastructure.EngineFactory is not NativeAllocEngineFactory)
            .Select(static benchmark => new ValidationError(isCritical: false,
                $"The job {benchmark.Job.ResolvedId} has an engine factory of its own, so "
                + $"{nameof(NativeAllocDiagnoser)} cannot count what its operations allocate.", benchmark));
}
