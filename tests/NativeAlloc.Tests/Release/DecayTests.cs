using System.Globalization;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using NativeAlloc.Tests.Pages;
using Xunit;

namespace NativeAlloc.Tests.Release;

/// <summary>
/// Shows what goes back at the end of a period and what stays, that a rest ends with everything given back and nothing
/// armed, and that the next use arms it again. The tests end the periods themselves, of a day each; one in a process of
/// its own waits for real ones.
/// </summary>
public sealed unsafe class DecayTests : IDisposable
{
    private const int Day = 24 * 60 * 60 * 1000;

    private readonly uint _capPages = PageLayer.CapPages;

    public DecayTests()
    {
        Rest.EndDecay(_capPages); // its thread waits no more for a shorter period that a test had before
        EndPeriod();
        Rest.ForgetBlocks(); // else one may lose its memory in the midst of a test, by a purge of its own
        Decay.Configure(Day, LinearRegion.PageCount);
    }

    public void Dispose()
    {
        Rest.EndDecay(_capPages);
        EndPeriod();
    }

    [Fact]
    public void A_program_that_rests_gets_everything_back_in_two_periods_and_nothing_is_armed_then()
    {
        Assert.False(Decay.IsArmed);
        Use(100, 3);
        Assert.True(Decay.IsArmed);
        long rounds = Decay.FullRounds;
        Assert.True(Tick());
        Assert.Equal(rounds, Decay.FullRounds);
        Assert.False(Tick());
        Assert.Equal(rounds + 1, Decay.FullRounds);
        Assert.Equal((0u, 0u), (PageLayer.DirtyFreePages(), (uint)PageLayer.CountHotPages()));
        Assert.False(Decay.IsArmed);
        Use(1);
        Assert.True(Decay.IsArmed);
    }

    [Fact]
    public void What_is_left_stays_where_memory_is_used_again_while_everything_goes_back()
    {
        const uint Count = 8;
        Use(100);
        Assert.True(Tick());
        // Blocks of a page each, which go back one by one.
        Assert.True(PageLayer.TryTakePages(null, 2 * Count, MemoryChoice.UsedFirst, out uint page));
        for (uint i = 0; i < 2 * Count; i++) PageLayer.SplitOff(page, page + i);
        PageLayer.Purge();
        for (uint i = 0; i < 2 * Count; i += 2) PageLayer.GivePages(page + i, 1);
        MemorySignals.ReadAndReset(MemorySignals.Used);
        int calls = 0;
        using (new InjectedFaults(call =>
        {
            if (call == OsCall.Purge && ++calls == 3)
                TestThread.RunOnNew(() => MemorySignals.Raise(MemorySignals.Used)); // as a slow path of another thread
            return false;
        }))
        {
            Assert.True(Tick());
        }
        Assert.Equal((3, Count - 3), (calls, PageLayer.DirtyFreePages()));
        for (uint i = 1; i < 2 * Count; i += 2) PageLayer.GivePages(page + i, 1);
    }

    [Fact]
    public void A_zone_that_is_used_keeps_what_it_needed_and_gives_back_what_was_left_over_all_the_time()
    {
        Use(512);
        Assert.True(Tick()); // all of it was needed in this period
        Assert.Equal(512u, PageLayer.DirtyFreePages());
        Use(200);
        Assert.True(Tick()); // 312 were not: 9 pageblocks, rounded down
        Assert.Equal(512u - 288, PageLayer.DirtyFreePages());
        Use(200);
        Assert.True(Tick());
        Assert.Equal(512u - 288, PageLayer.DirtyFreePages()); // 24 are left over, and less than a pageblock
        TestZone.Normal->Verify();
    }

