using System.Globalization;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>
/// Shows that no more is charged than the limit, by however many threads; that a derived limit asks the system before
/// it stands; and that an allocation which is refused loses nothing and says why.
/// </summary>
public sealed unsafe class ResidentBudgetTests : LeakCheckedTests, IDisposable
{
    private const nuint MiB = 1 << 20;

    public ResidentBudgetTests() => NativeAllocator.Trim();

    public new void Dispose()
    {
        ResidentBudget.SetLimit(Options.ResidentLimitBytes);
        NativeAllocator.Trim();
        base.Dispose();
    }

    [Fact]
    public void What_is_charged_is_what_may_have_memory_behind_it()
    {
        nuint before = ResidentBudget.ChargedBytes;
        // Pages that may have memory, less the holes of slabs that other tests have left in use.
        Assert.Equal(
            ((nuint)PageLayer.DirtyPages() << PageGeometry.PageShift)
                - NativeAllocator.GetStatistics().SlabPurgedBytes,
            before);
        void* block = NativeAllocator.Alloc(MiB);
        Assert.Equal(before + MiB, ResidentBudget.ChargedBytes);
        NativeAllocator.Free(block);
        Assert.Equal(before + MiB, ResidentBudget.ChargedBytes);
        block = NativeAllocator.Alloc(MiB - 1024 * 128); // used again: costs nothing
        Assert.Equal(before + MiB, ResidentBudget.ChargedBytes);
        NativeAllocator.Free(block);
        block = Vmalloc.Alloc(3 * MiB);
        Assert.Equal(before + 4 * MiB, ResidentBudget.ChargedBytes);
        Vmalloc.Free(block); // kept
        Assert.Equal(before + 4 * MiB, ResidentBudget.ChargedBytes);
        NativeAllocator.Trim();
        Assert.Equal(before, ResidentBudget.ChargedBytes);
    }

    [Fact]
    public void A_charge_beyond_the_limit_is_refused_and_changes_nothing()
    {
        nuint charged = ResidentBudget.ChargedBytes;
        ResidentBudget.SetLimit(charged + MiB);
        Assert.True(ResidentBudget.TryCharge(MiB));
        Assert.False(ResidentBudget.TryCharge(1));
        Assert.False(ResidentBudget.TryCharge(nuint.MaxValue));
        Assert.False(ResidentBudget.TryRaise(1)); // what the user said stands
        Assert.Equal(charged + MiB, ResidentBudget.ChargedBytes);
        ResidentBudget.Release(MiB);
        Assert.Equal(charged, ResidentBudget.ChargedBytes);
    }

    [Fact]
    public void That_the_limit_is_near_is_said_once_and_again_when_more_was_charged_or_reclaim_has_run()
    {
        nuint charged = ResidentBudget.ChargedBytes, limit = charged + 640 * MiB;
        ResidentBudget.SetLimit(limit);
        nuint near = limit - limit / 16 - charged, step = limit / 64;
        Assert.True(ResidentBudget.TryCharge(near));
        Assert.False(TakeNear());
        ResidentBudget.Charge(4096);
        Assert.True(TakeNear());
        Assert.False(TakeNear());
        ResidentBudget.Charge(4096);
        Assert.False(TakeNear());
        ResidentBudget.Charge(step);
        Assert.True(TakeNear());
        ResidentBudget.Release(near + step + 8192);
        ResidentBudget.Rearm();
        ResidentBudget.Charge(near + 4096);
        Assert.True(TakeNear());
        ResidentBudget.Release(near + 4096);
    }

    [Fact]
    public void A_derived_limit_is_one_of_what_the_process_really_has()
    {
        ResidentBudget.SetLimit(0);
        Assert.True(ResidentBudget.IsDerived);
        nuint limit = ResidentBudget.LimitBytes, charged = ResidentBudget.ChargedBytes;
        Assert.Equal((nuint)(Machine.MemoryBytes - MemoryLoad.ReserveOf(Machine.MemoryBytes)), limit);
        nuint resident = Machine.AnonymousResidentBytes();
        Assert.InRange(resident, MiB, (nuint)ProcessMemory.ResidentBytes() + 256 * MiB);
        Assert.False(ResidentBudget.TryRaise(limit)); // so much is not left
        nuint untouched = limit - charged;
        Assert.True(ResidentBudget.TryCharge(untouched));
        Assert.False(ResidentBudget.TryCharge(MiB));
        Assert.True(ResidentBudget.TryRaise(MiB));
        Assert.True(ResidentBudget.TryCharge(MiB));
        // For a part of the limit the system is not asked again: a sixteenth, less what other threads charge.
        nuint unasked = limit / 32;
        Assert.True(ResidentBudget.TryCharge(unasked));
        ResidentBudget.Release(untouched + MiB + unasked);
    }

