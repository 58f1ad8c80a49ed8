using System.Text.Json;
using NativeAlloc.Diagnostics;
using NativeAlloc.Pages;
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

    private static MapKind At(HeapMap map, void* address) =>
        (MapKind)map.Kinds[(int)LinearRegion.PageIndexOf(address) / map.PagesPerCell];
}