    [Fact]
    public void While_a_zone_is_used_no_pageblock_is_broken_up_and_at_rest_every_page_goes()
    {
        // Every other page of 4 MiB is free.
        uint[] pages = new uint[64];
        Assert.True(PageLayer.TryTakePages(null, 64, MemoryChoice.UsedFirst, out uint first));
        for (uint i = 0; i < 64; i++) pages[i] = first + i;
        for (uint i = 1; i < 64; i++) PageLayer.SplitOff(first, pages[i]);
        for (uint i = 1; i < 64; i += 2) PageLayer.GivePages(pages[i], 1);
        for (int period = 0; period < 3; period++)
        {
            Use(1);
            Assert.True(Tick());
            Assert.True(PageLayer.DirtyFreePages() >= 32);
        }
        Assert.False(Tick());
        Assert.Equal(0u, PageLayer.DirtyFreePages());
        for (uint i = 0; i < 64; i += 2) PageLayer.GivePages(pages[i], 1);
    }

    [Fact]
    public void A_page_that_is_freed_on_a_fast_path_after_a_rest_is_noticed()
    {
        using TestThread idle = new();
        Page page = default;
        idle.Run(() => page = PageAllocator.AllocPage());
        Assert.True(Tick());
        Assert.False(Tick());
        Assert.False(Decay.IsArmed);
        idle.Run(() => PageAllocator.FreePage(page)); // room in its list: else this would need no slow path
        Assert.True(Decay.IsArmed);
        idle.Run(() =>
        {
            // From here on as fast as ever.
            uint locks = TestZone.Normal->Lock.Acquisitions;
            for (int i = 0; i < 100; i++) PageAllocator.FreePage(PageAllocator.AllocPage());
            Assert.Equal(locks, TestZone.Normal->Lock.Acquisitions);
        });
        Assert.True(Tick());
        Assert.False(Tick());
        Assert.Equal(0u, (uint)PageLayer.CountHotPages() + PageLayer.DirtyFreePages());
    }

    [Fact]
    public void The_decay_goes_on_while_a_thread_is_inside_its_list_and_could_not_be_told_to_arm_it_again()
    {
        using TestThread thread = new();
        nint pages = 0;
        thread.Run(() =>
        {
            pages = (nint)ThreadPages.Of(NativeAllocator.GetBlock());
            PageAllocator.FreePage(PageAllocator.AllocPage());
        });
        Use(1);
        Assert.True(Tick());
        thread.Run(() => Assert.True(((ThreadPages*)pages)->Claim.TryUnparkAndEnter()));
        Assert.True(Tick()); // all has gone back, but the thread may be taking a page just now
        Assert.True(Decay.IsArmed);
        thread.Run(() => ((ThreadPages*)pages)->Claim.Leave());
        Assert.False(Tick());
        Assert.False(Decay.IsArmed);
    }

    [Fact]
    public void Of_threads_the_idle_ones_lose_their_hot_pages_while_others_work()
    {
        using TestThread idle = new(), busy = new();
        nint idlePages = 0, busyPages = 0;
        idle.Run(() => idlePages = FillList());
        busy.Run(() => busyPages = FillList());
        Assert.True(Tick());
        busy.Run(() => PageAllocator.FreePage(PageAllocator.AllocPage()));
        Use(1);
        Assert.True(Tick());
        Assert.Equal(0, ((ThreadPages*)idlePages)->Count);
        Assert.NotEqual(0, ((ThreadPages*)busyPages)->Count);

        static nint FillList()
        {
            Page[] pages = [.. Enumerable.Range(0, 10).Select(_ => PageAllocator.AllocPage())];
            foreach (Page page in pages) PageAllocator.FreePage(page);
            return (nint)ThreadPages.Of(NativeAllocator.GetBlock());
        }
    }

    [Fact]
    public void A_program_at_rest_that_cannot_get_everything_back_is_woken_less_and_less_often()
    {
        const int Longest = 6; // 64 periods
        int failures = 0;
        for (int period = 1; period <= Longest + 2; period++)
        {
            failures = DecayThread.FailuresAfter(failures, hasRested: true);
            Assert.Equal(Math.Min(period, Longest), failures);
            Assert.Equal((long)Day << failures, DecayThread.WaitMilliseconds(failures));
        }
        Assert.Equal(0, DecayThread.FailuresAfter(failures, hasRested: false));
    }

