using System.Text.Json;
using NativeAlloc.Diagnostics;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Diagnostics;

/// <summary>Proves that the heap map shows what is there, and that its page needs nothing else.</summary>
public sealed unsafe class HeapMapTests : LeakCheckedTests
{
    [Fact]
    public void Each_kind_of_page_is_on_the_map()
    {
        void* slab = NativeAllocator.Alloc(1000), large = NativeAllocator.Alloc(900_000);
        void* block = PageAllocator.GetFreePages(2);
        HeapMap map = HeapMap.Read();
        Assert.Equal(MapKind.Slab, At(map, slab));
        Assert.Equal(MapKind.Large, At(map, large));
        Assert.Equal(MapKind.Large, At(map, (byte*)large + 800_000));
        Assert.Equal(MapKind.Block, At(map, (byte*)block + 3 * PageAllocator.PageSize));
        NativeAllocator.Free(slab);
        NativeAllocator.Free(large);
        PageAllocator.FreePages(block, 2);
    }

    [Fact]
    public void The_page_has_its_data_and_loads_nothing()
    {
        using StringWriter map = new(), report = new();
        AllocatorReport.WriteHeapMap(map);
        AllocatorReport.WriteHtmlReport(report);
        foreach (string page in (string[])[map.ToString(), report.ToString()])
        {
            Assert.StartsWith("<!DOCTYPE html>", page, StringComparison.Ordinal);
            Assert.EndsWith("</html>", page.TrimEnd(), StringComparison.Ordinal);
            Assert.DoesNotContain("src=", page, StringComparison.Ordinal);
            Assert.DoesNotContain("http", page, StringComparison.Ordinal);
            JsonElement data = JsonDocument.Parse(page[HtmlPage.Head.Length..^HtmlPage.Tail.Length]).RootElement;
            Assert.Equal((int)LinearRegion.OnlinePages, data.GetProperty("kinds").GetBytesFromBase64().Length);
        }
        Assert.Contains("slabinfo - version", report.ToString(), StringComparison.Ordinal);
        Assert.Throws<ArgumentNullException>(() => AllocatorReport.WriteHeapMap(null!));
        Assert.Throws<ArgumentNullException>(() => AllocatorReport.WriteHtmlReport(null!));
    }

    [Fact]
    public void A_report_has_the_last_minutes_and_a_map_has_not()
    {
        using StringWriter map = new(), report = new();
        AllocatorReport.WriteHtmlReport(report);
        report.GetStringBuilder().Clear();
        void* block = NativeAllocator.Alloc(5_000_000);
        AllocatorReport.WriteHtmlReport(report);
        NativeAllocator.Free(block);
        AllocatorReport.WriteHeapMap(map);
        double[][] samples = HistoryOf(report);
        Assert.True(samples.Length >= 2);
        Assert.Equal(0, samples[^1][0]);
        Assert.True(samples[^1][2] - samples[^2][2] >= 5_000_000, string.Join(' ', samples[^1]));
        Assert.Empty(HistoryOf(map));
    }

    [Fact]
    public void The_last_minutes_are_a_bounded_number_of_samples_in_their_order()
    {
        for (int i = 0; i < History.MostSamples + 10; i++) History.Begin();
        HistorySample[] samples = History.Read();
        Assert.Equal(History.MostSamples, samples.Length);
        Assert.True(samples.Zip(samples.Skip(1)).All(pair => pair.First.Milliseconds <= pair.Second.Milliseconds));
    }

    [Fact]
    public void The_thread_of_the_decay_keeps_the_last_minutes_from_the_first_report_on() =>
        ChildProcess.RunHost([("NATIVEALLOC_DECAY_MILLISECONDS", "50")], ReportHistory.Name).ShouldSucceed();

    [Fact]
    public void A_heap_of_another_process_is_drawn_into_a_file()
    {
        using TemporaryDirectory directory = new();
        string file = directory.Combine("heap.html");
        Assert.Contains(" KiB in ", ChildProcess.RunHost([], MappedHeap.Name, "0.1", file).ShouldSucceed().Output,
            StringComparison.Ordinal);
        Assert.StartsWith(HtmlPage.Head, File.ReadAllText(file), StringComparison.Ordinal);
    }

    // For each sample: seconds before the last, resident, live, cached bytes.
    private static double[][] HistoryOf(StringWriter page)
    {
        string json = page.ToString()[HtmlPage.Head.Length..^HtmlPage.Tail.Length];
        return [.. JsonDocument.Parse(json).RootElement.GetProperty("history").EnumerateArray().Select(
            static sample => sample.EnumerateArray().Select(static number => number.GetDouble()).ToArray())];
    }

    private static MapKind At(HeapMap map, void* address) =>
        (MapKind)map.Kinds[(int)LinearRegion.PageIndexOf(address) / map.PagesPerCell];
}
