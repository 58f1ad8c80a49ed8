using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows the ways of a page between a thread's list, the zone and the system, that none is lost on any of them, and
/// that the layer stands when the system refuses.
/// </summary>
public sealed unsafe class PageLayerTests : IDisposable
{
    private readonly uint _usedBefore, _besideSlabsBefore;

    public PageLayerTests()
    {
        TestZone.Settle();
        // Whatever ran before, there is a section, and no free page has memory behind it, of other zones neither.
        Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.UsedFirst, out uint page));
        PageLayer.GivePages(page, 1);
        PageLayer.Purge();
        _usedBefore = UsedPages();
        _besideSlabsBefore = TestZone.UsedBesideSlabs();
    }

    public void Dispose()
    {
        TestZone.Normal->Verify();
        Assert.Equal(_besideSlabsBefore, TestZone.UsedBesideSlabs());
        Assert.Equal(DirtyPages(), TestZone.Normal->DirtyPages);
    }

    [Fact]
    public void A_single_page_brings_a_batch_of_used_ones_and_the_next_ones_take_no_lock()
    {
        ThreadPages hot = default;
        MakeUsed(HotPages.Batch);
        Assert.True(PageLayer.TryTakePages(&hot, 1, MemoryChoice.UsedFirst, out uint first));
        Assert.Equal(HotPages.Batch - 1, hot.Count);
        HashSet<uint> pages = [first];
        uint locks = TestZone.Normal->Lock.Acquisitions;
        for (int i = 1; i < HotPages.Batch; i++)
        {
            Assert.True(PageLayer.TryTakePages(&hot, 1, MemoryChoice.UsedFirst, out uint page));
            Assert.True(pages.Add(page));
        }
        Assert.Equal(locks, TestZone.Normal->Lock.Acquisitions);
        Assert.Equal(0, hot.Count);
        foreach (uint page in pages) PageLayer.GivePages(&hot, page, 1);
        Assert.Equal(locks, TestZone.Normal->Lock.Acquisitions);
        Assert.Equal(HotPages.Batch, hot.Count);
        foreach (uint page in pages) Assert.Equal(PageState.Hot, LinearRegion.Frames[page].State);
        PageLayer.Drain(&hot);
    }

    [Fact]
    public void A_list_is_filled_with_used_pages_only_and_a_fresh_page_comes_alone()
    {
        const int Used = 5;
        ThreadPages hot = default;
        MakeUsed(Used);
        uint dirty = TestZone.Normal->DirtyPages;
        List<uint> pages = [];
        for (int i = 1; i <= Used; i++)
        {
            Assert.True(PageLayer.TryTakePages(&hot, 1, MemoryChoice.UsedFirst, out uint page));
            pages.Add(page);
            Assert.Equal(Used - i, hot.Count);
        }
        Assert.Equal(dirty, TestZone.Normal->DirtyPages);
        for (uint i = 1; i <= 3; i++)
        {
            Assert.True(PageLayer.TryTakePages(&hot, 1, MemoryChoice.UsedFirst, out uint page));
            pages.Add(page);
            Assert.Equal(0, hot.Count);
            Assert.Equal(dirty + i, TestZone.Normal->DirtyPages);
        }
        Assert.Equal(pages.Count, pages.Distinct().Count());
        Assert.False(PageLayer.TryTakePages(&hot, 1, MemoryChoice.UsedOnly, out _));
        foreach (uint page in pages) PageLayer.GivePages(&hot, page, 1);
        PageLayer.Drain(&hot);
    }

    [Fact]
    public void Who_wants_a_fresh_page_gets_none_that_is_hot_or_used()
    {
        ThreadPages hot = default;
        MakeUsed(HotPages.Batch + 4);
        Assert.True(PageLayer.TryTakePages(&hot, 1, MemoryChoice.UsedFirst, out uint used));
        Assert.Equal(HotPages.Batch - 1, hot.Count);
        MakeFreshBlock();
        uint dirty = TestZone.Normal->DirtyPages;
        Assert.True(PageLayer.TryTakePages(&hot, 1, MemoryChoice.FreshFirst, out uint fresh));
        Assert.Equal(dirty + 1, TestZone.Normal->DirtyPages);
        Assert.Equal(HotPages.Batch - 1, hot.Count);
        PageLayer.GivePages(&hot, used, 1);
        PageLayer.GivePages(&hot, fresh, 1);
        PageLayer.Drain(&hot);
    }

    [Fact]
    public void Hot_pages_become_a_larger_block_before_fresh_memory_does()
    {
        ThreadPages hot = default;
        uint first = MakeUsed(HotPages.Batch);
        for (uint page = first; page < first + HotPages.Batch; page++)
        {
            Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.UsedOnly, out uint single));
            PageLayer.GivePages(&hot, single, 1);
        }
        Assert.Equal(HotPages.Batch, hot.Count);
        uint dirty = TestZone.Normal->DirtyPages;
        Assert.True(PageLayer.TryTakePages(&hot, 8, MemoryChoice.UsedFirst, out uint merged));
        Assert.InRange(merged, first, first + HotPages.Batch - 8);
        Assert.Equal(0, hot.Count);
        Assert.Equal(dirty, TestZone.Normal->DirtyPages);
        // There is another used block: the list may stay as it is.
        Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.UsedOnly, out uint last));
        PageLayer.GivePages(&hot, last, 1);
        Assert.True(PageLayer.TryTakePages(&hot, 2, MemoryChoice.UsedFirst, out uint pair));
        Assert.Equal(1, hot.Count);
        Assert.Equal(dirty, TestZone.Normal->DirtyPages);
        PageLayer.GivePages(&hot, merged, 8);
        PageLayer.GivePages(&hot, pair, 2);
        PageLayer.Drain(&hot);
    }

    [Fact]
    public void Used_memory_or_nothing_brings_no_section_online()
    {
        PageLayer.Purge();
        uint online = LinearRegion.OnlinePages;
        for (int order = 0; order < PageGeometry.OrderCount; order++)
        {
            Assert.False(PageLayer.TryTake(null, PageRequest.Block(order) with { Choice = MemoryChoice.UsedOnly },
                out uint page, out Refusal failure));
            Assert.Equal(PageFrame.None, page);
            Assert.Equal(Refusal.OutOfMemory, failure);
        }
        Assert.Equal(online, LinearRegion.OnlinePages);
    }

    [Fact]
    public void A_full_list_gives_a_batch_back_under_one_lock()
    {
        ThreadPages hot = default;
        List<uint> pages = [];
        for (int i = 0; i <= HotPages.Capacity; i++)
        {
            Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.UsedFirst, out uint page));
            pages.Add(page);
        }
        for (int i = 0; i < HotPages.Capacity; i++) PageLayer.GivePages(&hot, pages[i], 1);
        Assert.True(hot.List(MigrateType.Unmovable)->IsFull);
        uint locks = TestZone.Normal->Lock.Acquisitions, used = UsedPages();
        PageLayer.GivePages(&hot, pages[^1], 1);
        Assert.Equal(locks + 1, TestZone.Normal->Lock.Acquisitions);
        Assert.Equal(used - HotPages.Batch, UsedPages());
        Assert.Equal(HotPages.Capacity - HotPages.Batch + 1, hot.Count);
        Assert.True(PageLayer.TryTakePages(&hot, 1, MemoryChoice.UsedFirst, out uint hottest)); // the colder ones went
        Assert.Equal(pages[^1], hottest);
        PageLayer.GivePages(&hot, hottest, 1);
        PageLayer.Drain(&hot);
        Assert.Equal(0, hot.Count);
    }

    [Fact]
    public void Larger_blocks_and_threads_without_a_list_go_to_the_zone_itself()
    {
        ThreadPages hot = default;
        for (int order = 0; order < PageGeometry.OrderCount; order++)
        {
            Assert.True(PageLayer.TryTakePages(order == 0 ? null : &hot, 1u << order, MemoryChoice.UsedFirst,
                out uint page));
            Assert.Equal(0u, page % (1u << order));
            Assert.Equal(PageState.Taken, LinearRegion.Frames[page].State);
            Assert.Equal(_usedBefore + (1u << order), UsedPages());
            PageLayer.GivePages(order == 0 ? null : &hot, page, 1u << order);
            Assert.Equal(_usedBefore, UsedPages());
        }
        Assert.Equal(0, hot.Count);
    }

    [Fact]
    public void Draining_an_empty_list_does_nothing()
    {
        ThreadPages hot = default;
        uint locks = TestZone.Normal->Lock.Acquisitions;
        PageLayer.Drain(&hot);
        Assert.Equal(locks, TestZone.Normal->Lock.Acquisitions);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(9)]
    [InlineData(100)]
    [InlineData(1023)]
    [InlineData(1024)]
    public void Any_number_of_pages_is_taken_to_the_page(int count)
    {
        Assert.True(PageLayer.TryTakePages(null, (uint)count, MemoryChoice.UsedFirst, out uint page));
        Assert.Equal(_usedBefore + (uint)count, UsedPages());
        *(long*)LinearRegion.AddressOf(page) = 1;
        *(long*)(LinearRegion.AddressOf(page + (uint)count) - sizeof(long)) = 2;
        PageLayer.GivePages(page, (uint)count);
    }

    [Fact]
    public void An_aligned_run_begins_at_a_multiple_of_its_order()
    {
        for (int order = 0; order <= 6; order++)
        {
            uint count = order == 0 ? 1 : (1u << order) / 2 + 1;
            Assert.True(PageLayer.TryTake(null, new PageRequest(order, count), out uint page, out _));
            Assert.Equal(0u, page % (1u << order));
            Assert.Equal(_usedBefore + count, UsedPages());
            PageLayer.GivePages(page, count);
        }
    }

    [Fact]
    public void A_run_grows_over_what_is_free_behind_it_and_stops_at_what_is_not()
    {
        Assert.True(PageLayer.TryTakePages(null, 33, MemoryChoice.UsedFirst, out uint page)); // of a block of 64
        Assert.True(PageLayer.TryExtend(page, 33, 40));
        Assert.True(TryTakeBehind(page + 40, page + 50));
        Assert.False(PageLayer.TryExtend(page, 40, 51));
        Assert.Equal(_usedBefore + 41, UsedPages());
        Assert.True(PageLayer.TryExtend(page, 40, 50));
        PageLayer.GivePages(page + 50, 1);
        Assert.True(PageLayer.TryExtend(page, 50, 64));
        PageLayer.GivePages(page, 64);

        // Takes one page somewhere behind the end of a run.
        static bool TryTakeBehind(uint end, uint wanted)
        {
            if (!PageLayer.TryExtend(end, 0, wanted - end + 1)) return false;
            PageLayer.GivePages(end, wanted - end);
            return true;
        }
    }

    [Fact]
    public void Purged_pages_read_zero_are_counted_and_are_known_to_be_zero()
    {
        const uint Count = 48;
        Assert.True(PageLayer.TryTakePages(null, Count, MemoryChoice.UsedFirst, out uint page));
        Bytes(page, Count).Fill(0xEE);
        PageLayer.GivePages(page, Count);
        long purgedBefore = SystemCounters.PurgedBytes;
        uint dirty = DirtyPages();
        nuint purged = PageLayer.Purge();
        Assert.True(purged >= Count * PageGeometry.PageBytes, $"{purged} bytes were purged");
        Assert.Equal(purgedBefore + (long)purged, SystemCounters.PurgedBytes);
        Assert.Equal(dirty - (uint)(purged / PageGeometry.PageBytes), DirtyPages());
        Assert.False(LinearRegion.Dirty.Any(page, Count));
        Assert.False(Bytes(page, Count).ContainsAnyExcept((byte)0), "a purged page is not zero");
        Assert.Equal(0u, PageLayer.Purge());
        // Cleared by nobody: what is known to be zero stays without memory. (The look above has put the system's own
        // zero page there.)
        Assert.True(VirtualMemory.TryPurge(LinearRegion.AddressOf(page), Count * PageGeometry.PageBytes));
        Assert.True(PageLayer.TryTake(null, new PageRequest(PageGeometry.OrderOf(Count), Count) { Zeroed = true },
            out uint again, out _));
        Assert.Equal(0u, ResidentMemory.PagesAt(LinearRegion.AddressOf(again), Count * PageGeometry.PageBytes));
        PageLayer.GivePages(again, Count);
    }

    [Fact]
    public void Pages_that_come_back_clean_are_known_to_be_zero()
    {
        Assert.True(PageLayer.TryTakePages(null, 6, MemoryChoice.UsedFirst, out uint page));
        uint dirty = TestZone.Normal->DirtyPages;
        Assert.True(VirtualMemory.TryPurge(LinearRegion.AddressOf(page), 6 * PageGeometry.PageBytes));
        PageLayer.GivePages(page, 6, clean: true);
        Assert.Equal(dirty - 6, TestZone.Normal->DirtyPages);
        Assert.False(LinearRegion.Dirty.Any(page, 6));
    }

    [Fact]
    public void Pages_in_use_are_not_purged()
    {
        // the fourth page of its block is free
        Assert.True(PageLayer.TryTakePages(null, 3, MemoryChoice.UsedFirst, out uint page));
        Bytes(page, 3).Fill(0x77);
        PageLayer.Purge();
        Assert.False(Bytes(page, 3).ContainsAnyExcept((byte)0x77), "a page in use was purged");
        Assert.True(LinearRegion.Dirty.IsSet(page + 2));
        PageLayer.GivePages(page, 3);
    }

    [Fact]
    public void Pages_that_could_not_be_purged_are_free_and_dirty_as_before()
    {
        Assert.True(PageLayer.TryTakePages(null, 8, MemoryChoice.UsedFirst, out uint page));
        Bytes(page, 8).Fill(0x44);
        PageLayer.GivePages(page, 8);
        uint dirty = DirtyPages();
        using (new InjectedFaults(OsCall.Purge, OsCall.PurgeFile)) Assert.Equal(0u, PageLayer.Purge());
        Assert.Equal(dirty, DirtyPages());
        Assert.Equal(_usedBefore, UsedPages());
        TestZone.Normal->Verify();
        Assert.True(PageLayer.Purge() >= 8 * PageGeometry.PageBytes);
    }

    [Fact]
    public void Where_the_system_refuses_a_section_the_layer_gives_what_it_has_and_then_says_no()
    {
        ThreadPages hot = default;
        List<(uint Page, int Order)> taken = [];
        uint online = LinearRegion.OnlinePages;
        using (new InjectedFaults(OsCall.Commit))
        {
            TakeAll(taken);
            Assert.Equal(0u, TestZone.Normal->FreePages);
            Assert.False(PageLayer.TryTakePages(&hot, 1, MemoryChoice.UsedFirst, out _));
            Assert.False(PageLayer.TryTake(&hot, new PageRequest(5, 17), out uint none, out Refusal failure));
            Assert.Equal((PageFrame.None, Refusal.OutOfMemory), (none, failure));
            Assert.Equal(0, hot.Count);
            Assert.Equal(online, LinearRegion.OnlinePages);
            TestZone.Normal->Verify();
        }
        Assert.True(PageLayer.TryTakePages(&hot, 1, MemoryChoice.UsedFirst, out uint withMemory));
        PageLayer.GivePages(&hot, withMemory, 1);
        PageLayer.Drain(&hot);
        foreach ((uint page, int order) in taken) PageLayer.GivePages(null, page, 1u << order);
    }

    [Fact]
    public void The_last_pages_of_a_zone_go_to_a_list_that_asks_for_more()
    {
        ThreadPages hot = default;
        List<(uint Page, int Order)> blocks = [];
        List<uint> taken = [];
        using (new InjectedFaults(OsCall.Commit))
        {
            // All but one section in large blocks, and that one page by page.
            TakeAll(blocks);
            PageLayer.GivePages(null, blocks[0].Page, 1u << blocks[0].Order);
            blocks.RemoveAt(0);
            while (PageLayer.TryTakePages(null, 1, MemoryChoice.UsedFirst, out uint page)) taken.Add(page);
            for (int i = 0; i < 3; i++) PageLayer.GivePages(null, taken[i], 1);
            taken.RemoveRange(0, 3);
            for (int i = 0; i < 3; i++)
            {
                Assert.True(PageLayer.TryTakePages(&hot, 1, MemoryChoice.UsedFirst, out uint page));
                taken.Add(page);
            }
            Assert.False(PageLayer.TryTakePages(&hot, 1, MemoryChoice.UsedFirst, out _));
        }
        Assert.Equal(taken.Count, taken.Distinct().Count());
        foreach (uint page in taken) PageLayer.GivePages(null, page, 1);
        foreach ((uint page, int order) in blocks) PageLayer.GivePages(null, page, 1u << order);
    }

    [Fact]
    public void Threads_that_take_and_give_at_once_never_share_a_page_and_lose_none()
    {
        const int Threads = 4;
        int overlaps = 0;
        TestThread.RunTogether(Threads, number =>
        {
            ThreadPages hot = default;
            Random random = new(number);
            List<(uint Page, int Order)> live = [];
            for (int i = 0; i < 30_000; i++)
            {
                if (live.Count != 0 && random.Next(2) == 0)
                {
                    int at = random.Next(live.Count);
                    (uint page, int order) = live[at];
                    live.RemoveAt(at);
                    if (*(long*)LinearRegion.AddressOf(page) != number + 1) Interlocked.Increment(ref overlaps);
                    PageLayer.GivePages(&hot, page, 1u << order);
                }
                else
                {
                    int order = random.Next(8) == 0 ? random.Next(4) : 0;
                    if (!PageLayer.TryTakePages(&hot, 1u << order, MemoryChoice.UsedFirst, out uint page))
                        throw new InvalidOperationException("no memory");
                    *(long*)LinearRegion.AddressOf(page) = number + 1;
                    live.Add((page, order));
                }
                if (i % 1000 == 0 && number == 0) PageLayer.Purge();
            }
            foreach ((uint page, int order) in live) PageLayer.GivePages(&hot, page, 1u << order);
            PageLayer.Drain(&hot);
        });
        Assert.Equal(0, overlaps);
    }

    // Takes every free page there is, the largest blocks first.
    private static void TakeAll(List<(uint Page, int Order)> taken)
    {
        for (int order = PageGeometry.MaxOrder; order >= 0; order--)
            while (PageLayer.TryTakePages(null, 1u << order, MemoryChoice.UsedFirst, out uint page))
                taken.Add((page, order));
    }

    // So many pages, side by side, are the only free ones that are used; returns the first.
    private static uint MakeUsed(uint count)
    {
        PageLayer.Purge();
        Assert.True(PageLayer.TryTakePages(null, count, MemoryChoice.UsedFirst, out uint page));
        PageLayer.GivePages(page, count);
        return page;
    }

    // There is a free section that is not used at all.
    private static void MakeFreshBlock()
    {
        TestZone.CompleteSection();
        if (!LinearRegion.TryBringSectionOnline(Zone.IndexOf(0, ZoneKind.Normal), -1, out uint first, out _))
            throw new InvalidOperationException("no section for the test");
        TestZone.Normal->Lock.Acquire();
        TestZone.Normal->AddSection(first);
        TestZone.Normal->Lock.Release();
    }

    // Of the normal zone, by the bits.
    private static uint DirtyPages()
    {
        uint pages = 0;
        for (uint section = 0; section < LinearRegion.OnlinePages; section += PageGeometry.SectionPages)
            if (LinearRegion.ZoneIndexOf(section) == TestZone.Normal->Index)
                pages += LinearRegion.Dirty.Count(section, PageGeometry.SectionPages);
        return pages;
    }

    private static uint UsedPages() => TestZone.Normal->OnlinePages - TestZone.Normal->FreePages;

    private static Span<byte> Bytes(uint page, uint count) =>
        new((void*)LinearRegion.AddressOf(page), (int)(count * (uint)PageGeometry.PageBytes));
}