    [Fact]
    public void What_was_just_taken_is_expected_to_be_touched_by_a_program_that_touched_the_rest()
    {
        const long Limit = 1000 << 20, Step = Limit / 100;
        ResidentBudget.SetLimit(0); // nothing is known of the program
        // It touches all it takes, and has taken some more.
        Assert.Equal(Limit - Step, ResidentBudget.ExpectedResident(Limit - Step, Limit - Step, Limit));
        for (long more = 0; more < 10 * Step; more += Step)
            Assert.Equal(Limit + more, ResidentBudget.ExpectedResident(Limit + more, Limit - Step, Limit));
        // Much was given back, and what is taken now stays untouched.
        Assert.Equal(Limit / 4, ResidentBudget.ExpectedResident(Limit / 2, Limit / 4, Limit));
        Assert.Equal(Limit / 2, ResidentBudget.ExpectedResident(Limit * 10, Limit / 2, Limit));
        Assert.Equal(Limit * 3 / 4, ResidentBudget.ExpectedResident(Limit * 3 / 2, Limit * 3 / 4, Limit));
        // As much is charged as before, and the managed heap has become smaller.
        Assert.Equal(Limit, ResidentBudget.ExpectedResident(Limit, Limit, Limit));
        Assert.Equal(Limit * 3 / 4, ResidentBudget.ExpectedResident(Limit, Limit * 3 / 4, Limit));
    }

    [Fact]
    public void A_derived_limit_holds_while_the_systems_files_cannot_be_read()
    {
        ResidentBudget.SetLimit(0);
        bool isFirst = true;
        bool FailFirst(OsCall call) => call == OsCall.ReadFigure && isFirst && !(isFirst = false);
        using (new InjectedFaults(FailFirst))
        {
            Assert.InRange(Machine.AnonymousResidentBytes(), MiB, nuint.MaxValue);
            isFirst = true;
            Assert.False(ResidentBudget.TryRaise(ResidentBudget.LimitBytes));
        }
        Assert.True(ResidentBudget.TryRaise(MiB));
    }

    [Fact]
    public void Pages_for_which_there_is_no_budget_are_free_as_before()
    {
        // Half of a section is held, so that the section stays when free ones go offline. The other half is fresh.
        const uint Half = PageGeometry.SectionPages / 2;
        PageRequest section = PageRequest.Block(PageGeometry.MaxOrder) with { Node = 0 };
        Assert.True(PageLayer.TryTake(null, section, out uint held, out _));
        PageLayer.GivePages(held + Half, Half);
        NativeAllocator.Trim(); // what is free has no memory behind it then
        Zone* zone = PageLayer.ZoneOf(0, ZoneKind.Normal);
        PageRequest request = new(5, 32) { Choice = MemoryChoice.FreshOnly };
        nuint limit = ResidentBudget.ChargedBytes;
        ResidentBudget.SetLimit(limit);
        zone->Lock.Acquire();
        uint free = zone->FreePages;
        bool isTaken = zone->TryTake(request, out _, out nuint refused);
        uint freeAfter = zone->FreePages;
        zone->Lock.Release();
        Assert.False(isTaken);
        Assert.Equal((nuint)(32 * PageAllocator.PageSize), refused);
        Assert.Equal(free, freeAfter);
        PageLayer.GivePages(held, Half);
    }

