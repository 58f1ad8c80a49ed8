using NativeAlloc.Os;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that high pages have no address, hold what is written to them through a mapping, and are replaced by others
/// where there are none.
/// </summary>
public sealed unsafe class PageHighTests : LeakCheckedTests
{
    private const nuint PageBytes = PageAllocator.PageSize;

    private const int SectionPages = 1024;

    public static TheoryData<int> Orders => [.. Enumerable.Range(0, PageAllocator.MaxOrder + 1)];

    [Theory]
    [MemberData(nameof(Orders))]
    public void A_high_block_has_no_address_and_is_counted_in_its_zone(int order)
    {
        Zones.Prepare(PageZone.High);
        ZoneStatistics before = Zones.Read(PageZone.High);
        AllocatorStatistics allBefore = NativeAllocator.GetStatistics();
        Page page = PageAllocator.AllocPages(order, PageFlags.High);
        ZoneStatistics during = Zones.Read(PageZone.High);
        Assert.True(page.Address == null);
        Assert.Equal((PageZone.High, 0), (page.Zone, page.Node));
        Assert.Equal(before.FreePages - (1 << order), during.FreePages);
        Assert.Equal(before.Hits + 1, during.Hits);
        Assert.Equal(allBefore.LiveBytes + (PageBytes << order), NativeAllocator.GetStatistics().LiveBytes);
        PageAllocator.FreePages(page, order);
        ZoneStatistics after = Zones.Read(PageZone.High);
        Assert.Equal((before.FreePages, before.OnlinePages), (after.FreePages, after.OnlinePages));
        Assert.Equal(0, after.OnlinePages % SectionPages);
    }

    [Fact]
    public void High_blocks_do_not_overlap_and_keep_what_is_written_to_them()
    {
        Random random = new(3);
        List<(Page Page, int Order)> blocks = [];
        for (int i = 0; i < 200; i++)
        {
            int order = random.Next(5);
            blocks.Add((PageAllocator.AllocPages(order,
                PageFlags.High | (i % 2 == 0 ? PageFlags.Movable : PageFlags.None)), order));
            Use(i, PagePattern.Fill);
            if (i % 3 != 0) continue;
            int victim = random.Next(blocks.Count);
            Use(victim, PagePattern.Check);
            PageAllocator.FreePages(blocks[victim].Page, blocks[victim].Order);
            blocks[victim] = (PageAllocator.AllocPages(order, PageFlags.High), order);
            Use(victim, PagePattern.Fill);
        }
        NativeAllocator.Trim();
        for (int i = 0; i < blocks.Count; i++)
        {
            Use(i, PagePattern.Check);
            PageAllocator.FreePages(blocks[i].Page, blocks[i].Order);
        }

        void Use(int index, PatternUse use) => UseBlock(blocks[index].Page, blocks[index].Order, (ulong)index, use);
    }

    [Fact]
    public void A_zeroed_high_block_is_zero_though_its_memory_was_used_before()
    {
        foreach (int order in new[] { 0, 1, 3, 8 })
        {
            Page dirty = PageAllocator.AllocPages(order, PageFlags.High);
            UseBlock(dirty, order, 1, PagePattern.Fill);
            PageAllocator.FreePages(dirty, order);
            Page zeroed = PageAllocator.AllocPages(order, PageFlags.High | PageFlags.Zeroed);
            Assert.Equal(dirty, zeroed); // otherwise nothing is proved
            UseBlock(zeroed, order, 0, static (address, bytes, _) => Pattern.CheckZero(address, bytes));
            PageAllocator.FreePages(zeroed, order);
        }
    }

    [Fact]
    public void Free_high_pages_give_their_memory_back_when_all_is_trimmed()
    {
        const int Order = 6;
        NativeAllocator.Trim();
        Page page = PageAllocator.AllocPages(Order, PageFlags.High);
        UseBlock(page, Order, 8, PagePattern.Fill);
        PageAllocator.FreePages(page, Order);
        Assert.True(NativeAllocator.Trim() >= PageBytes << Order);
        Assert.Equal((nuint)0, NativeAllocator.Trim());
        using HighWindow window = new(page, PageBytes << Order); // nobody's pages at this moment
        Pattern.CheckZero(window.Address, PageBytes << Order);
    }

    [Fact]
    public void Where_the_system_gives_no_more_high_pages_normal_ones_are_given()
    {
        Zones.Prepare(PageZone.High);
        Page[] high = [.. TakeAllHighSections()];
        using (new InjectedFaults(OsCall.GrowFile))
        {
            for (int order = 0; order <= PageAllocator.MaxOrder; order++)
            {
                Page page = PageAllocator.AllocPages(order, PageFlags.High);
                if (page.Zone == PageZone.High) Assert.NotEqual(PageAllocator.MaxOrder, order);
                else Assert.True(page.Address != null);
                PageAllocator.FreePages(page, order);
            }
            Page normal = PageAllocator.AllocPagesNode(0, PageAllocator.MaxOrder,
                PageFlags.High | PageFlags.ThisNode | PageFlags.Zeroed);
            Assert.Equal(PageZone.Normal, normal.Zone);
            Assert.Equal(-1, new Span<byte>(normal.Address, (int)Sizes.MiB).IndexOfAnyExcept((byte)0));
            PageAllocator.FreePages(normal, PageAllocator.MaxOrder);
        }
        NativeAllocator.Verify();
        Page again = PageAllocator.AllocPages(PageAllocator.MaxOrder, PageFlags.High);
        Assert.Equal(PageZone.High, again.Zone);
        PageAllocator.FreePages(again, PageAllocator.MaxOrder);
        foreach (Page page in high) PageAllocator.FreePages(page, PageAllocator.MaxOrder);
    }

    [Fact]
    public void Where_high_pages_cannot_be_cleared_normal_ones_are_given()
    {
        Page dirty = PageAllocator.AllocPages(2, PageFlags.High);
        UseBlock(dirty, 2, 9, PagePattern.Fill);
        PageAllocator.FreePages(dirty, 2);
        long free = Zones.Read(PageZone.High).FreePages;
        Page page;
        using (new InjectedFaults(OsCall.PurgeFile))
            page = PageAllocator.AllocPages(2, PageFlags.High | PageFlags.Zeroed);
        Assert.Equal(PageZone.Normal, page.Zone);
        Pattern.CheckZero(page.Address, PageBytes << 2);
        Assert.Equal(free, Zones.Read(PageZone.High).FreePages);
        PageAllocator.FreePages(page, 2);
    }

    private static List<Page> TakeAllHighSections()
    {
        List<Page> taken = [];
        using InjectedFaults faults = new(OsCall.GrowFile);
        while (true)
        {
            Page page = PageAllocator.AllocPages(PageAllocator.MaxOrder, PageFlags.High);
            if (page.Zone == PageZone.High)
            {
                taken.Add(page);
                continue;
            }
            PageAllocator.FreePages(page, PageAllocator.MaxOrder);
            return taken;
        }
    }

    private delegate void PatternUse(void* block, nuint bytes, ulong id);

    private static void UseBlock(Page page, int order, ulong id, PatternUse use)
    {
        using HighWindow window = new(page, PageBytes << order);
        use(window.Address, PageBytes << order, id);
    }
}
