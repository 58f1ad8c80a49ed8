using System.Text.Json;
using NativeAlloc.Benchmarks.Latency;

namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>
/// What one run (one child process) reports, as a line of JSON on its standard output. The C replayer prints the same.
/// </summary>
/// <param name="NsPerOp">The median of the timed passes.</param>
/// <param name="NsPerOpBest">The fastest timed pass.</param>
/// <param name="PeakKiB">The resident peak over all passes, less what was resident before the first.</param>
/// <param name="LiveKiB">The bytes that the workload itself has alive at its peak.</param>
/// <param name="Operations">Operations per pass, over all threads.</param>
/// <param name="Passes">How many passes were timed.</param>
/// <param name="Figures">What else the workload has found out about the allocator, by name; null if nothing.</param>
/// <param name="CpuNsPerOp">Processor time of all threads over the timed passes; null if it is not known.</param>
/// <param name="Counters"> What the allocator counted over the timed passes, by name, per 1000 operations; null if it
/// counts nothing. An operation is a single allocation or a single free, in every workload. </param>
/// <param name="Latency">How long single calls took, by kind of call; null unless they were timed.</param>
internal sealed record RunResult(
    double NsPerOp,
    double NsPerOpBest,
    long PeakKiB,
    long LiveKiB,
    long Operations,
    int Passes,
    IReadOnlyDictionary<string, double>? Figures = null,
    double? CpuNsPerOp = null,
    IReadOnlyDictionary<string, double>? Counters = null,
    IReadOnlyDictionary<string, LatencySummary>? Latency = null)
{
    public string ToJson() => JsonSerializer.Serialize(this, JsonSerializerOptions.Web);

    /// <exception cref="JsonException">The text is no result.</exception>
    public static RunResult Parse(string json) =>
        JsonSerializer.Deserialize<RunResult>(json, JsonSerializerOptions.Web) ?? throw new JsonException("no result");
}
