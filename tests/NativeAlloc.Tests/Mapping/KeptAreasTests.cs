using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Mapping;

/// <summary>
/// Shows that a kept area is found by its size, goes to one taker only, and that no more is kept than was promised, the
/// youngest longest.
/// </summary>
public sealed unsafe class KeptAreasTests : AreaCheckedTests
{
    private static uint LimitPages => (uint)(KeptAreas.LimitBytes / Page);

    [Fact]
    public void An_area_is_taken_again_for_its_size_and_for_up_to_an_eighth_less()
    {
        VmallocArea* area = AddCharged(90);
        foreach (uint pages in (uint[])[90, 85, 80])
        {
            Assert.True(KeptAreas.TryPut(area));
            Assert.Equal((AreaState.Kept, 1, 90 * Page), (area->GetState(), KeptAreas.Count, KeptAreas.Bytes));
            foreach (uint other in (uint[])[91, 79, 1, 1000])
                Assert.True(TakeLike(other) == null, $"90 pages are not like {other}");
            Assert.True(TakeLike(pages) == area);
            Assert.Equal((AreaState.Busy, 0, (nuint)0), (area->GetState(), KeptAreas.Count, KeptAreas.Bytes));
        }
        Teardown.Destroy(area);
    }

    [Fact]
    public void One_that_another_thread_is_just_putting_there_is_none_that_could_go()
    {
        VmallocArea* area = AddCharged(10);
        bool? released = null;
        using (new WhileReached(_ =>
        {
            if (KeptAreas.Count != 0) released ??= KeptAreas.TryReleaseAll(); // counted, and not in its slot yet
        }))
        {
            Assert.True(KeptAreas.TryPut(area));
        }
        Assert.False(released);
        Assert.True(KeptAreas.TryReleaseAll());
        Assert.False(KeptAreas.TryReleaseAll());
    }

    [Fact]
    public void Of_several_that_will_do_the_smallest_is_taken()
    {
        foreach (uint pages in (uint[])[107, 102, 110, 100, 105]) Keep(pages);
        ShouldTakeLike(101, 102);
        ShouldTakeLike(101, 105);
        ShouldTakeLike(101, 107);
        ShouldTakeLike(101, 110);
        Assert.True(TakeLike(101) == null);
        ShouldTakeLike(100, 100);
    }

    [Fact]
    public void For_a_part_of_a_larger_request_the_smallest_is_taken_that_is_enough_and_else_the_largest()
    {
        Assert.True(KeptAreas.TakeFor(1) == null);
        foreach (uint pages in (uint[])[20, 500, 60, 300, 40]) Keep(pages);
        ShouldTakeFor(200, 300);
        ShouldTakeFor(200, 500);
        ShouldTakeFor(200, 60);
        ShouldTakeFor(1, 20);
        ShouldTakeFor(1000, 40);
        Assert.True(KeptAreas.TakeFor(1) == null);
    }

    [Fact]
    public void A_small_request_gets_an_area_with_much_memory_only_where_as_much_is_kept_besides()
    {
        Keep(73);
        Assert.True(KeptAreas.TakeToUse(5, 1) == null); // a larger request may come next
        Keep(17);
        ShouldTake(KeptAreas.TakeToUse(5, 1), 17);
        Keep(74);
        ShouldTake(KeptAreas.TakeToUse(5, 1), 73);
        Assert.True(KeptAreas.TakeToUse(5, 1) == null);
        ShouldTake(KeptAreas.TakeToUse(19, 1), 74);
    }

    [Fact]
    public void No_more_bytes_are_kept_than_the_limit_and_the_oldest_go_first()
    {
        uint pages = LimitPages / 4;
        for (uint i = 0; i < 7; i++)
        {
            Keep(pages + i);
            Assert.True(KeptAreas.Bytes <= KeptAreas.LimitBytes);
            WaitForTheClock();
        }
        Assert.Equal(3, KeptAreas.Count); // four would be a few pages too much
        foreach (uint i in (uint[])[4, 5, 6]) ShouldTakeFor(pages + i, pages + i);
    }

