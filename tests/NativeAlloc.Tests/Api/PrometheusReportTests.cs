using System.Text.RegularExpressions;
using NativeAlloc.Diagnostics;
using NativeAlloc.Slabs;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that <c>AllocatorReport.WritePrometheus</c> writes what Prometheus reads, with all figures and their numbers.
/// </summary>
public sealed partial class PrometheusReportTests : LeakCheckedTests
{
    [Fact]
    public void Every_line_is_a_comment_or_a_sample_of_the_metric_before_it()
    {
        string text = Write();
        Assert.EndsWith("\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain('\r', text);
        HashSet<string> metrics = [], series = [];
        string metric = "";
        foreach (string line in text.TrimEnd('\n').Split('\n'))
        {
            if (Help().Match(line) is { Success: true } help)
            {
                metric = help.Groups[1].Value;
                Assert.True(metrics.Add(metric), $"{metric} is there twice");
                continue;
            }
            if (Type().Match(line) is { Success: true } type)
            {
                Assert.Equal(metric, type.Groups[1].Value);
                Assert.Equal(type.Groups[2].Value == "counter", metric.EndsWith("_total", StringComparison.Ordinal));
                continue;
            }
            Match sample = Sample().Match(line);
            Assert.True(sample.Success, line);
            Assert.Equal(metric, sample.Groups[1].Value);
            Assert.True(series.Add(metric + sample.Groups[2].Value), $"{line} is there twice");
        }
    }

    [Fact]
    public unsafe void The_figures_are_those_of_the_statistics()
    {
        NativeAllocator.Free(NativeAllocator.Realloc(NativeAllocator.Alloc(100), 10_000));
        string[] lines = Write().Split('\n');
        AllocatorStatistics statistics = NativeAllocator.GetStatistics();
        foreach (Figure<AllocatorStatistics> figure in StatisticsTable.All)
        {
            string name = FigureName.Prometheus("nativealloc_", figure);
            string sample = Assert.Single(lines, line => line.StartsWith(name + " ", StringComparison.Ordinal));
            if (figure.Name != nameof(AllocatorStatistics.LockAcquisitions)) // reading takes locks itself
                Assert.Equal($"{name} {figure.Read(statistics)}", sample);
        }
        Assert.Contains("nativealloc_live_bytes " + statistics.LiveBytes, lines);
        Assert.Contains(lines, line => line.StartsWith("nativealloc_zone_free_pages{node=\"0\",zone=\"normal\"} ",
            StringComparison.Ordinal));
    }

    [Fact]
    public unsafe void A_cache_is_named_and_what_its_name_has_is_escaped()
    {
        using SlabCache cache = new("a\"b\"\\c", 304), twin = new("a\"b\"\\c", 304);
        void* one = cache.Alloc(), two = twin.Alloc();
        string text = Write();
        Assert.Contains("nativealloc_cache_object_bytes{cache=\"a\\\"b\\\"\\\\c\"} 304\n", text,
            StringComparison.Ordinal);
        Assert.Contains("nativealloc_cache_object_bytes{cache=\"a\\\"b\\\"\\\\c#", text, StringComparison.Ordinal);
        cache.Free(one);
        twin.Free(two);
    }

    [Fact]
    public unsafe void Caches_with_one_name_have_labels_of_their_own_whatever_their_sizes()
    {
        using SlabCache first = new("twin", 304), second = new("twin", 320);
        int index = CacheChain.All().Last(cache => cache.Name == "twin").Index;
        using SlabCache third = new($"twin#{index}", 336);
        SlabCache[] caches = [first, second, third];
        string[]? labels = null;
        foreach (SlabCache largest in caches)
        {
            List<(SlabCache Cache, nint Address)> objects = [];
            foreach (SlabCache cache in caches)
                for (int i = 0; i < (cache == largest ? 5000 : 1); i++) objects.Add((cache, (nint)cache.Alloc()));
            string text = Write();
            foreach ((SlabCache cache, nint address) in objects) cache.Free((void*)address);
            NativeAllocator.Trim();
            string[] now = [.. caches.Select(cache => Assert.Single(LabelOf().Matches(text),
                match => match.Groups[2].Value == cache.ObjectSize.ToString(null, null)).Groups[1].Value)];
            Assert.Equal(3, now.Distinct().Count());
            Assert.Equal("twin", now[0]);
            Assert.Equal(labels ??= now, now);
        }
    }

    [Fact]
    public unsafe void No_more_caches_are_named_than_a_monitoring_system_can_bear()
    {
        SlabCache[] caches =
            [.. Enumerable.Range(0, PrometheusReport.MostCaches + 5).Select(i => new SlabCache($"many-{i}", 64))];
        nint[] objects = [.. caches.Select(cache => (nint)cache.Alloc())];
        string[] lines = Write().Split('\n');
        Assert.Equal(PrometheusReport.MostCaches, lines.Count(line =>
            line.StartsWith("nativealloc_cache_slabs{", StringComparison.Ordinal)));
        string omitted = Assert.Single(lines, line =>
            line.StartsWith("nativealloc_caches_omitted ", StringComparison.Ordinal));
        Assert.InRange(int.Parse(omitted.Split(' ')[1], null), 5, 1000);
        for (int i = 0; i < caches.Length; i++)
        {
            caches[i].Free((void*)objects[i]);
            caches[i].Dispose();
        }
    }

    [Fact]
    public void No_writer_is_an_error() =>
        Assert.Throws<ArgumentNullException>(() => AllocatorReport.WritePrometheus(null!));

    private static string Write()
    {
        using StringWriter writer = new() { NewLine = "\r\n" };
        AllocatorReport.WritePrometheus(writer);
        return writer.ToString();
    }

    [GeneratedRegex(@"^# HELP ([a-z_]+) .+\.$")]
    private static partial Regex Help();

    [GeneratedRegex("""nativealloc_cache_object_bytes\{cache="(twin[^"]*)"\} (\d+)""")]
    private static partial Regex LabelOf();

    [GeneratedRegex("^# TYPE ([a-z_]+) (gauge|counter)$")]
    private static partial Regex Type();

    [GeneratedRegex("""^([a-z_]+)(\{[a-z]+="(?:[^"\\]|\\.)*"(?:,[a-z]+="(?:[^"\\]|\\.)*")*\})? (\d+)$""")]
    private static partial Regex Sample();
}
