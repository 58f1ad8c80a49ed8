using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Pages;
using Xunit;

namespace NativeAlloc.Tests.Release;

/// <summary>Shows what a run and a portion give back, and that a run never runs inside itself.</summary>
public sealed unsafe class ReclaimerTests
{
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
    public void An_allocation_waits_for_what_another_thread_is_giving_back_before_it_tries_once_more()
    {
        AllocationAttempt attempt = new(100) { Refusal = Refusal.OutOfMemory };
        int waits = 0;
        bool madeRoom;
        PageLayer.BeginPurge();
        using (new WhileReached(isWaiting =>
        {
            if (isWaiting && waits++ == 0) PageLayer.EndPurge(0);
        }))
        {
            madeRoom = attempt.TryMakeRoom();
        }
        if (waits == 0) PageLayer.EndPurge(0);
        Assert.Equal((true, 1), (madeRoom, waits));
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
        using (Shrinkers.Register(_ => throw thrown))
            Assert.True(Reclaimer.Run(1, out Exception? error) && error == thrown);
        Assert.False(LinearRegion.Dirty.IsSet(page));
        Assert.True(Reclaimer.Run(1, out Exception? none)); // the thread is not inside any more
        Assert.Null(none);
    }

    [Fact]
    public void A_shrinker_that_allocates_starts_no_second_run_and_gets_what_there_is()
    {
        bool? nested = null, other = null;
        long runs = Reclaimer.Runs, runsInside = 0;
        using (Shrinkers.Register(_ =>
        {
            nested = Reclaimer.Run(1, out Exception? _);
            NativeAllocator.Free(NativeAllocator.Alloc(1 << 20));
            runsInside = Reclaimer.Runs;
            return 1;
        }))
        {
            Assert.True(Reclaimer.Run(1, out _));
        }
        Assert.False(nested);
        Assert.Equal(runs + 1, runsInside);
        TestThread.RunOnNew(() => other = Reclaimer.Run(1, out _)); // another thread is not inside
        Assert.True(other);
        Assert.Equal(runs + 2, Reclaimer.Runs);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(40u)]
    [InlineData(100u)]
    public void A_portion_of_what_is_free_goes_and_the_rest_stays(uint wanted)
    {
        const uint Free = 100;
        Reclaimer.GiveBack();
        Assert.True(PageLayer.TryTakePages(null, Free, MemoryChoice.UsedFirst, out uint page));
        PageLayer.Purge(); // the rest of a huge page, where the system has made one of it
        PageLayer.GivePages(page, Free);
        Assert.Equal(wanted * PageGeometry.PageBytes, Reclaimer.ReleaseFree(wanted * PageGeometry.PageBytes));
        Assert.Equal(Free - wanted, PageLayer.DirtyFreePages());
    }

    [Fact]
    public void Kept_areas_go_where_the_free_pages_are_not_enough()
    {
        Reclaimer.GiveBack();
        Vmalloc.Free(Vmalloc.Alloc(4 << 20));
        Assert.True(PageLayer.TryTakePages(null, 2, MemoryChoice.UsedFirst, out uint page));
        PageLayer.Purge();
        PageLayer.GivePages(page, 2);
        Assert.Equal(PageGeometry.PageBytes, Reclaimer.ReleaseFree(PageGeometry.PageBytes));
        Assert.Equal(4u << 20, KeptAreas.Bytes);
        Assert.Equal(PageGeometry.PageBytes + (4 << 20), Reclaimer.ReleaseFree(2 * PageGeometry.PageBytes));
        Assert.Equal(0u, KeptAreas.Bytes);
    }
}
