using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>Shows what a run gives back, when one is asked for and by whom it is done, and that it never runs inside itself.</summary>
public sealed unsafe class ReclaimerTests : IDisposable
{
    private readonly Watermarks _marks = TestZone.Normal->Marks;

    public ReclaimerTests() => Reclaimer.RunRequested(); // what an earlier test may have left

    public void Dispose() => TestZone.Normal->Marks = _marks;

    [Fact]
    public void A_run_gives_hot_pages_back_and_the_memory_behind_all_that_is_free()
    {
        Assert.True(PageLayer.TryTakePages(null, 4, MemoryChoice.UsedFirst, out uint page));
        *(long*)LinearRegion.AddressOf(page) = 5;
        PageLayer.GivePages(page, 4);
        long runs = Reclaimer.Runs;
        Assert.True(Reclaimer.Run(0, out Exception? error));
        Assert.Null(error);
        Assert.Equal(runs + 1, Reclaimer.Runs);
        Assert.Equal(0u, PageLayer.CountHotPages());
        Assert.False(LinearRegion.Dirty.Any(page, 4));
        Assert.Equal(0u, PageLayer.Purge());
    }

    [Fact]
    public void What_shrinkers_free_is_given_back_in_the_same_run()
    {
        nuint asked = 0;
        void* dropped = NativeAllocator.Alloc(1 << 20);
        uint page = (uint)LinearRegion.PageIndexOf(dropped);
        new Span<byte>(dropped, 1 << 20).Fill(1);
        using (Shrinkers.Register(wanted =>
        {
            asked = wanted;
            NativeAllocator.Free(dropped);
            return 1 << 20;
        }))
        {
            Assert.True(Reclaimer.Run(12_345, out _));
        }
        Assert.Equal(12_345u, asked);
        Assert.False(LinearRegion.Dirty.Any(page, 16));
    }

    [Fact]
    public void What_a_shrinker_throws_comes_back_and_the_run_goes_on()
    {
        Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.UsedFirst, out uint page));
        PageLayer.GivePages(page, 1);
        Exception thrown = new InvalidOperationException("not now");
        using (Shrinkers.Register(_ => throw thrown)) Assert.True(Reclaimer.Run(1, out Exception? error) && error == thrown);
        Assert.False(LinearRegion.Dirty.IsSet(page));
        Assert.True(Reclaimer.Run(1, out Exception? none)); // the thread is not inside any more
        Assert.Null(none);
    }

    [Fact]
    public void A_shrinker_that_allocates_starts_no_second_run_and_gets_what_there_is()
    {
        bool? nested = null, other = null;
        bool requestedAfter = false;
        long runs = Reclaimer.Runs, runsInside = 0;
        using (Shrinkers.Register(_ =>
        {
            nested = Reclaimer.Run(1, out Exception? _);
            Reclaimer.Request();
            Reclaimer.RunRequested(); // stays for whoever is not inside
            NativeAllocator.Free(NativeAllocator.Alloc(1 << 20));
            requestedAfter = Reclaimer.IsRequested;
            runsInside = Reclaimer.Runs;
            return 1;
        }))
        {
            Assert.True(Reclaimer.Run(1, out _));
        }
        Assert.False(nested);
        Assert.True(requestedAfter);
        Assert.Equal(runs + 1, runsInside);
        // Another thread is not inside: it does what was asked for.
        TestThread.RunOnNew(() =>
        {
            Reclaimer.RunRequested();
            other = Reclaimer.Run(1, out _);
        });
        Assert.True(other);
        Assert.False(Reclaimer.IsRequested);
        Assert.Equal(runs + 3, Reclaimer.Runs);
    }

    [Fact]
    public void What_was_asked_for_is_done_once_by_the_next_allocation_that_leaves_its_fast_path()
    {
        long runs = Reclaimer.Runs;
        Reclaimer.RunRequested(); // nobody asked
        Assert.Equal(runs, Reclaimer.Runs);
        Reclaimer.Request();
        Reclaimer.Request();
        Assert.True(Reclaimer.IsRequested);
        NativeAllocator.Free(NativeAllocator.Alloc(1 << 20));
        Assert.False(Reclaimer.IsRequested);
        Assert.Equal(runs + 1, Reclaimer.Runs);
        NativeAllocator.Free(NativeAllocator.Alloc(1 << 20));
        Assert.Equal(runs + 1, Reclaimer.Runs);
    }

    [Fact]
    public void Of_threads_that_come_at_once_one_does_what_was_asked_for()
    {
        for (int round = 0; round < 20; round++)
        {
            long runs = Reclaimer.Runs;
            Reclaimer.Request();
            Threads.TestThreads.RunTogether(4, _ => Reclaimer.RunRequested());
            Assert.Equal(runs + 1, Reclaimer.Runs);
        }
    }

    [Fact]
    public void Where_no_zone_is_short_shrinkers_are_left_alone()
    {
        bool asked = false;
        using (Shrinkers.Register(_ =>
        {
            asked = true;
            return 0;
        }))
        {
            Reclaimer.Request();
            Reclaimer.RunRequested();
        }
        Assert.False(asked);
    }

    [Fact]
    public void A_zone_that_falls_below_its_mark_asks_for_a_run_that_leads_to_its_high_mark()
    {
        Reclaimer.RunRequested(); // what an earlier test may have left
        TestZone.Settle();
        uint used = TestZone.Normal->OnlinePages - TestZone.Normal->FreePages, limit = used;
        // As if the machine had so little memory that three more pages can be taken until the low mark.
        while (limit - used < new Watermarks(limit).LowPages + 3) limit++;
        TestZone.Normal->Marks = new Watermarks(limit);
        nuint wanted = 0;
        uint[] single = new uint[4];
        using (Shrinkers.Register(bytes =>
        {
            wanted = bytes;
            return bytes;
        }))
        {
            for (int i = 0; i < 4; i++)
            {
                Assert.False(Reclaimer.IsRequested);
                Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.UsedFirst, out single[i]));
            }
            Assert.True(Reclaimer.IsRequested);
            Reclaimer.RunRequested();
        }
        Watermarks marks = TestZone.Normal->Marks;
        Assert.Equal((nuint)(marks.HighPages - marks.LowPages + 1) * LinearRegion.PageBytes, wanted);
        // It did not get there: it is due again after as many pages as the lowest mark has, not with each page.
        Assert.False(marks.IsReclaimDue(used + 4 + marks.MinPages));
        foreach (uint page in single) PageLayer.GivePages(page, 1);
        // And once it has got there, at the low mark as in the beginning.
        uint most = limit - marks.HighPages;
        Assert.True(used < most);
        Reclaimer.Request();
        Reclaimer.RunRequested();
        Assert.True(TestZone.Normal->Marks.IsReclaimDue(limit - marks.LowPages + 1));
    }
}
