using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows where a thread's lists are, who may use them, what they count, and what becomes of pages of other nodes.
/// </summary>
public sealed unsafe class ThreadPagesTests
{
    [Fact]
    public void A_thread_block_has_its_lists_in_its_part_and_no_block_has_none()
    {
        byte* block = stackalloc byte[ThreadBlock.Bytes];
        Assert.True((byte*)ThreadPages.Of(block) == block + ThreadBlock.PagesOffset);
        Assert.True(ThreadPages.Of(null) == null);
    }

    [Fact]
    public void Zeroed_memory_is_empty_lists_of_the_first_node()
    {
        ThreadPages pages = default;
        Assert.Equal((0, 0), (pages.Count, pages.Node));
        Assert.Equal(Zone.IndexOf(0, ZoneKind.Normal), pages.Zone);
        Assert.False(pages.Claim.IsInside);
        Assert.Equal((0L, 0L, 0L), (pages.UserBlocks, pages.UserPages, pages.Hits));
    }

    [Fact]
    public void The_owner_enters_unless_another_thread_has_claimed_the_lists()
    {
        ThreadPages pages = default;
        Assert.True(pages.Claim.TryEnter());
        Assert.True(pages.Claim.IsInside);
        pages.Claim.Claim(); // who claims finds the owner inside and goes on to the next
        Assert.True(pages.Claim.IsInside);
        pages.Claim.Leave();
        Assert.False(pages.Claim.TryEnter());
        Assert.False(pages.Claim.IsInside); // a refused owner is seen outside
        pages.Claim.EndClaim();
        Assert.True(pages.Claim.TryEnter());
        pages.Claim.Leave();
        Assert.False(pages.Claim.IsInside);
    }

    [Fact]
    public void The_node_is_looked_up_at_the_first_visit_and_then_at_one_in_so_many()
    {
        ThreadPages pages = default;
        for (int round = 0; round < 3; round++)
        {
            Assert.True(pages.IsLookupDue());
            for (int visit = 0; visit < ThreadPages.VisitsPerNodeLookup; visit++) Assert.False(pages.IsLookupDue());
        }
    }

    [Fact]
    public void All_lists_are_counted_and_so_is_what_users_hold()
    {
        ThreadPages pages = default;
        ThreadPages* own = &pages;
        for (int type = 0; type < ThreadPages.Lists; type++)
            for (uint page = 0; page <= type; page++) own->List((MigrateType)type)->Add(page);
        Assert.Equal(1 + 2 + 3 + 4, own->Count);
        own->CountSingle(1);
        own->CountSingle(1);
        own->CountSingle(-1);
        own->CountBlock(1, 8);
        Assert.Equal((2L, 9L), (own->UserBlocks, own->UserPages));
        own->CountBlock(-1, -8);
        own->CountSingle(-3); // it gave back what others took
        Assert.Equal((-2L, -2L), (own->UserBlocks, own->UserPages));
        own->CountHit();
        own->CountHit();
        Assert.Equal(2, own->ReadAndResetHits());
        Assert.Equal(0, own->Hits);
    }

    [Fact]
    public void Pages_go_to_the_list_of_their_type_and_serve_requests_of_that_type()
    {
        ThreadPages hot = default;
        ThreadPages* own = &hot;
        Reclaimer.ReleaseCaches();
        uint[] pages = new uint[Pageblock.TypeCount];
        foreach (MigrateType type in Enum.GetValues<MigrateType>())
        {
            Assert.True(PageLayer.TryTake(own, PageRequest.Block(0) with
            {
                Type = type,
                Choice = MemoryChoice.FreshFirst
            }, out pages[(int)type], out _));
            PageLayer.Drain(own);
        }
        foreach (uint page in pages) PageLayer.GivePages(own, page, 1);
        for (int type = 0; type < Pageblock.TypeCount; type++)
        {
            MigrateType home = LinearRegion.Frames[pages[type]].Type;
            int before = own->List(home)->Count;
            Assert.NotEqual(0, before);
            Assert.True(PageLayer.TryTake(own, PageRequest.Block(0) with { Type = home }, out uint again, out _));
            int taken = home == MigrateType.Run ? 0 : 1; // those are collected only
            Assert.Equal(before - taken, own->List(home)->Count);
            Assert.Equal(home, LinearRegion.Frames[again].Type);
            PageLayer.GivePages(own, again, 1);
        }
        PageLayer.Drain(own);
        Assert.Equal(0, own->Count);
    }

