using System.Collections.Concurrent;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows that hot pages can be had back from threads that do nothing for it, that a thread in the middle of using its
/// list keeps it, and that a thread goes on as if nothing were when others empty its list all the time.
/// </summary>
public sealed unsafe class DrainThreadsTests
{
    public DrainThreadsTests() => TestZone.Settle(); // or threads of other tests give pages up in the midst of these

    [Fact]
    public void The_hot_pages_of_an_idle_thread_come_back_without_its_doing()
    {
        using TestThread idle = new();
        PageLayer.DrainThreads();
        uint used = UsedPages();
        nint own = 0;
        uint[] pages = new uint[10];
        idle.Run(() =>
        {
            own = (nint)ThreadPages.Of(NativeAllocator.GetBlock());
            for (int i = 0; i < pages.Length; i++) Take((ThreadPages*)own, default, out pages[i]);
            foreach (uint page in pages) Give((ThreadPages*)own, page);
        });
        ThreadPages* lists = (ThreadPages*)own;
        Assert.True(lists->Count >= pages.Length);
        Assert.True(UsedPages() >= used + (uint)pages.Length);
        PageLayer.DrainThreads();
        Assert.Equal(0, lists->Count);
        Assert.Equal(used, UsedPages());
        idle.Run(() =>
        {
            // It goes on as before.
            Take(lists, default, out uint page);
            Give(lists, page);
            Assert.NotEqual(0, lists->Count);
        });
        PageLayer.DrainThreads();
        Assert.Equal(used, UsedPages());
        TestZone.Normal->Verify();
    }

    [Fact]
    public void A_thread_in_the_middle_of_using_its_list_keeps_it()
    {
        using TestThread busy = new();
        nint own = 0;
        busy.Run(() =>
        {
            ThreadPages* mine = ThreadPages.Of(NativeAllocator.GetBlock());
            own = (nint)mine;
            Take(mine, default, out uint page);
            Give(mine, page);
            Assert.True(mine->Claim.TryEnter());
        });
        ThreadPages* lists = (ThreadPages*)own;
        int count = lists->Count;
        Assert.NotEqual(0, count);
        PageLayer.DrainThreads();
        Assert.Equal(count, lists->Count);
        busy.Run(() => ((ThreadPages*)own)->Claim.Leave());
        PageLayer.DrainThreads();
        Assert.Equal(0, lists->Count);
        busy.Run(() =>
        {
            Assert.True(((ThreadPages*)own)->Claim.TryEnter()); // no claim is left
            ((ThreadPages*)own)->Claim.Leave();
        });
    }

    [Fact]
    public void A_list_that_another_thread_is_emptying_is_gone_round_by_its_owner()
    {
        ThreadPages hot = default;
        ThreadPages* own = &hot;
        uint used = UsedPages();
        Assert.True(PageLayer.TryTakePages(own, 1, MemoryChoice.UsedFirst, out uint page));
        PageLayer.GivePages(own, page, 1);
        int count = own->Count;
        own->Claim.Claim();
        Assert.False(PageBlocks.TryTakeHot(own, out _));
        Assert.True(PageLayer.TryTakePages(own, 1, MemoryChoice.UsedFirst, out uint other));
        Assert.Equal(count, own->Count); // neither taken from the list
        Assert.NotEqual(page, other);
        PageLayer.GivePages(own, other, 1);
        Assert.Equal(count, own->Count); // nor given to it
        PageLayer.Drain(own);
        Assert.Equal(count, own->Count);
        own->Claim.EndClaim();
        PageLayer.Drain(own);
        Assert.Equal(used, UsedPages());
    }

    [Fact]
    public void A_list_that_is_parked_is_gone_round_by_fast_paths_until_its_owner_comes_by_a_slow_one()
    {
        using TestThread idle = new();
        nint own = 0;
        idle.Run(() => own = (nint)ThreadPages.Of(NativeAllocator.GetBlock()));
        ThreadPages* lists = (ThreadPages*)own;
        PageLayer.DrainThreads();
        Assert.True(PageLayer.TryParkThreads());
        Assert.True(lists->Claim.IsParked);
        PageLayer.DrainIdleThreads();
        PageLayer.DrainThreads();
        Assert.True(lists->Claim.IsParked); // there was nothing to drain
        idle.Run(() =>
        {
            Assert.False(lists->Claim.TryEnter());
            Assert.True(lists->Claim.IsParked);
            Assert.True(lists->Claim.TryUnparkAndEnter());
            Assert.False(PageLayer.TryParkThreads()); // not while it is in use
            lists->Claim.Leave();
            Assert.True(lists->Claim.TryEnter());
            lists->Claim.Leave();
        });
        Assert.True(PageLayer.TryParkThreads());
        PageLayer.DrainThreads();
    }