    [Fact]
    public void High_pages_count_towards_a_derived_limit_mapped_or_not()
    {
        ResidentBudget.SetLimit(0);
        nuint limit = ResidentBudget.LimitBytes, charged = ResidentBudget.ChargedBytes;
        List<Page> pages = [];
        while (ResidentBudget.ChargedBytes - charged < 512 * MiB)
            pages.Add(PageAllocator.AllocPages(8, PageFlags.High));
        Assert.InRange(ResidentBudget.ReadResidentBytes(), 512 * MiB, limit); // though none has been touched
        nuint mostForOthers = limit - 512 * MiB;
        Assert.False(ResidentBudget.TryRaise(mostForOthers));
        foreach (Page page in pages) PageAllocator.FreePages(page, 8);
        NativeAllocator.Trim();
        nuint anonymous = Machine.AnonymousResidentBytes();
        Assert.InRange(ResidentBudget.ReadResidentBytes(), 0u, anonymous + 64 * MiB);
    }

    private static bool TakeNear() => MemorySignals.ReadAndReset(MemorySignals.LimitNear) != 0;

    [Fact]
    public void A_derived_limit_follows_the_memory_of_the_machine_and_a_set_one_does_not()
    {
        ResidentBudget.SetLimit(0);
        ResidentBudget.NoteMachine(512 * MiB);
        Assert.Equal(512 * MiB - 512 * MiB / 10, ResidentBudget.LimitBytes);
        Assert.True(ResidentBudget.IsDerived);
        ResidentBudget.NoteMachine(1UL << 40);
        Assert.Equal((1UL << 40) - (8UL << 30), ResidentBudget.LimitBytes);
        ResidentBudget.SetLimit(700 * MiB);
        ResidentBudget.NoteMachine(512 * MiB);
        Assert.Equal(700 * MiB, ResidentBudget.LimitBytes);
    }

