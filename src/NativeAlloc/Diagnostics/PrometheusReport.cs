using System.Globalization;
using NativeAlloc.Slabs;

namespace NativeAlloc.Diagnostics;

/// <summary>
/// The statistics in the text format that Prometheus reads (version 0.0.4, also valid for OpenMetrics readers that take
/// it): for each figure what it means, whether it is a gauge or a counter, and its number; of zones and caches one
/// number each, with labels.
/// </summary>
internal static class PrometheusReport
{
    /// <summary>
    /// Caches that are named; programs can have tens of thousands, and each series costs a monitoring system.
    /// </summary>
    internal const int MostCaches = 64;

    internal static void Write(TextWriter writer)
    {
        AllocatorStatistics statistics = NativeAllocator.GetStatistics();
        foreach (Figure<AllocatorStatistics> figure in StatisticsTable.All)
        {
            string name = FigureName.Prometheus("nativealloc_", figure);
            WriteHead(writer, name, figure);
            WriteSample(writer, name, "", figure.Read(statistics));
        }
        foreach (Figure<ZoneStatistics> figure in StatisticsTable.Zones)
        {
            string name = FigureName.Prometheus("nativealloc_zone_", figure);
            WriteHead(writer, name, figure);
            foreach (ZoneStatistics zone in statistics.Zones)
            {
                string kind = zone.Zone.ToString().ToLowerInvariant();
                WriteSample(writer, name, $"{{node=\"{zone.Node}\",zone=\"{kind}\"}}", figure.Read(zone));
            }
        }
        WriteCaches(writer);
    }

    // Those with the most memory. How many are left out is a figure of its own, so that nobody takes the sum for all.
    private static void WriteCaches(TextWriter writer)
    {
        List<NamedCache> caches = NamedCache.ReadAll();
        int named = Math.Min(caches.Count, MostCaches);
        string[] labels = [.. caches.Take(named).Select(cache => $"{{cache=\"{Escape(cache.Label)}\"}}")];
        foreach (Figure<CacheReport> figure in StatisticsTable.Caches)
        {
            string metric = FigureName.Prometheus("nativealloc_cache_", figure);
            WriteHead(writer, metric, figure);
            for (int i = 0; i < named; i++) WriteSample(writer, metric, labels[i], figure.Read(caches[i].Figures));
        }
        const string Omitted = "nativealloc_caches_omitted";
        writer.Write($"# HELP {Omitted} Caches with slabs that are not among the {MostCaches} that are named.\n");
        writer.Write($"# TYPE {Omitted} gauge\n");
        WriteSample(writer, Omitted, "", caches.Count - named);
    }

    // Lines end as the format says, whatever the writer's system does.
    private static void WriteHead<T>(TextWriter writer, string name, Figure<T> figure)
    {
        writer.Write($"# HELP {name} {figure.Meaning}\n");
        writer.Write($"# TYPE {name} {figure.Kind.ToString().ToLowerInvariant()}\n");
    }

    private static void WriteSample(TextWriter writer, string name, string labels, long number) =>
        writer.Write(string.Create(CultureInfo.InvariantCulture, $"{name}{labels} {number}\n"));

    // Names of caches have neither white space nor control characters, so no line can end in one.
    private static string Escape(string label) => label
        .Replace(@"\", @"\\", StringComparison.Ordinal)
        .Replace("\"", "\\\"", StringComparison.Ordinal);
}
