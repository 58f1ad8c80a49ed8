using System.Text.Json;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Growth;

/// <summary>One quantity that an arm has measured, condensed.</summary>
/// <param name="Name">What was measured, unique within the arm.</param>
/// <param name="First">The first sample of a process: memory that nobody has used for a while.</param>
/// <param name="Median">The middle of all samples.</param>
/// <param name="Best">The smallest of all samples.</param>
internal sealed record GrowthFigure(string Name, double First, double Median, double Best)
{
    public static GrowthFigure Of(string name, IReadOnlyList<double> samples) =>
        new(name, samples[0], Statistics.Median(samples), samples.Min());

    /// <summary>The same quantity from several processes: the median of their medians, and the best of all.</summary>
    public static GrowthFigure Combine(IReadOnlyCollection<GrowthFigure> runs) => new(
        runs.First().Name,
        Statistics.Median(runs.Select(run => run.First)),
        Statistics.Median(runs.Select(run => run.Median)),
        runs.Min(run => run.Best));

    public static string ToJson(IReadOnlyList<GrowthFigure> figures) => JsonSerializer.Serialize(figures, JsonSerializerOptions.Web);

    /// <exception cref="JsonException">The text is no list of figures.</exception>
    public static List<GrowthFigure> Parse(string json) =>
        JsonSerializer.Deserialize<List<GrowthFigure>>(json, JsonSerializerOptions.Web) ?? throw new JsonException("no figures");
}