    [Fact]
    public void A_request_beyond_the_limit_is_refused_before_anything_is_mapped_for_it_and_says_so()
    {
        const int RefreshMilliseconds = 100; // so rarely the system is asked whether a derived limit has changed
        ResidentBudget.SetLimit(0);
        nuint beyond = 2 * Math.Max(ResidentBudget.LimitBytes, VmallocSpace.Bytes / 4);
        Assert.True(beyond <= VmallocSpace.Bytes, "there are addresses for it");
        string message;
        long begin, calls;
        do
        {
            // It is asked now, whenever it was asked last, and again only where what follows takes long.
            Thread.Sleep(RefreshMilliseconds + 50);
            begin = Environment.TickCount64;
            Assert.False(NativeAllocator.TryAlloc(beyond, out _));
            calls = NativeAllocator.GetStatistics().OsCalls;
            for (int i = 0; i < 100; i++) Assert.False(NativeAllocator.TryAlloc(beyond, out _));
            message = Assert.Throws<OutOfMemoryException>(() => NativeAllocator.Alloc(beyond)).Message;
            calls = NativeAllocator.GetStatistics().OsCalls - calls;
        }
        while (calls != 0 && Environment.TickCount64 - begin >= RefreshMilliseconds);
        Assert.Equal(0, calls);
        Assert.Contains($"{beyond} bytes: that is more than the resident limit of {ResidentBudget.LimitBytes} bytes",
            message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_could_not_succeed_with_everything_given_back_takes_no_cache_away()
    {
        const nuint GiB = 1024 * MiB;
        Vmalloc.Free(Vmalloc.Alloc(8 * MiB));
        NativeAllocator.Free(NativeAllocator.Alloc(100));
        PageAllocator.FreePages(PageAllocator.AllocPages(5), 5);
        (nuint, nuint, nuint, long) before = Cached();
        int asked = 0;
        using (PageAllocator.RegisterShrinker(_ => (nuint)(asked++ * 0)))
        {
            ResidentBudget.SetLimit(0);
            nuint beyondAll = (nuint)Machine.MemoryBytes + GiB;
            string message = Assert.Throws<OutOfMemoryException>(() => NativeAllocator.Alloc(beyondAll)).Message;
            Assert.Contains("nothing was given back", message, StringComparison.Ordinal);
            Assert.False(NativeAllocator.TryAlloc(beyondAll, out _));
            Assert.Throws<OutOfMemoryException>(() => Vmalloc.Alloc(beyondAll));
            Assert.Throws<OutOfMemoryException>(() => NativeAllocator.Alloc(VmallocSpace.Bytes + 1));
            ResidentBudget.SetLimit(ResidentBudget.ChargedBytes + 4 * MiB);
            Assert.Throws<OutOfMemoryException>(() => NativeAllocator.Alloc(ResidentBudget.LimitBytes + 1));
            Assert.Throws<OutOfMemoryException>(() => NativeAllocator.Alloc(nuint.MaxValue / 2));
        }
        Assert.Equal(0, asked);
        Assert.Equal(before, Cached());

        static (nuint, nuint, nuint, long) Cached()
        {
            AllocatorStatistics figures = NativeAllocator.GetStatistics();
            return (figures.KeptAreaBytes, figures.MagazineBytes, figures.DirtyFreeBytes, figures.Reclaims);
        }
    }

    [Fact]
    public void At_the_limit_so_much_goes_back_as_is_needed_and_caches_stay()
    {
        PageAllocator.FreePages(PageAllocator.AllocPages(9), 9); // 32 MiB that are free
        NativeAllocator.Free(NativeAllocator.Alloc(100));
        nuint magazines = NativeAllocator.GetStatistics().MagazineBytes,
            free = NativeAllocator.GetStatistics().DirtyFreeBytes;
        nuint limit = ResidentBudget.ChargedBytes;
        ResidentBudget.SetLimit(limit);
        long runs = NativeAllocator.GetStatistics().Reclaims;
        Page high = PageAllocator.AllocPages(4, PageFlags.High); // a MiB of other memory
        AllocatorStatistics figures = NativeAllocator.GetStatistics();
        Assert.InRange(figures.DirtyFreeBytes, free - Math.Max(MiB, limit / 64) - LinearBytes, free - MiB);
        Assert.Equal((magazines, runs), (figures.MagazineBytes, figures.Reclaims));
        PageAllocator.FreePages(high, 4);
    }

    private const nuint LinearBytes = PageGeometry.PageBytes;

    [Fact]
    public void Threads_together_never_charge_more_than_the_limit()
    {
        const int Charges = 20_000;
        nuint charged = ResidentBudget.ChargedBytes;
        ResidentBudget.SetLimit(charged + 1000);
        long granted = 0;
        TestThread.RunTogether(4, number =>
        {
            Random random = new(number);
            for (int i = 0; i < Charges; i++)
            {
                nuint bytes = (nuint)random.Next(600);
                if (!ResidentBudget.TryCharge(bytes)) continue;
                Assert.True(Interlocked.Add(ref granted, (long)bytes) <= 1000);
                Interlocked.Add(ref granted, -(long)bytes);
                ResidentBudget.Release(bytes);
            }
        });
        Assert.Equal(charged, ResidentBudget.ChargedBytes);
    }

    [Fact]
    public void An_allocation_beyond_the_limit_says_so_loses_nothing_and_works_again_after_a_free()
    {
        nuint left = KeptBytes(NativeAllocator.GetStatistics()); // threads that rest keep an object of each class
        nuint limit = ResidentBudget.ChargedBytes + 16 * MiB;
        ResidentBudget.SetLimit(limit);
        long hits = ResidentBudget.LimitHits;
        List<nint> blocks = [];
        OutOfMemoryException error = Assert.Throws<OutOfMemoryException>(() =>
        {
            while (blocks.Count < 100) blocks.Add((nint)NativeAllocator.Alloc(MiB));
        });
        Assert.Equal(16, blocks.Count);
        Assert.True(ResidentBudget.LimitHits > hits);
        AllocatorStatistics figures = NativeAllocator.GetStatistics();
        // Next to nothing is cached but what lies free in slabs that other tests have left in use.
        nuint kept = KeptBytes(figures);
        Assert.InRange(kept, (nuint)0, left + (nuint)PageAllocator.PageSize);
        nuint slabFree = figures.SlabFreeBytes - Math.Min(figures.SlabFreeBytes, figures.SlabPurgedBytes);
        nuint cached = Math.Min(kept + slabFree, limit - figures.LiveBytes);
        foreach (string part in (string[])[$"{MiB} bytes", $"limit of {limit} bytes", "ResidentLimitBytes",
            $"{limit} bytes are resident", $"{figures.LiveBytes} are live", $" {cached} cached",
            "shrinkers"])
            Assert.Contains(part, error.Message, StringComparison.Ordinal);
        Assert.Contains("resident limit",
            Assert.Throws<OutOfMemoryException>(() => PageAllocator.AllocPages(3)).Message, StringComparison.Ordinal);
        Assert.Contains("resident limit", Assert.Throws<OutOfMemoryException>(() =>
            PageAllocator.AllocPage(PageFlags.High)).Message, StringComparison.Ordinal);
        NativeAllocator.Verify();
        NativeAllocator.Free((void*)blocks[^1]);
        blocks[^1] = (nint)NativeAllocator.Alloc(MiB);
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
    }

    private static nuint KeptBytes(in AllocatorStatistics figures) => figures.CachedBytes + figures.DirtyFreeBytes;

    [Fact]
    public void At_the_limit_memory_that_is_free_elsewhere_is_given_back_first_and_then_shrinkers_are_asked()
    {
        using SlabCache cache = new("limit-test", 3000);
        void* first = cache.Alloc();
        ResidentBudget.SetLimit(ResidentBudget.ChargedBytes + 8 * MiB);
        PageAllocator.FreePage(PageAllocator.AllocPage());
        NativeAllocator.Free(NativeAllocator.Alloc(7 * MiB)); // charged, and free
        bool asked = false;
        void* dropped = null;
        using (PageAllocator.RegisterShrinker(wanted =>
        {
            asked = true;
            if (dropped == null) return 0;
            NativeAllocator.Free(dropped);
            dropped = null;
            return 6 * MiB;
        }))
        {
            Page high = PageAllocator.AllocPages(6, PageFlags.High); // other memory: the free pages have to go first
            Assert.False(asked);
            dropped = NativeAllocator.Alloc(3 * MiB);
            void* block = NativeAllocator.Alloc(2 * MiB);
            Assert.True(asked);
            Assert.True(dropped == null);
            List<nint> objects = [];
            Assert.Contains("resident limit", Assert.Throws<OutOfMemoryException>(() =>
            {
                while (objects.Count < 100_000) objects.Add((nint)cache.Alloc());
            }).Message, StringComparison.Ordinal);
            foreach (nint each in objects) cache.Free((void*)each);
            NativeAllocator.Free(block);
            PageAllocator.FreePages(high, 6);
        }
        cache.Free(first);
    }

    [Fact]
    public void Threads_whose_live_memory_stays_below_the_limit_are_never_refused()
    {
        // Each holds up to 2 MiB, in sizes of all layers that change all the time; what they hold together is half of
        // the limit. Threads that happen to take turns need longer to reach it.
        const int Phases = 40, MostPhases = 100 * Phases;
        ResidentBudget.SetLimit(ResidentBudget.ChargedBytes + 20 * MiB);
        long hits = ResidentBudget.LimitHits;
        TestThread.RunTogether(4, number =>
        {
            Random random = new(number);
            for (int phase = 0; phase < Phases || (phase < MostPhases && ResidentBudget.LimitHits == hits); phase++)
            {
                List<nint> blocks = [];
                int largest = 1 << random.Next(8, 21);
                for (int bytes = 0; bytes < 1 << 20;)
                {
                    int size = random.Next(largest / 2, largest);
                    blocks.Add((nint)NativeAllocator.Alloc((nuint)size));
                    bytes += size;
                }
                foreach (nint block in blocks) NativeAllocator.Free((void*)block);
            }
        });
        Assert.True(ResidentBudget.LimitHits > hits, "the limit was never reached, so nothing was shown");
    }

    [Fact]
    public void A_process_with_a_limit_holds_nearly_as_much_and_not_more_and_goes_on_after_each_refusal()
    {
        const long Limit = 64L << 20;
        ChildProcess child =
            ChildProcess.RunHost(
                [("NATIVEALLOC_RESIDENT_LIMIT_BYTES", "64M"), ("NATIVEALLOC_DECAY_MILLISECONDS", "-1")],
                ResidentLimit.Name).ShouldSucceed();
        string[] lines = child.Output.Split('\n');
        long[] figures = [.. lines[0].Split(' ').Select(text => long.Parse(text, CultureInfo.InvariantCulture))];
        Assert.InRange(figures[0], Limit * 3 / 4, Limit);
        Assert.True(figures[1] >= 40);
        Assert.InRange(figures[2], 0, Limit / 16); // what is left for the runtime's own
        Assert.Contains("resident limit of 67108864 bytes", lines[1], StringComparison.Ordinal);
    }
}
