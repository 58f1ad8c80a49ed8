using NativeAlloc.Pages;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows where the marks of a zone are, and that no number of pages is too small or too large for them.
/// </summary>
public sealed class WatermarksTests
{
    private const uint PagesOf4GiB = 65_536;

    [Theory]
    [InlineData(0u, 1, 1, 1)]
    [InlineData(1u, 1, 1, 1)]
    [InlineData(64u, 4, 5, 6)] // 4 MiB: 256 KiB
    [InlineData(PagesOf4GiB, 128, 160, 192)] // 8 MiB
    [InlineData(393_216u, 313, 391, 469)] // 24 GiB: 20 MiB
    [InlineData(1u << 24, 2048, 2560, 3072)] // 1 TiB: 128 MiB
    [InlineData(uint.MaxValue, 32_767, 40_958, 49_150)]
    public void The_marks_grow_with_the_root_of_memory(uint memoryPages, uint minPages, uint lowPages, uint highPages)
    {
        Watermarks marks = new(memoryPages, 1024, 1024);
        Assert.Equal(memoryPages, marks.LimitPages);
        Assert.Equal((minPages, lowPages, highPages), (marks.MinPages, marks.LowPages, marks.HighPages));
    }

    [Theory]
    [InlineData(1024u, 4096ul, PagesOf4GiB / 4, 32)]
    [InlineData(0u, 4096ul, 0, 1)]
    [InlineData(0u, 0ul, PagesOf4GiB, 128)] // no zone has a page yet
    [InlineData(4097u, 4096ul, PagesOf4GiB, 128)] // it has got one since all were counted
    public void A_zone_has_a_part_of_memory_by_its_part_of_the_pages(
        uint zonePages, ulong allPages, uint limitPages, uint minPages)
    {
        Watermarks marks = new(PagesOf4GiB, zonePages, allPages);
        Assert.Equal((limitPages, minPages), (marks.LimitPages, marks.MinPages));
    }
}