    [Fact]
    public void No_more_areas_are_kept_than_there_are_slots_and_the_oldest_go_first()
    {
        Keep(1000);
        WaitForTheClock();
        Keep(2000);
        WaitForTheClock();
        for (int i = 2; i < KeptAreas.Slots; i++) Keep(1);
        WaitForTheClock();
        Assert.Equal(KeptAreas.Slots, KeptAreas.Count);
        Keep(3);
        Assert.Equal(KeptAreas.Slots, KeptAreas.Count);
        Assert.True(TakeLike(1000) == null, "the oldest is gone");
        ShouldTakeLike(2000, 2000);
        ShouldTakeLike(3, 3);
    }

    [Fact]
    public void What_is_too_large_or_in_too_many_runs_is_not_kept()
    {
        Keep(7);
        VmallocArea* large = AddCharged(LimitPages + 1);
        Assert.False(KeptAreas.TryPut(large));
        Assert.Equal((AreaState.Busy, 1), (large->GetState(), KeptAreas.Count)); // nothing had to go for it
        Teardown.Destroy(large);
        VmallocArea* scattered = AddCharged(KeptAreas.MostRuns + 1);
        for (uint run = 0; run < KeptAreas.MostRuns; run++) Assert.True(AreaRuns.TryAdd(scattered, Page));
        Assert.True(KeptAreas.TryPut(scattered));
        ShouldTake(TakeLike(scattered->Pages), KeptAreas.MostRuns + 1, destroy: false);
        Assert.True(AreaRuns.TryAdd(scattered, Page));
        Assert.False(KeptAreas.TryPut(scattered));
        Teardown.Destroy(scattered);
        ShouldTakeLike(7, 7);
    }

    [Fact]
    public void Release_gives_back_what_has_been_kept_since_before_a_point_in_time()
    {
        int areas = VmallocSpace.Count;
        Keep(10);
        Keep(20);
        WaitForTheClock();
        long between = Environment.TickCount64;
        Keep(40);
        Assert.Equal(30 * Page, KeptAreas.Release(between));
        Assert.Equal((1, 40 * Page, areas + 1), (KeptAreas.Count, KeptAreas.Bytes, VmallocSpace.Count));
        Assert.Equal((nuint)0, KeptAreas.Release(between));
        Assert.Equal(40 * Page, KeptAreas.Release());
        Assert.Equal((0, (nuint)0, areas), (KeptAreas.Count, KeptAreas.Bytes, VmallocSpace.Count));
    }

    [Fact]
    public void An_area_that_gave_a_part_of_its_memory_back_is_as_old_as_it_was()
    {
        Keep(40);
        WaitForTheClock();
        long between = Environment.TickCount64;
        Keep(10);
        WaitForTheClock();
        Assert.Equal(20 * Page, KeptAreas.Purge(17 * Page)); // the oldest's, in pieces of 256 KiB
        Assert.Equal((2, 30 * Page), (KeptAreas.Count, KeptAreas.Bytes));
        Assert.Equal(20 * Page, KeptAreas.Release(between));
        Assert.Equal((1, 10 * Page), (KeptAreas.Count, KeptAreas.Bytes));
    }

