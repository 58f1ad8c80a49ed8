using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows that the page layer gives what a request asks for: pages that read as zero and cost nothing where they did
/// already, locked ones, ones without an address; where it looks when there is none of the kind; and that no system
/// call that fails loses a page.
/// </summary>
public sealed unsafe class PageRequestTests : IDisposable
{
    private uint[] _usedBefore;

    public PageRequestTests()
    {
        ResidentBudget.SetLimit(nuint.MaxValue); // holding all of a zone's pages would come near what the machine has
        TestZone.Settle();
        _usedBefore = UsedPages();
    }

    public void Dispose()
    {
        ResidentBudget.SetLimit(Options.ResidentLimitBytes);
        PageLayer.Verify();
        CheckNothingIsLost();
    }

    // ── zeroed ───────────────────────────────────────────────────────────────────────────────────────────────────────

    [Fact]
    public void Of_a_zeroed_block_only_the_pages_that_were_in_use_are_cleared()
    {
        const uint Count = 16;
        // A block of which every third page has been in use and written to, and the others have no memory.
        uint page = TakeCleanBlock(4);
        for (uint at = 0; at < Count; at++)
        {
            if (at % 3 == 0) Bytes(page + at, 1).Fill(0xAB);
            PageLayer.GivePages(page + at, 1, clean: at % 3 != 0);
        }
        Assert.True(PageLayer.TryTake(null, new PageRequest(4, Count) { Zeroed = true }, out uint again, out _));
        Assert.Equal(page, again);
        for (uint at = 0; at < Count; at++)
        {
            uint resident = ResidentMemory.PagesAt(LinearRegion.AddressOf(page + at), PageGeometry.PageBytes);
            // a clean page stays untouched
            if (ResidentMemory.ComesInSystemPages) Assert.Equal(at % 3 == 0, resident != 0);
        }
        Assert.False(Bytes(page, Count).ContainsAnyExcept((byte)0), "a zeroed block is not zero");
        PageLayer.GivePages(page, Count);
    }

    [Fact]
    public void A_zeroed_block_of_many_words_of_dirty_bits_is_zero_to_the_last_page()
    {
        const uint Count = 200; // of a block of 256 pages: four words, the last in part
        uint page = TakeCleanBlock(8);
        uint[] written = [0, 1, 63, 64, 65, 127, 128, 191, 192, 198, 199];
        foreach (uint at in written) Bytes(page + at, 1).Fill(1);
        for (uint at = 0; at < 256; at++) PageLayer.GivePages(page + at, 1, clean: !written.Contains(at));
        Assert.True(PageLayer.TryTake(null, new PageRequest(8, Count) { Zeroed = true }, out uint again, out _));
        Assert.Equal(page, again);
        uint resident = ResidentMemory.PagesAt(LinearRegion.AddressOf(page), Count * PageGeometry.PageBytes);
        if (ResidentMemory.ComesInSystemPages)
            Assert.Equal((uint)written.Length * (uint)(PageGeometry.PageBytes / VirtualMemory.PageBytes), resident);
        Assert.False(Bytes(page, Count).ContainsAnyExcept((byte)0), "a zeroed block is not zero");
        PageLayer.GivePages(page, Count);
    }

