using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Release;

/// <summary>
/// Proves that those who hold memory that can be dropped are asked for it before an allocation fails; what they free is
/// used, and what they throw harms nobody.
/// </summary>
public sealed unsafe class ShrinkerTests : LeakCheckedTests
{
    private const nuint SectionBytes = Sizes.LargestPages;
    private const int TopOrder = PageAllocator.MaxOrder;

    private readonly List<Page> _held = [];
    private Page _half;

    [Fact]
    public void What_a_shrinker_frees_satisfies_the_allocation_that_would_have_failed()
    {
        HoldAllSections();
        List<nuint> asked = [];
        using IDisposable registration = PageAllocator.RegisterShrinker(wanted =>
        {
            asked.Add(wanted);
            FreeOne();
            return SectionBytes;
        });
        using (NoNewSections())
        {
            _held.Add(PageAllocator.AllocPages(TopOrder)); // throws where it is not asked
            Assert.Equal([SectionBytes], asked);
            _held.Add(PageAllocator.AllocPagesNode(0, TopOrder, PageFlags.ThisNode | PageFlags.Movable));
            PageAllocator.FreeExact(PageAllocator.AllocExact(SectionBytes - 70_000), SectionBytes - 70_000);
        }
        Assert.Equal([SectionBytes, SectionBytes, SectionBytes - (nuint)PageAllocator.PageSize], asked);
        FreeAll();
    }

    [Fact]
    public void The_allocator_of_any_size_asks_too()
    {
        HoldAllSections();
        int asked = 0;
        using IDisposable registration = PageAllocator.RegisterShrinker(wanted =>
        {
            asked++;
            FreeOne();
            return SectionBytes;
        });
        using (new InjectedFaults(OsCall.Commit))
        {
            void* large = NativeAllocator.Alloc(SectionBytes - 100);
            Assert.Equal(1, asked);
            // Slabs: until the free pages that are left do not hold another.
            List<nint> small = [];
            while (asked == 1) small.Add((nint)NativeAllocator.Alloc(500_000));
            Assert.Equal(2, asked);
            NativeAllocator.Free(large);
            foreach (nint block in small) NativeAllocator.Free((void*)block);
        }
        FreeAll();
    }

    [Fact]
    public void Shrinkers_are_asked_in_their_order_and_only_for_what_is_still_missing()
    {
        HoldAllSections();
        List<(string Who, nuint Wanted)> asked = [];
        using IDisposable first = PageAllocator.RegisterShrinker(wanted => Answer("first", wanted, 1000));
        using IDisposable second = PageAllocator.RegisterShrinker(wanted => Answer("second", wanted, 0));
        using IDisposable third = PageAllocator.RegisterShrinker(wanted =>
        {
            FreeOne();
            return Answer("third", wanted, nuint.MaxValue);
        });
        using IDisposable fourth = PageAllocator.RegisterShrinker(wanted => Answer("fourth", wanted, wanted));
        using (NoNewSections()) _held.Add(PageAllocator.AllocPages(TopOrder));
        Assert.Equal([("first", SectionBytes), ("second", SectionBytes - 1000), ("third", SectionBytes - 1000)], asked);
        FreeAll();

        nuint Answer(string who, nuint wanted, nuint given)
        {
            asked.Add((who, wanted));
            return given;
        }
    }

    [Fact]
    public void What_a_shrinker_throws_is_the_inner_exception_where_the_allocation_fails_and_nothing_is_lost()
    {
        HoldAllSections();
        long failures = NativeAllocator.GetStatistics().ShrinkerFailures;
        InvalidOperationException thrown = new("the shrinker's own");
        bool later = false;
        using IDisposable registration = PageAllocator.RegisterShrinker(_ => throw thrown);
        using IDisposable next = PageAllocator.RegisterShrinker(_ =>
        {
            later = true;
            return 0;
        });
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        using (NoNewSections())
        {
            OutOfMemoryException error = Assert.Throws<OutOfMemoryException>(() => PageAllocator.AllocPages(TopOrder));
            Assert.Same(thrown, error.InnerException);
            Assert.Contains($" {SectionBytes} bytes", error.Message, StringComparison.Ordinal);
            Assert.True(later, "the next one was not asked");
            error = Assert.Throws<OutOfMemoryException>(() =>
                PageAllocator.AllocPagesNode(0, TopOrder, PageFlags.ThisNode));
            Assert.Contains(" node 0,", error.Message, StringComparison.Ordinal);
        }
        using (new InjectedFaults(OsCall.Commit))
        {
            Assert.Same(thrown,
                Assert.Throws<OutOfMemoryException>(() => NativeAllocator.Alloc(SectionBytes)).InnerException);
            Assert.False(NativeAllocator.TryAlloc(SectionBytes, out _));
        }
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        Assert.Equal((before.LiveBytes, before.LiveBlocks, before.CommittedBytes),
            (after.LiveBytes, after.LiveBlocks, after.CommittedBytes));
        Assert.Equal(failures + 4, after.ShrinkerFailures);
        NativeAllocator.Verify();
        FreeAll();
        _held.Add(PageAllocator.AllocPages(TopOrder));
        FreeAll();
    }