    [Fact]
    public void Without_hot_pages_nobody_is_disturbed()
    {
        PageLayer.DrainThreads();
        uint locks = TestZone.Normal->Lock.Acquisitions;
        PageLayer.DrainThreads();
        Assert.Equal(locks, TestZone.Normal->Lock.Acquisitions);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Threads_whose_lists_others_empty_all_the_time_lose_no_page_share_none_and_count_each(int workers)
    {
        const int Steps = 50_000, MostLive = 60, Drains = 10;
        PageLayer.DrainThreads();
        uint used = UsedPages();
        PageBlocks.CountLive(out long blocks, out long livePages);
        long hits = PageLayer.CountHits(TestZone.Normal), taken = 0, drained = 0;
        int working = workers;
        ConcurrentQueue<uint> passed = new();
        TestThread.RunTogether(workers + 1, number =>
        {
            if (number == workers)
            {
                for (int round = 0; Volatile.Read(ref working) != 0; round++)
                {
                    nuint before = PageLayer.CountHotPages();
                    if (round % 3 == 0) PageLayer.TryParkThreads();
                    else if (round % 3 == 1) PageLayer.DrainIdleThreads();
                    else PageLayer.DrainThreads();
                    if (before != 0) Interlocked.Increment(ref drained);
                    if (round % 64 == 0) PageLayer.Purge();
                }
                return;
            }
            try
            {
                Interlocked.Add(ref taken, Work(number + 1, MostLive, passed,
                    step => step < Steps || Volatile.Read(ref drained) < Drains));
            }
            finally
            {
                Interlocked.Decrement(ref working);
            }
        });
        ThreadPages* own = ThreadPages.Of(NativeAllocator.GetBlock());
        while (passed.TryDequeue(out uint page)) Give(own, page);
        PageLayer.DrainThreads();
        Assert.Equal(0u, PageLayer.CountHotPages());
        Assert.Equal(used, UsedPages());
        PageBlocks.CountLive(out long blocksAfter, out long pagesAfter);
        Assert.Equal((blocks, livePages), (blocksAfter, pagesAfter));
        // from a list or not, each counts once
        if (PageLayer.NodeCount == 1) Assert.Equal(hits + taken, PageLayer.CountHits(TestZone.Normal));
        TestZone.Normal->Verify();
    }

    // Takes, stamps, checks and gives single pages of all types, some of which others have taken; returns how many it
    // took.
    private static long Work(int number, int mostLive, ConcurrentQueue<uint> passed, Func<int, bool> goesOn)
    {
        ThreadPages* own = ThreadPages.Of(NativeAllocator.GetBlock());
        Random random = new(number);
        List<uint> live = [];
        long taken = 0;
        for (int step = 0; goesOn(step); step++)
        {
            if (live.Count != 0 && (live.Count == mostLive || random.Next(2) == 0))
            {
                int at = random.Next(live.Count);
                uint page = live[at];
                live.RemoveAt(at);
                CheckStamp(page);
                if (random.Next(8) == 0) passed.Enqueue(page);
                else Give(own, page, cold: random.Next(4) == 0);
            }
            else if (random.Next(16) == 0 && passed.TryDequeue(out uint other))
            {
                CheckStamp(other);
                Give(own, other);
            }
            else
            {
                Take(own, (MigrateType)random.Next(Pageblock.TypeCount), out uint page);
                taken++;
                Stamp(page, number);
                live.Add(page);
            }
        }
        foreach (uint page in live)
        {
            CheckStamp(page);
            Give(own, page);
        }
        return taken;
    }

    // Both ends of the page say whose it is and which page it is: another owner would say something else, a purge
    // nothing.
    private static void Stamp(uint page, int number)
    {
        long* words = (long*)LinearRegion.AddressOf(page);
        words[0] = words[PageGeometry.PageBytes / sizeof(long) - 1] = (long)page << 8 | (uint)number;
    }

    private static void CheckStamp(uint page)
    {
        long* words = (long*)LinearRegion.AddressOf(page);
        if (words[0] >> 8 != page || words[0] != words[PageGeometry.PageBytes / sizeof(long) - 1])
            throw new InvalidOperationException($"page {page} is somebody else's too");
    }

    // As the page allocator does it: by the fast way, and where that does not go, by the slow one.
    private static void Take(ThreadPages* own, MigrateType type, out uint page)
    {
        if (type == MigrateType.Unmovable && PageBlocks.TryTakeHot(own, out page)) return;
        if (!PageBlocks.TryTake(own, PageRequest.Block(0) with { State = PageState.Block, Type = type }, out page,
            out _)) throw new InvalidOperationException("no memory");
    }

    private static void Give(ThreadPages* own, uint page, bool cold = false)
    {
        if (!cold && PageBlocks.TryGiveHot(own, page)) return;
        LinearRegion.Frames[page].Cold = cold;
        if (PageBlocks.Give(own, page, 0) != PageFault.None)
            throw new InvalidOperationException($"page {page} is no block any more");
    }

    private static uint UsedPages() => TestZone.Normal->OnlinePages - TestZone.Normal->FreePages;
}
