using System.Text.Json;
using System.Text.Json.Serialization;
using NativeAlloc.Benchmarks.Latency;

namespace NativeAlloc.Benchmarks.Comparing;

/// <summary>The results as a JSON array, for other programs. Pairs that failed are left out.</summary>
internal static class JsonReport
{
    private static readonly JsonSerializerOptions s_format = new(JsonSerializerOptions.Web)
    {
        WriteIndented = true,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    public static void Write(string path, IEnumerable<Outcome> outcomes)
    {
        IEnumerable<Entry> entries = outcomes.Where(outcome => outcome.Failure is null).Select(outcome => new Entry(
            outcome.Workload,
            outcome.Allocator,
            outcome.Threads,
            outcome.Runs,
            Math.Round(outcome.NsPerOp, 4),
            Math.Round(outcome.NsPerOpBest, 4),
            Math.Round(1e9 / outcome.NsPerOp),
            outcome.PeakKiB,
            outcome.LiveKiB,
            outcome.Operations,
            outcome.CpuNsPerOp is { } cpu ? Math.Round(cpu, 4) : null,
            outcome.Counters is { Count: > 0 } counters ? counters : null,
            outcome.Figures is { Count: > 0 } figures ? figures : null,
            outcome.Latency is { Count: > 0 } latency ? latency : null,
            outcome.Conditions));
        File.WriteAllText(path, JsonSerializer.Serialize(entries, s_format) + "\n");
    }

    private sealed record Entry(
        string Workload,
        string Allocator,
        int Threads,
        int Runs,
        double NsPerOp,
        double NsPerOpBest,
        double OpsPerSecond,
        long PeakKiB,
        long LiveKiB,
        long Operations,
        double? CpuNsPerOp,
        IReadOnlyDictionary<string, double>? CountersPer1000Operations,
        IReadOnlyDictionary<string, double>? Figures,
        IReadOnlyDictionary<string, LatencySummary>? LatencyNs,
        string? Conditions);
}