    [Fact]
    public void Of_threads_that_take_at_once_each_gets_areas_of_its_own()
    {
        const int Rounds = 2000, Threads = 4;
        for (uint i = 0; i < 8; i++) Keep(8 + i % 2);
        int taken = 0;
        TestThread.RunTogether(Threads, number =>
        {
            for (int round = 0; round < Rounds; round++)
            {
                VmallocArea* area = round % 3 == 0 ? KeptAreas.TakeFor(9) : TakeLike(8);
                if (area == null) continue;
                Interlocked.Increment(ref taken);
                // A thread that had it as well would write another number.
                uint mark = (uint)(round * Threads + number);
                area->NextStale = mark;
                Thread.SpinWait(20);
                bool isAlone = area->GetState() == AreaState.Busy && area->NextStale == mark;
                if (!isAlone) throw new InvalidOperationException("two threads have taken the same area");
                if (!KeptAreas.TryPut(area)) throw new InvalidOperationException("the area was kept before");
            }
        });
        Assert.True(taken > Rounds, "hardly any was taken");
        Assert.Equal((8, 68 * Page), (KeptAreas.Count, KeptAreas.Bytes));
    }

#if DEBUG
    [Fact]
    public void An_area_that_was_made_shorter_while_its_word_went_and_came_back_does_not_serve_a_longer_request()
    {
        KeepPurged(32);
        byte* block = (byte*)AllocAfter(32 * Page, 1, AreaEnd.Guarded, () =>
        {
            void* shorter = Areas.Alloc(16 * Page, 1, out _);
            Assert.Equal(16u, AreaOf(shorter)->Pages);
            Assert.True(Areas.TryFree(shorter));
            Assert.Equal(16 * Page, KeptAreas.Purge(nuint.MaxValue));
        });
        Assert.Equal(32 * Page, Areas.UsableBytes(block));
        Assert.Equal((32u, 32 * Page), (AreaOf(block)->Pages, AreaOf(block)->ChargedBytes));
        Pattern.Fill(block, 32 * Page, 1);
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void An_area_that_begins_elsewhere_when_its_word_comes_back_does_not_serve_a_larger_alignment()
    {
        const nuint Alignment = 16 * Sizes.MiB;
        KeepPurged(160, Alignment);
        void* block = AllocAfter(128 * Page, Alignment, AreaEnd.Open, () =>
        {
            VmallocArea* area = KeptAreas.TakeFor(1);
            Assert.True(Teardown.TryDecommit(area, 0, 32 * Page) && VmallocSpace.TryCutFront(area, 32));
            Assert.True(KeptAreas.TryPut(area));
        });
        Assert.Equal(0u, (nuint)block % Alignment);
        Assert.Equal(1, KeptAreas.Count);
        Assert.True(Areas.TryFree(block));
    }

    // One kept area without memory: the word of its slot says no more than its number.
    private static void KeepPurged(uint pages, nuint alignment = 1)
    {
        void* block = Areas.Alloc(pages * Page, alignment, out _, MemoryChoice.FreshOnly);
        Assert.True(Areas.TryFree(block));
        KeptAreas.Purge(nuint.MaxValue);
        Assert.Equal((1, 0u), (KeptAreas.Count, KeptAreas.Bytes));
    }

    // Another thread's steps come when this one has found a kept area and not taken it yet: its first schedule point.
    private static void* AllocAfter(nuint bytes, nuint alignment, AreaEnd end, Action steps)
    {
        bool isReached = false;
        SchedulePoint.t_reached = _ =>
        {
            SchedulePoint.t_reached = null;
            isReached = true;
            steps();
        };
        void* block = Areas.Alloc(bytes, alignment, out _, end: end);
        SchedulePoint.t_reached = null;
        Assert.True(isReached && block != null);
        return block;
    }
#endif

    private static void Keep(uint pages) => Assert.True(KeptAreas.TryPut(AddCharged(pages)));

    private static VmallocArea* TakeLike(uint pages) => KeptAreas.TakeLike(pages, pages + pages / 8);

    private static void ShouldTakeLike(uint wanted, uint pages) => ShouldTake(TakeLike(wanted), pages);

    private static void ShouldTakeFor(uint wanted, uint pages) => ShouldTake(KeptAreas.TakeFor(wanted), pages);

    private static void ShouldTake(VmallocArea* area, uint pages, bool destroy = true)
    {
        Assert.True(area != null, $"the area of {pages} pages was not taken");
        Assert.Equal((AreaState.Busy, pages), (area->GetState(), area->Pages));
        if (destroy) Teardown.Destroy(area);
    }

    // Ages are told apart by a clock that moves on every few milliseconds.
    private static void WaitForTheClock()
    {
        for (long now = Environment.TickCount64; Environment.TickCount64 == now;) Thread.Sleep(1);
    }
}