    [Fact]
    public void A_cold_page_is_the_last_to_be_taken_hot_and_the_first_to_be_taken_cold()
    {
        ThreadPages hot = default;
        uint[] pages = new uint[3];
        for (int i = 0; i < pages.Length; i++)
            Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.UsedFirst, out pages[i]));
        PageLayer.GivePages(&hot, pages[0], 1);
        PageLayer.GivePages(&hot, pages[1], 1);
        PageLayer.GivePages(&hot, pages[2], 1, cold: true);
        Assert.True(PageLayer.TryTake(&hot, PageRequest.Block(0) with { Cold = true }, out uint cold, out _));
        Assert.Equal(pages[2], cold);
        PageLayer.GivePages(&hot, cold, 1, cold: true);
        uint[] taken = new uint[3];
        for (int i = 0; i < taken.Length; i++)
            Assert.True(PageLayer.TryTakePages(&hot, 1, MemoryChoice.UsedFirst, out taken[i]));
        Assert.Equal([pages[1], pages[0], pages[2]], taken);
        foreach (uint page in taken) PageLayer.GivePages(page, 1);
    }

    [Fact]
    public void Pages_of_another_node_are_collected_apart_serve_nobody_and_go_back_in_batches()
    {
        if (PageLayer.NodeCount != 1) Assert.Skip("the thread would look up which node it is on");
        ThreadPages hot = default;
        ThreadPages* own = &hot;
        List<uint> pages = [];
        for (int i = 0; i <= HotPages.Capacity; i++)
        {
            Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.UsedFirst, out uint page));
            pages.Add(page);
        }
        uint used = UsedPages();
        own->SetNode(1); // as if the thread had moved: all pages are the old node's now
        for (int i = 0; i < HotPages.Capacity; i++) PageLayer.GivePages(own, pages[i], 1);
        Assert.Equal((HotPages.Capacity, HotPages.Capacity), (own->Count, own->Foreign->Count));
        Assert.Equal(used, UsedPages());
        // A page of that node comes from its zone, though there are some here.
        Assert.True(PageLayer.TryTake(own, PageRequest.Block(0) with { Node = 0 }, out uint other, out _));
        Assert.DoesNotContain(other, pages);
        Assert.Equal(HotPages.Capacity, own->Foreign->Count);
        PageLayer.GivePages(other, 1);
        uint locks = TestZone.Normal->Lock.Acquisitions;
        PageLayer.GivePages(own, pages[^1], 1); // there is no more room
        Assert.Equal(locks + 1, TestZone.Normal->Lock.Acquisitions);
        Assert.Equal(HotPages.Capacity - HotPages.Batch + 1, own->Foreign->Count);
        Assert.Equal(used - HotPages.Batch, UsedPages());
        PageLayer.Drain(own);
        Assert.Equal(0, own->Count);
        Assert.Equal(used - (uint)pages.Count, UsedPages());
        TestZone.Normal->Verify();
    }

    [Fact]
    public void On_one_node_a_new_block_and_an_adopted_one_stay_as_they_are()
    {
        if (PageLayer.NodeCount != 1) Assert.Skip("there are several nodes");
        ThreadPages hot = default;
        Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.UsedFirst, out uint page));
        PageLayer.GivePages(&hot, page, 1);
        PageLayer.Initialize(&hot);
        Assert.Equal((1, 0), (hot.Count, hot.Node));
        PageLayer.Drain(&hot);
    }

    private static uint UsedPages() => TestZone.Normal->OnlinePages - TestZone.Normal->FreePages;
}