    [Fact]
    public void A_zeroed_page_from_a_hot_list_is_cleared()
    {
        ThreadPages hot = default;
        Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.UsedFirst, out uint page));
        Bytes(page, 1).Fill(0xCD);
        PageLayer.GivePages(&hot, page, 1);
        Assert.True(PageLayer.TryTake(&hot, PageRequest.Block(0) with { Zeroed = true }, out uint again, out _));
        Assert.Equal(page, again);
        Assert.False(Bytes(page, 1).ContainsAnyExcept((byte)0));
        Bytes(page, 1).Fill(0xCD);
        PageLayer.GivePages(&hot, page, 1);
        Assert.True(PageLayer.TryTake(&hot, PageRequest.Block(0), out again, out _));
        Assert.False(Bytes(again, 1).ContainsAnyExcept((byte)0xCD)); // nobody asked
        PageLayer.GivePages(&hot, again, 1);
        PageLayer.Drain(&hot);
    }

    [Fact]
    public void Zeroed_high_pages_are_zero_and_are_not_given_out_where_the_system_does_not_clear_them()
    {
        PageRequest request = new(2, 4) { Kind = ZoneKind.High, Choice = MemoryChoice.UsedFirst };
        PageLayer.Purge();
        Assert.True(PageLayer.TryTake(null, request, out uint page, out _));
        using Window window = new(page, 4);
        for (uint i = 0; i < 4; i++) window.Page(i).Fill(3);
        PageLayer.GivePages(page, 4);
        uint[] used = UsedPages();
        using (new InjectedFaults(OsCall.PurgeFile, OsCall.GrowFile, OsCall.CreateFile, OsCall.Commit))
        {
            // The normal zone may serve it; another high page, that was never in use, may not.
            if (PageLayer.TryTake(null, request with { Zeroed = true }, out uint other, out Refusal failure))
            {
                Assert.False(HighRegion.Contains(other));
                Assert.False(Bytes(other, 4).ContainsAnyExcept((byte)0));
                PageLayer.GivePages(other, 4);
            }
            else
            {
                Assert.Equal((PageFrame.None, Refusal.OutOfMemory), (other, failure));
            }
        }
        Assert.Equal(used, UsedPages());
        Assert.False(window.Page(0).ContainsAnyExcept((byte)3));
        Assert.True(PageLayer.TryTake(null, request with { Zeroed = true }, out uint zeroed, out _));
        Assert.Equal(page, zeroed);
        for (uint i = 0; i < 4; i++) Assert.False(window.Page(i).ContainsAnyExcept((byte)0));
        PageLayer.GivePages(zeroed, 4);
    }

    // ── the head's frame ─────────────────────────────────────────────────────────────────────────────────────────────

    [Fact]
    public void The_head_says_what_was_asked_for_in_every_zone()
    {
        foreach (ZoneKind kind in Enum.GetValues<ZoneKind>())
        {
            foreach (MigrateType type in Enum.GetValues<MigrateType>())
            {
                foreach (PageState state in (PageState[])[PageState.Taken, PageState.Block, PageState.Large])
                {
                    Assert.True(PageLayer.TryTake(null, new PageRequest(3,
                        5)
                    { Kind = kind, Type = type, State = state }, out uint page, out Refusal failure));
                    Assert.Equal(Refusal.None, failure);
                    Assert.Equal(0u, page % 8);
                    PageFrame frame = LinearRegion.Frames[page];
                    Assert.Equal((state, 3, 5u), (frame.State, frame.Order, frame.PageCount));
                    Assert.Equal(LinearRegion.ZoneIndexOf(page), frame.ZoneIndex);
                    Assert.Equal((int)kind, frame.ZoneIndex % Zone.KindCount);
                    Assert.Equal(kind == ZoneKind.High, HighRegion.Contains(page));
                    PageLayer.GivePages(page, 5);
                }
            }
        }
    }

    [Fact]
    public void Pages_of_the_own_type_are_no_steal_and_those_of_another_are_counted()
    {
        Zone* zone = TestZone.Normal;
        using Hoard hoard = new(ZoneKind.Normal); // nothing but what follows is free
        Assert.True(PageLayer.TryTake(null, PageRequest.Block(10) with { Type = MigrateType.Movable }, out uint section,
            out _));
        // a section that was brought online for it is its own
        (long steals, long claims) = (zone->Steals, zone->Claims);
        PageLayer.GivePages(section, PageGeometry.SectionPages);
        MigrateType type = LinearRegion.TypeOf(section);
        Assert.True(PageLayer.TryTake(null, PageRequest.Block(2) with { Type = type }, out uint own, out _));
        Assert.Equal((steals, claims), (zone->Steals, zone->Claims));
        Assert.True(PageLayer.TryTake(null, PageRequest.Block(2) with { Type = Pageblock.FallbackOf(type, 0) },
            out uint stolen, out _));
        Assert.Equal(steals + 1, zone->Steals);
        // half of the section was the largest block
        Assert.Equal(claims + PageGeometry.SectionPages / 2 / Pageblock.Pages, zone->Claims);
        PageLayer.GivePages(own, 4);
        PageLayer.GivePages(stolen, 4);
    }

    // ── zones ────────────────────────────────────────────────────────────────────────────────────────────────────────

    [Fact]
    public void Dma_pages_are_locked_while_they_are_taken()
    {
        PageRequest request = new(4, 12) { Kind = ZoneKind.Dma };
        ulong before = ResidentMemory.LockedBytes();
        Assert.True(PageLayer.TryTake(null, request, out uint page, out _));
        Assert.Equal(before + 12 * PageGeometry.PageBytes, ResidentMemory.LockedBytes());
        Assert.Equal(12 * (uint)(PageGeometry.PageBytes / VirtualMemory.PageBytes),
            ResidentMemory.PagesAt(LinearRegion.AddressOf(page), 12 * PageGeometry.PageBytes));
        Bytes(page, 12).Fill(9);
        PageLayer.GivePages(page + 8, 4); // a part of it
        Assert.Equal(before + 8 * PageGeometry.PageBytes, ResidentMemory.LockedBytes());
        PageLayer.GivePages(page, 8);
        Assert.Equal(before, ResidentMemory.LockedBytes());
        Assert.True(PageLayer.Purge() >= 12 * PageGeometry.PageBytes); // and can be purged then
    }

    [Fact]
    public void A_dma_page_never_goes_to_a_hot_list_nor_comes_from_one()
    {
        ThreadPages hot = default;
        Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.UsedFirst, out uint normal));
        PageLayer.GivePages(&hot, normal, 1);
        foreach (ZoneKind kind in (ZoneKind[])[ZoneKind.Dma, ZoneKind.High])
        {
            Assert.True(PageLayer.TryTake(&hot, PageRequest.Block(0) with { Kind = kind }, out uint page, out _));
            Assert.NotEqual(normal, page);
            PageLayer.GivePages(&hot, page, 1);
            Assert.Equal(1, hot.Count);
        }
        PageLayer.Drain(&hot);
    }

    [Fact]
    public void Where_the_system_locks_no_more_the_pages_go_back()
    {
        uint[] used = UsedPages();
        ulong locked = ResidentMemory.LockedBytes();
        foreach (int order in (int[])[0, 3, 10])
        {
            using (new InjectedFaults(OsCall.Lock))
            {
                Assert.False(PageLayer.TryTake(null, PageRequest.Block(order) with { Kind = ZoneKind.Dma },
                    out uint page, out Refusal failure));
                Assert.Equal((PageFrame.None, Refusal.LockLimit), (page, failure));
            }
            Assert.Equal(used, UsedPages());
            PageLayer.Verify();
        }
        Assert.Equal(locked, ResidentMemory.LockedBytes());
    }

    [Fact]
    public void Dma_pages_come_from_no_other_zone_and_others_not_from_theirs()
    {
        foreach ((ZoneKind wanted, ZoneKind other) in ((ZoneKind, ZoneKind)[])[(ZoneKind.Dma, ZoneKind.Normal),
            (ZoneKind.Normal, ZoneKind.Dma)])
        {
            // There are free pages of the other kind, and of the one that is wanted none.
            Assert.True(PageLayer.TryTake(null, PageRequest.Block(0) with { Kind = other }, out uint page, out _));
            PageLayer.GivePages(page, 1);
            using Hoard hoard = new(wanted);
            using (new InjectedFaults(OsCall.Commit))
            {
                Assert.NotEqual(0u, PageLayer.ZoneOf(0, other)->FreePages);
                Assert.False(PageLayer.TryTake(null, PageRequest.Block(0) with { Kind = wanted }, out uint none,
                    out Refusal failure));
                Assert.Equal((PageFrame.None, Refusal.OutOfMemory), (none, failure));
            }
        }
    }

    [Fact]
    public void Where_there_are_no_high_pages_normal_ones_do_and_where_there_are_none_either_none()
    {
        using Hoard high = new(ZoneKind.High);
        foreach (int order in (int[])[0, 4, 10])
        {
            using (new InjectedFaults(OsCall.GrowFile, OsCall.CreateFile))
            {
                Assert.True(PageLayer.TryTake(null, PageRequest.Block(order) with { Kind = ZoneKind.High },
                    out uint page, out Refusal failure));
                Assert.Equal((ZoneKind.Normal, Refusal.None), (KindOf(page), failure));
                PageLayer.GivePages(page, 1u << order);
            }
        }
        using Hoard normal = new(ZoneKind.Normal);
        using (new InjectedFaults(OsCall.GrowFile, OsCall.CreateFile, OsCall.Commit))
        {
            Assert.False(PageLayer.TryTake(null, PageRequest.Block(0) with { Kind = ZoneKind.High }, out uint none,
                out Refusal failure));
            Assert.Equal((PageFrame.None, Refusal.OutOfMemory), (none, failure));
        }
        // of a new section
        Assert.True(PageLayer.TryTake(null, PageRequest.Block(0) with { Kind = ZoneKind.High }, out uint last, out _));
        Assert.Equal(ZoneKind.High, KindOf(last));
        PageLayer.GivePages(last, 1);
    }

    // ── system calls that fail ───────────────────────────────────────────────────────────────────────────────────────

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Whichever_system_call_fails_no_page_is_lost_and_none_is_said_to_be_what_it_is_not(bool needsSections,
        bool andAllLater)
    {
        Action scenario = needsSections ? GrowEveryZone : UseEveryZone;
        scenario();
        HashSet<OsCall> kinds = [];
        int failing = 0, call;
        do
        {
            call = 0;
            ulong locked = ResidentMemory.LockedBytes();
            using (Hoard? hoard = needsSections ? new Hoard(Enum.GetValues<ZoneKind>()) : null)
            {
                using InjectedFaults faults = new(kind =>
                {
                    kinds.Add(kind);
                    return andAllLater ? call++ >= failing : call++ == failing;
                });
                scenario();
            }
            PageLayer.Purge(); // what the system did not unlock is tried again
            CheckNothingIsLost();
            Assert.InRange(ResidentMemory.LockedBytes(), 0u, locked);
            PageLayer.Verify();
        }
        while (call > failing++); // until there was no such call
        OsCall[] expected = needsSections
            ? [OsCall.Commit, OsCall.GrowFile, OsCall.Lock]
            : [OsCall.Lock, OsCall.Purge, OsCall.PurgeFile];
        Assert.Superset(expected.ToHashSet(), kinds);
        Assert.True(failing > expected.Length);
    }

    // Nothing is free, so each zone asks the system for more.
    private static void GrowEveryZone()
    {
        Requests requests = new();
        foreach (ZoneKind kind in Enum.GetValues<ZoneKind>())
            requests.Take(null, PageRequest.Block(2) with { Kind = kind });
        requests.GiveAll();
    }

    private static void UseEveryZone()
    {
        ThreadPages hot = default;
        ThreadPages* own = &hot;
        Requests requests = new();
        foreach (ZoneKind kind in Enum.GetValues<ZoneKind>())
        {
            foreach (MigrateType type in Enum.GetValues<MigrateType>())
            {
                requests.Take(own, PageRequest.Block(2) with { Kind = kind, Type = type, Zeroed = true });
                requests.Take(own, PageRequest.Block(0) with { Kind = kind, Type = type });
            }
        }
        requests.GiveEveryOther(own);
        foreach (ZoneKind kind in Enum.GetValues<ZoneKind>())
            requests.Take(own, new PageRequest(3, 5) { Kind = kind, Zeroed = true });
        PageLayer.Purge();
        foreach (ZoneKind kind in Enum.GetValues<ZoneKind>())
            requests.Take(own, new PageRequest(3, 5) { Kind = kind, Zeroed = true });
        requests.GiveAll();
        PageLayer.Drain(own);
        PageLayer.Purge();
    }

    /// <summary>Takes and gives pages where anything may fail; what is given must be what was asked for.</summary>
    private sealed class Requests
    {
        private readonly List<(uint Page, uint Count)> _live = [];

        internal void Take(ThreadPages* own, in PageRequest request)
        {
            bool taken = PageLayer.TryTake(own, request, out uint page, out Refusal failure);
            Assert.Equal(taken, failure == Refusal.None);
            Assert.Equal(taken, page != PageFrame.None);
            if (!taken) return;
            _live.Add((page, request.Count));
            ZoneKind kind = KindOf(page);
            Assert.True(kind == request.Kind || (kind, request.Kind) == (ZoneKind.Normal, ZoneKind.High),
                $"{kind} pages for a request of {request.Kind} ones");
            if (kind == ZoneKind.High) return; // not to be seen without a mapping, which is a system call itself
            if (request.Zeroed)
                Assert.False(Bytes(page, request.Count).ContainsAnyExcept((byte)0), "a zeroed block is not zero");
            Bytes(page, request.Count).Fill(0x5A);
        }

        internal void GiveEveryOther(ThreadPages* own)
        {
            for (int index = _live.Count - 1; index > 0; index -= 2)
            {
                PageLayer.GivePages(own, _live[index].Page, _live[index].Count);
                _live.RemoveAt(index);
            }
        }

        internal void GiveAll()
        {
            foreach ((uint page, uint count) in _live) PageLayer.GivePages(page, count);
            _live.Clear();
        }
    }

    /// <summary>
    /// All that is free of some zones, held until the end: who wants such pages meanwhile needs a new section.
    /// </summary>
    private sealed class Hoard : IDisposable
    {
        private readonly List<(uint Page, int Order)> _held = [];

        internal Hoard(params ZoneKind[] kinds)
        {
            foreach (ZoneKind kind in kinds) _held.AddRange(TakeAllOf(PageLayer.ZoneOf(0, kind)));
        }

        // From the zone itself, as holding a DMA page by the layer would lock it.
        private static List<(uint Page, int Order)> TakeAllOf(Zone* zone)
        {
            List<(uint Page, int Order)> taken = [];
            for (int order = PageGeometry.MaxOrder; order >= 0; order--)
            {
                while (true)
                {
                    zone->Lock.Acquire();
                    bool found = zone->TryTake(PageRequest.Block(order), out uint page);
                    zone->Lock.Release();
                    if (!found) break;
                    taken.Add((page, order));
                }
            }
            return taken;
        }

        public void Dispose()
        {
            foreach ((uint page, int order) in _held)
            {
                Zone* zone = PageLayer.ZoneAt(LinearRegion.ZoneIndexOf(page));
                zone->Lock.Acquire();
                zone->Give(page, order);
                zone->Lock.Release();
            }
            PageLayer.Purge(); // they count as used now
        }
    }

    // A block that nobody ever had a page of, as far as the system can tell.
    private static uint TakeCleanBlock(int order)
    {
        PageLayer.Purge();
        Assert.True(PageLayer.TryTake(null, PageRequest.Block(order), out uint page, out _));
        // what was only read is gone, too
        Assert.True(VirtualMemory.TryPurge(LinearRegion.AddressOf(page), PageGeometry.PageBytes << order));
        // a purge takes the commit back where that is charged, and the pages are to be written to
        Assert.True(VirtualMemory.TryCommitToUse(LinearRegion.AddressOf(page), PageGeometry.PageBytes << order));
        return page;
    }

    private static ZoneKind KindOf(uint page) => (ZoneKind)(LinearRegion.ZoneIndexOf(page) % Zone.KindCount);

    // Of each zone.
    // What earlier tests have left may be freed meanwhile, by a finalizer or with a thread that ends.
    private void CheckNothingIsLost()
    {
        uint[] used = UsedPages();
        for (int zone = 0; zone < used.Length; zone++)
            Assert.True(used[zone] <= _usedBefore[zone], $"of zone {zone} {used[zone]} pages instead of "
                + $"{_usedBefore[zone]} are in use");
        _usedBefore = used;
    }

    private static uint[] UsedPages() =>
        [.. Enumerable.Range(0, PageLayer.ZoneCount)
            .Select(index => PageLayer.ZoneAt(index)->OnlinePages - PageLayer.ZoneAt(index)->FreePages)];

    private static Span<byte> Bytes(uint page, uint count) =>
        new((void*)LinearRegion.AddressOf(page), (int)(count * (uint)PageGeometry.PageBytes));
}