    [Fact]
    public void What_a_shrinker_throws_is_nobodys_concern_where_another_frees_enough()
    {
        HoldAllSections();
        using IDisposable failing =
            PageAllocator.RegisterShrinker(_ => throw new InvalidOperationException("the shrinker's own"));
        using IDisposable freeing = PageAllocator.RegisterShrinker(_ =>
        {
            FreeOne();
            return SectionBytes;
        });
        using (NoNewSections()) _held.Add(PageAllocator.AllocPages(TopOrder));
        FreeAll();
    }

    [Fact]
    public void A_shrinker_may_take_and_free_itself_and_is_not_asked_by_its_own_allocations()
    {
        HoldAllSections();
        int asked = 0;
        bool refusedInside = false;
        using IDisposable registration = PageAllocator.RegisterShrinker(wanted =>
        {
            asked++;
            void* small = NativeAllocator.Alloc(100);
            NativeAllocator.Free(small);
            // What there is not now there is not for the shrinker either: it is told so, and goes on.
            refusedInside = Record.Exception(() =>
                PageAllocator.AllocPages(TopOrder)) is OutOfMemoryException { InnerException: null };
            FreeOne();
            Page page = PageAllocator.AllocPages(TopOrder);
            PagePattern.Fill(page.Address, SectionBytes, 1);
            PagePattern.Check(page.Address, SectionBytes, 1);
            PageAllocator.FreePages(page, TopOrder);
            NativeAllocator.Trim();
            return SectionBytes;
        });
        using (NoNewSections()) _held.Add(PageAllocator.AllocPages(TopOrder));
        Assert.Equal(1, asked);
        Assert.True(refusedInside);
        FreeAll();
    }

    [Fact]
    public void Who_has_ended_the_registration_is_asked_no_more_and_may_end_it_twice()
    {
        HoldAllSections();
        int asked = 0, others = 0;
        IDisposable registration = PageAllocator.RegisterShrinker(_ => (nuint)(asked++ * 0));
        using IDisposable other = PageAllocator.RegisterShrinker(_ => (nuint)(others++ * 0));
        using (NoNewSections())
        {
            Assert.Throws<OutOfMemoryException>(() => PageAllocator.AllocPages(TopOrder));
            registration.Dispose();
            Assert.Throws<OutOfMemoryException>(() => PageAllocator.AllocPages(TopOrder));
            registration.Dispose();
            Assert.Throws<OutOfMemoryException>(() => PageAllocator.AllocPages(TopOrder));
        }
        Assert.Equal((1, 3), (asked, others));
        FreeAll();
    }

    [Fact]
    public void A_shrinker_may_end_its_own_registration_while_it_is_asked()
    {
        HoldAllSections();
        int asked = 0;
        IDisposable? registration = null;
        registration = PageAllocator.RegisterShrinker(_ =>
        {
            asked++;
            registration!.Dispose();
            return 0;
        });
        using (NoNewSections())
        {
            Assert.Throws<OutOfMemoryException>(() => PageAllocator.AllocPages(TopOrder));
            Assert.Throws<OutOfMemoryException>(() => PageAllocator.AllocPages(TopOrder));
        }
        Assert.Equal(1, asked);
        FreeAll();
    }

    [Fact]
    public void The_same_shrinker_registered_twice_is_asked_twice_and_ended_one_at_a_time()
    {
        HoldAllSections();
        int asked = 0;
        Func<nuint, nuint> shrink = _ => (nuint)(asked++ * 0);
        IDisposable first = PageAllocator.RegisterShrinker(shrink), second = PageAllocator.RegisterShrinker(shrink);
        using (NoNewSections())
        {
            Assert.Throws<OutOfMemoryException>(() => PageAllocator.AllocPages(TopOrder));
            Assert.Equal(2, asked);
            first.Dispose();
            Assert.Throws<OutOfMemoryException>(() => PageAllocator.AllocPages(TopOrder));
            Assert.Equal(3, asked);
        }
        second.Dispose();
        FreeAll();
    }

