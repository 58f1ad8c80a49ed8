using System.Text.Json;
using NativeAlloc.Diagnostics;
using NativeAlloc.Slabs;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that <c>AllocatorReport.WriteJson</c> writes all figures, their units, the zones and the caches, and that the
/// numbers are those of the statistics.
/// </summary>
public sealed unsafe class JsonReportTests : LeakCheckedTests
{
    [Fact]
    public void Every_figure_is_there_with_its_unit_and_its_number()
    {
        NativeAllocator.Free(NativeAllocator.Realloc(NativeAllocator.Alloc(100), 10_000));
        JsonElement json = Write();
        AllocatorStatistics statistics = NativeAllocator.GetStatistics();
        foreach (Figure<AllocatorStatistics> figure in StatisticsTable.All)
        {
            long written = json.GetProperty(figure.Name).GetInt64(), read = figure.Read(statistics);
            // reading takes locks itself
            if (figure.Name == nameof(AllocatorStatistics.LockAcquisitions)) Assert.InRange(written, 1, read);
            else Assert.Equal(read, written);
        }
        AssertUnits(json.GetProperty("units"), StatisticsTable.All);
        AssertUnits(json.GetProperty("units").GetProperty("zones"), StatisticsTable.Zones);
        AssertUnits(json.GetProperty("units").GetProperty("caches"), StatisticsTable.Caches);
        AssertKinds(json.GetProperty("kinds"), StatisticsTable.All);
        AssertKinds(json.GetProperty("kinds").GetProperty("zones"), StatisticsTable.Zones);
        AssertKinds(json.GetProperty("kinds").GetProperty("caches"), StatisticsTable.Caches);
        Assert.Equal(StatisticsTable.Version, json.GetProperty("version").GetInt32());
        string[] names = [.. json.EnumerateObject().Select(property => property.Name)];
        Assert.Equal(
            ["version", .. StatisticsTable.All.Select(figure => figure.Name), "units", "kinds", "zones", "caches"],
            names);
    }

    [Fact]
    public void The_zones_are_those_of_the_statistics()
    {
        void* page = PageAllocator.GetFreePage();
        JsonElement[] written = [.. Write().GetProperty("zones").EnumerateArray()];
        IReadOnlyList<ZoneStatistics> zones = NativeAllocator.GetStatistics().Zones;
        PageAllocator.FreePage(page);
        Assert.NotEmpty(written);
        Assert.Equal(zones.Count, written.Length);
        for (int i = 0; i < written.Length; i++)
        {
            Assert.Equal(zones[i].Node, written[i].GetProperty("node").GetInt32());
            Assert.Equal(zones[i].Zone.ToString(), written[i].GetProperty("zone").GetString());
            foreach (Figure<ZoneStatistics> figure in StatisticsTable.Zones)
                if (figure.Name != nameof(ZoneStatistics.LockAcquisitions))
                    Assert.Equal(figure.Read(zones[i]), written[i].GetProperty(figure.Name).GetInt64());
            foreach ((PageFlags type, string name) in new[] { (PageFlags.None, "unmovable"),
                (PageFlags.Reclaimable, "reclaimable"), (PageFlags.Movable, "movable") })
            {
                Assert.Equal(
                    Enumerable.Range(0, PageAllocator.MaxOrder + 1).Select(order => zones[i].FreeBlocks(order, type)),
                    written[i].GetProperty("freeBlocks").GetProperty(name).EnumerateArray()
                        .Select(count => count.GetInt64()));
                Assert.Equal(zones[i].Pageblocks(type),
                    written[i].GetProperty("pageblocks").GetProperty(name).GetInt64());
            }
        }
    }

    [Fact]
    public void The_caches_are_those_of_the_chain()
    {
        using SlabCache cache = new("json\"quoted\"", 304);
        void* one = cache.Alloc(), two = cache.Alloc();
        JsonElement[] written = [.. Write().GetProperty("caches").EnumerateArray()];
        Assert.Equal(CacheChain.All().Select(entry => entry.Item2),
            written.Select(entry => entry.GetProperty("name").GetString()));
        JsonElement own = Assert.Single(written, entry => entry.GetProperty("name").GetString() == cache.Name);
        Assert.Equal(304, own.GetProperty("ObjectBytes").GetInt64());
        Assert.Equal(2, own.GetProperty("Active").GetInt64() - own.GetProperty("Cached").GetInt64());
        foreach (JsonElement entry in written)
            Assert.Equal(["name", .. StatisticsTable.Caches.Select(figure => figure.Name)],
                entry.EnumerateObject().Select(property => property.Name));
        cache.Free(one);
        cache.Free(two);
    }

    [Fact]
    public void The_stream_stays_open_and_no_stream_is_an_error()
    {
        using MemoryStream stream = new();
        AllocatorReport.WriteJson(stream);
        Assert.True(stream.CanWrite);
        Assert.NotEqual(0, stream.Length);
        Assert.Throws<ArgumentNullException>(() => AllocatorReport.WriteJson(null!));
    }

    private static JsonElement Write()
    {
        using MemoryStream stream = new();
        AllocatorReport.WriteJson(stream);
        return JsonDocument.Parse(stream.ToArray()).RootElement;
    }

    private static void AssertUnits<T>(JsonElement units, Figure<T>[] figures)
    {
        foreach (Figure<T> figure in figures)
            Assert.Equal(figure.Unit.ToString(), units.GetProperty(figure.Name).GetString(), ignoreCase: true);
        Assert.Equal(figures.Length,
            units.EnumerateObject().Count(property => property.Value.ValueKind == JsonValueKind.String));
    }

    private static void AssertKinds<T>(JsonElement kinds, Figure<T>[] figures)
    {
        foreach (Figure<T> figure in figures)
            Assert.Equal(figure.Kind.ToString(), kinds.GetProperty(figure.Name).GetString(), ignoreCase: true);
    }
}