    [Fact]
    public void Where_the_system_takes_nothing_back_it_is_asked_again_and_nothing_is_lost()
    {
        Use(40);
        using (new InjectedFaults(OsCall.Purge))
        {
            Assert.True(Tick());
            Assert.True(Tick());
            Assert.True(Tick());
            Assert.True(Decay.IsArmed);
            Assert.True(PageLayer.DirtyFreePages() >= 40);
            TestZone.Normal->Verify();
        }
        Assert.False(Tick());
        Assert.Equal(0u, PageLayer.DirtyFreePages());
    }

    [Fact]
    public void Beyond_the_cap_memory_goes_back_before_the_period_ends()
    {
        const uint Cap = 256;
        Decay.Configure(Day, Cap);
        long ticks = Decay.Ticks;
        Use(600);
        SpinWait.SpinUntil(() => PageLayer.DirtyFreePages() is <= Cap and > 0);
        Assert.Equal(ticks, Decay.Ticks);
    }

    [Theory]
    [InlineData(600u)]
    [InlineData(224u)]
    [InlineData(33u)]
    [InlineData(7u)]
    [InlineData(0u)]
    public void A_purge_down_to_a_number_of_pages_leaves_just_these(uint most)
    {
        Use(512);
        uint[] scattered = new uint[40];
        for (int i = 0; i < scattered.Length; i++)
            Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.UsedFirst, out scattered[i]));
        for (int i = 0; i < scattered.Length; i += 2) PageLayer.GivePages(scattered[i], 1);
        uint before = PageLayer.DirtyFreePages();
        nuint bytes = PageLayer.PurgeDownTo(most);
        uint after = PageLayer.DirtyFreePages();
        Assert.Equal((nuint)(before - after) << PageGeometry.PageShift, bytes);
        Assert.Equal(Math.Min(before, most), after);
        for (int i = 1; i < scattered.Length; i += 2) PageLayer.GivePages(scattered[i], 1);
    }

    [Fact]
    public void Beyond_the_cap_large_blocks_go_back_in_parts_of_16_MiB()
    {
        Use(PageGeometry.SectionPages);
        int calls = 0;
        using (new InjectedFaults(call =>
        {
            if (call == OsCall.Purge) calls++;
            return false;
        }))
        {
            Assert.Equal(PageGeometry.SectionBytes / 2, PageLayer.PurgeDownTo(PageGeometry.SectionPages / 2));
        }
        Assert.Equal(2, calls);
        Assert.Equal(PageGeometry.SectionPages / 2, PageLayer.DirtyFreePages());
        PageLayer.Verify();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Where_the_system_refuses_a_purge_in_the_middle_of_a_block_what_was_purged_before_is_clean(int failing)
    {
        const uint Runs = 3;
        Assert.True(PageLayer.TryTakePages(null, 8, MemoryChoice.UsedFirst, out uint page));
        PageLayer.Purge(); // the rest of a huge page, where the system has made one of it
        for (uint at = 0; at < 8; at++) PageLayer.SplitOff(page, page + at);
        // 0 and 1, 3 and 4, 6 and 7 have memory
        for (uint at = 0; at < 8; at++) PageLayer.GivePages(page + at, 1, clean: at % 3 == 2);
        int call = 0;
        using (new InjectedFaults(kind => kind == OsCall.Purge && call++ == failing))
            Assert.Equal((nuint)Math.Min(failing, Runs) * 2 * PageGeometry.PageBytes, PageLayer.Purge());
        for (uint at = 0; at < 8; at++)
            Assert.Equal(at % 3 != 2 && at / 3 >= failing, LinearRegion.Dirty.IsSet(page + at));
        PageLayer.Verify();
    }

    [Fact]
    public void Where_the_machines_memory_is_scarce_everything_goes_back_once_in_ten_periods()
    {
        const int Between = 10;
        MemoryLoad scarce = s_calm with { IsScarce = true };
        long rounds = Decay.FullRounds;
        for (int tick = 0; tick <= Between; tick++)
        {
            Use(40);
            Assert.True(Decay.Tick(tick == 3 ? s_calm : scarce)); // armed: memory is in use
            Assert.Equal(rounds + 1 + tick / Between, Decay.FullRounds);
            if (tick % Between == 0) Assert.Equal(0u, PageLayer.DirtyFreePages());
        }
    }

    [Fact]
    public void Near_the_limit_the_decays_thread_gives_everything_back_and_asks_no_shrinker()
    {
        Use(512);
        void* kept = Vmalloc.Alloc(4 << 20);
        Vmalloc.Free(kept);
        bool asked = false;
        try
        {
            using (PageAllocator.RegisterShrinker(_ =>
            {
                asked = true;
                return 0;
            }))
            {
                // nothing more can be charged, and nothing has to be
                ResidentBudget.SetLimit(ResidentBudget.ChargedBytes + 1024);
                ResidentBudget.Charge(1);
                ResidentBudget.Release(1);
                DecayThread.Attend();
                Assert.True(SpinWait.SpinUntil(() => PageLayer.DirtyFreePages() == 0 && KeptAreas.Bytes == 0,
                    TimeSpan.FromSeconds(30)));
            }
        }
        finally
        {
            ResidentBudget.SetLimit(Options.ResidentLimitBytes);
        }
        Assert.False(asked);
    }

    [Fact]
    public void Kept_areas_go_before_a_process_becomes_larger_than_ever_before()
    {
        Vmalloc.Free(Vmalloc.Alloc(4 << 20));
        MemorySignals.ReadAndReset(MemorySignals.NewPeak);
        Assert.NotEqual(0u, KeptAreas.Bytes);
        nuint charged = 0;
        while (!MemorySignals.IsRaised(MemorySignals.NewPeak)) // the peak of all tests before is unknown
        {
            ResidentBudget.Charge(64 << 20);
            charged += 64 << 20;
        }
        ResidentBudget.Charge(64 << 20); // as much more than ever before, at least
        Assert.NotEqual(0u, KeptAreas.Bytes); // what charges only raises the signal
        PageAllocator.FreePages(PageAllocator.AllocPages(1), 1);
        ResidentBudget.Release(charged + (64 << 20));
        Assert.Equal(0u, KeptAreas.Bytes);
    }

    [Fact]
    public void What_the_reclaiming_thread_takes_and_gives_raises_nothing()
    {
        MemorySignals.ReadAndReset(MemorySignals.Used);
        MemorySignals.t_isReclaiming = true;
        Use(3);
        MemorySignals.t_isReclaiming = false;
        Assert.False(MemorySignals.IsRaised(MemorySignals.Used));
        Assert.False(Decay.IsArmed);
        Use(3);
        Assert.True(MemorySignals.IsRaised(MemorySignals.Used));
        Assert.True(Decay.IsArmed);
    }

    [Fact]
    public void Ticks_and_what_arms_them_allocate_no_managed_memory()
    {
        for (int warm = 0; warm < 2; warm++) Round();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 20; i++) Round();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        static void Round()
        {
            Use(70, 4);
            NativeAllocator.Free(NativeAllocator.Alloc(100));
            Decay.Tick(); // with a look at the machine
            Use(1);
            Decay.Tick();
            Decay.RunRequested();
            Decay.Tick();
            Decay.Tick();
        }
    }

    [Fact]
    public void Where_nothing_is_to_go_back_by_itself_nothing_does()
    {
        Decay.Configure(Decay.Never, 1);
        Use(100);
        Assert.False(Decay.IsArmed);
        Decay.RunRequested();
        Assert.Equal(100u, PageLayer.DirtyFreePages());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void Threads_at_work_and_at_rest_lose_nothing_to_a_decay_that_never_sleeps_long_and_it_disarms_in_the_end(
        int period)
    {
        const long LeastTicks = 10;
        Decay.Configure(period, 64);
        long ticks = Decay.Ticks;
        TestThread.RunTogether(3, number =>
        {
            Random random = new(number);
            (nint Block, int Bytes)[] held = new (nint, int)[200];
            for (int step = 0; step < 20_000 || Decay.Ticks - ticks < LeastTicks; step++)
            {
                int index = random.Next(held.Length);
                (nint block, int bytes) = held[index];
                if (block != 0) Pattern.Check((void*)block, (nuint)bytes, (ulong)index);
                NativeAllocator.Free((void*)block);
                bytes = random.Next(200) switch
                {
                    0 => random.Next(1 << 21),
                    < 20 => PageAllocator.PageSize,
                    _ => random.Next(1500)
                };
                held[index] = ((nint)(bytes == PageAllocator.PageSize
                    ? PageAllocator.GetFreePage()
                    : NativeAllocator.Alloc((nuint)bytes)), bytes);
                Pattern.Fill((void*)held[index].Block, (nuint)bytes, (ulong)index);
                if (step % 2000 == 0) SpinWait.SpinUntil(() => !Decay.IsArmed); // at rest
            }
            for (int index = 0; index < held.Length; index++)
            {
                if (held[index].Block != 0)
                    Pattern.Check((void*)held[index].Block, (nuint)held[index].Bytes, (ulong)index);
                NativeAllocator.Free((void*)held[index].Block);
            }
        });
        // Disarmed for a moment, too, before the decay's thread sees that memory was used meanwhile.
        SpinWait.SpinUntil(() => !Decay.IsArmed && !MemorySignals.IsRaised(MemorySignals.Used));
        Assert.Equal(0u, PageLayer.DirtyFreePages() + (uint)PageLayer.CountHotPages());
        NativeAllocator.Verify();
    }

    [Fact]
    public void In_a_process_that_does_nothing_more_resident_memory_falls_by_itself_though_the_thread_pool_is_blocked()
    {
        string output = ChildProcess.RunHost([("NATIVEALLOC_DECAY_MILLISECONDS", "100")], GoesBack.Name)
            .ShouldSucceed().Output;
        long[] figures = [.. output.Split(' ').Select(text => long.Parse(text, CultureInfo.InvariantCulture))];
        (long grown, long left, long ticks) = (figures[0], figures[1], figures[2]);
        Assert.True(grown >= 128L << 20, $"{grown} bytes were used");
        // what idle threads have in their magazines, and the runtime's own
        Assert.True(left <= grown / 4, $"{left} of {grown} bytes are left");
        Assert.Equal(0, ticks);
    }

    [Theory]
    [InlineData(DecaySurvives.FullHeap)]
    [InlineData(DecaySurvives.NearlyFull)]
    [InlineData(DecaySurvives.Failure)]
    public void No_exception_on_the_decays_thread_ends_the_process_and_memory_goes_back_later(string how) =>
        ChildProcess.RunHost(
        [("NATIVEALLOC_DECAY_MILLISECONDS", "1"), ("DOTNET_GCHeapHardLimit", "0x4000000")], DecaySurvives.Name, how)
            .ShouldSucceed();

    // The machine that tests run on may be short of memory.
    private static readonly MemoryLoad s_calm = new(Machine.MemoryBytes, IsScarce: false);

    private static bool Tick() => Decay.Tick(s_calm);

    private static void EndPeriod()
    {
        Tick();
        NativeAllocator.Trim();
    }

    // Takes pages, in blocks of up to a section, and gives them back: they are dirty and free then.
    private static void Use(uint count, int times = 1)
    {
        for (; times != 0; times--)
        {
            Assert.True(PageLayer.TryTakePages(null, count, MemoryChoice.UsedFirst, out uint page));
            PageLayer.GivePages(page, count);
            DecayThread.Attend(); // as the face does
        }
    }
}