    [Fact]
    public void There_must_be_something_to_ask() =>
        Assert.Equal("shrink",
            Assert.Throws<ArgumentNullException>(() => PageAllocator.RegisterShrinker(null!)).ParamName);

    [Fact]
    public void What_threads_hold_in_their_lists_is_found_before_an_allocation_fails()
    {
        HoldAllSections();
        using TestThread thread = new();
        using (NoNewSections())
        {
            // The last free pages: single ones, until there is none.
            List<Page> singles = [];
            while (Record.Exception(() => singles.Add(PageAllocator.AllocPage())) == null) { }
            const int Count = 10;
            thread.Run(() =>
            {
                // into the list of a thread that lives on
                for (int i = 0; i < Count; i++) PageAllocator.FreePage(singles[i]);
            });
            Page page = PageAllocator.AllocPage();
            Assert.Contains(page, singles[..Count]);
            PageAllocator.FreePage(page);
            foreach (Page each in singles[Count..]) PageAllocator.FreePage(each);
        }
        FreeAll();
    }

    [Fact]
    public void A_refused_lock_asks_no_shrinker_as_nothing_that_is_cached_is_locked()
    {
        Zones.Prepare(PageZone.Dma);
        int asked = 0;
        using IDisposable registration = PageAllocator.RegisterShrinker(_ => (nuint)(asked++ * 0));
        long runs = NativeAllocator.GetStatistics().Reclaims;
        using (new InjectedFaults(OsCall.Lock))
            Assert.Contains("RLIMIT_MEMLOCK", Assert.Throws<OutOfMemoryException>(() =>
                PageAllocator.AllocPage(PageFlags.Dma)).Message, StringComparison.Ordinal);
        Assert.Equal((0, runs), (asked, NativeAllocator.GetStatistics().Reclaims));
    }

    [Fact]
    public void A_shrinker_may_release_the_threads_cache_and_another_thread_may_take_that_over()
    {
        HoldAllSections();
        List<TestThread> others = [];
        bool isAdopted = false;
        long before = 0;
        using IDisposable registration = PageAllocator.RegisterShrinker(_ =>
        {
            FreeOne();
            nint mine = (nint)NativeAllocator.GetBlock();
            NativeAllocator.ReleaseThreadCache();
            while (!isAdopted) // there may be other blocks without an owner
            {
                others.Add(new TestThread());
                others[^1].Run(() => isAdopted = (nint)NativeAllocator.GetBlock() == mine);
            }
            before = CountBlocks();
            return SectionBytes;
        });
        using (NoNewSections()) _held.Add(PageAllocator.AllocPages(TopOrder));
        Assert.Equal(before, CountBlocks()); // this thread counts what it takes in a block of its own
        FreeAll();
        NativeAllocator.Verify();
        foreach (TestThread other in others) other.Dispose();

        long CountBlocks()
        {
            long blocks = 0;
            others[^1].Run(() => blocks = ThreadPages.Of(NativeAllocator.GetBlock())->UserBlocks);
            return blocks;
        }
    }

    private static InjectedFaults NoNewSections() => new(OsCall.Commit);

    // Takes every free block of the largest order there is; of a last one half stays free, for what is small.
    private void HoldAllSections()
    {
        const int Enough = 4;
        for (int i = 0; i < Enough; i++) _held.Add(PageAllocator.AllocPages(TopOrder));
        NativeAllocator.Trim();
        using InjectedFaults faults = NoNewSections();
        while (Record.Exception(() => _held.Add(PageAllocator.AllocPages(TopOrder))) == null) { }
        FreeOne();
        _half = PageAllocator.AllocPages(TopOrder - 1);
        Assert.Throws<OutOfMemoryException>(() => PageAllocator.AllocPages(TopOrder));
    }

    private void FreeOne()
    {
        PageAllocator.FreePages(_held[^1], TopOrder);
        _held.RemoveAt(_held.Count - 1);
    }

    private void FreeAll()
    {
        foreach (Page page in _held) NativeAllocator.Free(page.Address); // whatever their order
        NativeAllocator.Free(_half.Address);
        _held.Clear();
        _half = default;
    }
}
