using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows what a zone does with a whole section: splitting, merging, the tail of a block, growth in place, and what it
/// knows of zero pages.
/// </summary>
public sealed unsafe class ZoneTests : IDisposable
{
    private readonly TestZone _zone = new();

    public void Dispose() => _zone.Dispose();

    [Fact]
    public void A_new_section_is_one_free_block_of_the_top_order()
    {
        Assert.Equal(PageGeometry.SectionPages, _zone.Zone->OnlinePages);
        Assert.Equal(PageGeometry.SectionPages, _zone.Zone->FreePages);
        for (int order = 0; order < PageGeometry.OrderCount; order++)
            Assert.Equal(order == PageGeometry.MaxOrder ? 1u : 0u, _zone.Zone->FreeBlocks(order));
        _zone.Zone->Verify();
    }

    [Fact]
    public void Taking_a_block_leaves_a_free_half_of_every_order_above()
    {
        for (int taken = 0; taken < PageGeometry.OrderCount; taken++)
        {
            uint page = _zone.Take(taken);
            Assert.Equal(_zone.First, page);
            for (int order = 0; order < PageGeometry.MaxOrder; order++)
                Assert.Equal(order >= taken ? 1u : 0u, _zone.Zone->FreeBlocks(order));
            Assert.Equal(PageGeometry.SectionPages - (1u << taken), _zone.Zone->FreePages);
            _zone.Zone->Verify();
            _zone.Give(page, taken);
            AssertWhole(_zone);
        }
    }

    [Fact]
    public void An_empty_zone_gives_nothing()
    {
        uint all = _zone.Take(PageGeometry.MaxOrder);
        for (int order = 0; order < PageGeometry.OrderCount; order++)
        {
            Assert.False(_zone.TryTake(order, 1u << order, out uint page, out _));
            Assert.Equal(PageFrame.None, page);
        }
        Assert.Equal(0u, _zone.Zone->FreePages);
        _zone.Give(all, PageGeometry.MaxOrder);
        AssertWhole(_zone);
    }

    [Fact]
    public void Of_a_block_that_is_larger_than_needed_precisely_the_tail_goes_back()
    {
        for (uint used = 1; used <= PageGeometry.SectionPages; used = used < 70 ? used + 1 : used + 61)
        {
            int order = used == 1 ? 0 : System.Numerics.BitOperations.Log2(used - 1) + 1;
            Assert.True(_zone.TryTake(order, used, out uint page, out _));
            Assert.Equal(_zone.First, page);
            bool[] free = _zone.FreePages();
            Assert.Equal((int)used, Array.IndexOf(free, true) is int first and >= 0 ? first : free.Length);
            Assert.DoesNotContain(false, free[(int)used..]);
            Assert.Equal(PageGeometry.SectionPages - used, _zone.Zone->FreePages);
            _zone.Zone->Verify();
            _zone.GiveRange(page, used);
            AssertWhole(_zone);
        }
    }

    [Fact]
    public void A_block_grows_over_free_pages_and_not_over_any_other()
    {
        uint page = _zone.Take(3);
        uint behind = page + 8;
        Assert.True(_zone.TryTakeAt(behind, 11)); // 8..18
        _zone.GiveRange(page + 13, 5); // 18 stands alone
        Assert.False(_zone.TryTakeAt(page + 13, 6));
        Assert.Equal(PageGeometry.SectionPages - 14, _zone.Zone->FreePages);
        _zone.Zone->Verify();
        Assert.True(_zone.TryTakeAt(page + 13, 5)); // 13..17
        Assert.Equal(19, Array.IndexOf(_zone.FreePages(), true));
        _zone.Zone->Verify();
        _zone.GiveRange(page, 19);
        AssertWhole(_zone);
    }

    [Fact]
    public void Pages_that_are_not_online_are_never_taken()
    {
        uint end = LinearRegion.OnlinePages;
        Assert.False(_zone.TryTakeAt(end, 1));
        Assert.False(_zone.TryTakeAt(end - 1, 2));
        AssertWhole(_zone);
    }

    [Fact]
    public void A_run_behind_a_block_is_taken_if_all_of_it_is_free_and_only_then()
    {
        const int Order = 6, Pages = 1 << Order;
        Properties.ForAllSequences(
            Values.Pairs(Values.Between(0, Pages - 1), Values.Between(1, 20)),
            60,
            runs =>
            {
                using TestZone zone = new();
                zone.Isolate(Order);
                BuddyOracle oracle = new(Order);
                List<(int Page, int Count)> live = [];
                foreach ((int anywhere, int wanted) in runs)
                {
                    // Back to where the run of free pages begins that this page lies in.
                    int page = anywhere;
                    while (oracle.IsInsideFreeBlock(page)) page--;
                    int count = Math.Min(wanted, Pages - page);
                    bool expected = oracle.AllFree(page, count);
                    Assert.Equal(expected, zone.TryTakeAt(zone.First + (uint)page, (uint)count));
                    if (expected)
                    {
                        oracle.Take(page, count);
                        live.Add((page, count));
                    }
                    else if (live.Count != 0)
                    {
                        (int freed, int pages) = live[anywhere % live.Count];
                        live.RemoveAt(anywhere % live.Count);
                        oracle.Give(freed, pages);
                        zone.GiveRange(zone.First + (uint)freed, (uint)pages);
                    }
                    Assert.Equal(oracle.Free, zone.FreePages(Pages));
                    zone.Zone->Verify();
                }
            },
            runs: 100);
    }

    [Fact]
    public void A_long_random_run_keeps_every_invariant_and_ends_whole() => Properties.ForAllSequences(
        Values.Pairs(Values.Between(0, 9), Values.Between(0, 1023)),
        600,
        operations =>
        {
            using TestZone zone = new();
            bool[] used = new bool[PageGeometry.SectionPages];
            List<(uint Page, uint Count)> live = [];
            foreach ((int kind, int number) in operations)
            {
                if (kind < 4 && live.Count != 0)
                {
                    (uint page, uint count) = live[number % live.Count];
                    live.RemoveAt(number % live.Count);
                    used.AsSpan((int)(page - zone.First), (int)count).Clear();
                    zone.GiveRange(page, count);
                }
                else
                {
                    // Small orders more often than large ones, and any number of pages that the order fits.
                    int order = Math.Min(number & 15, kind);
                    uint half = (1u << order) / 2, count = order == 0 ? 1 : half + 1 + (uint)number % half;
                    if (!zone.TryTake(order, count, out uint page, out _)) continue;
                    Assert.Equal(0u, page % (1u << order));
                    Span<bool> mine = used.AsSpan((int)(page - zone.First), (int)count);
                    Assert.False(mine.Contains(true), "two blocks overlap");
                    mine.Fill(true);
                    live.Add((page, count));
                }
                zone.Zone->Verify();
                Assert.Equal((uint)used.Count(page => !page), zone.Zone->FreePages);
            }
            Assert.Equal(used.Select(page => !page), zone.FreePages());
            foreach ((uint page, uint count) in live) zone.GiveRange(page, count);
            AssertWhole(zone);
        },
        runs: 100);

    [Fact]
    public void Blocks_that_several_threads_took_and_freed_in_any_order_become_the_whole_section()
    {
        const int Threads = 4;
        for (int round = 0; round < 5; round++)
        {
            List<(uint Page, int Order)>[] taken =
                [.. Enumerable.Range(0, Threads).Select(_ => new List<(uint, int)>())];
            TestThread.RunTogether(Threads, number =>
            {
                Random random = new(round * Threads + number);
                while (true)
                {
                    int order = random.Next(4);
                    if (_zone.TryTake(order, 1u << order, out uint page, out _)) taken[number].Add((page, order));
                    else if (order == 0) break; // nothing left at all
                }
            });
            Assert.Equal(0u, _zone.Zone->FreePages);
            (uint Page, int Order)[] all = [.. taken.SelectMany(blocks => blocks)];
            Assert.Equal((int)PageGeometry.SectionPages,
                all.SelectMany(block => Enumerable.Range((int)block.Page, 1 << block.Order)).Distinct().Count());
            new Random(round).Shuffle(all);
            TestThread.RunTogether(Threads, number =>
            {
                for (int i = number; i < all.Length; i += Threads) _zone.Give(all[i].Page, all[i].Order);
            });
            AssertWhole(_zone);
        }
    }

    [Fact]
    public void Hits_that_threads_count_with_and_without_the_lock_are_all_counted()
    {
        const int Rounds = 100_000;
        Zone* zone = _zone.Zone;
        TestThread.RunTogether(2, number =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                if (number == 0)
                {
                    zone->AddHits(3);
                    zone->CountForeign();
                    continue;
                }
                zone->Lock.Acquire();
                zone->CountHit(wanted: true);
                zone->CountHit(wanted: false);
                zone->Lock.Release();
            }
        });
        Assert.Equal((4L * Rounds, (long)Rounds, (long)Rounds), (zone->Hits, zone->Misses, zone->Foreign));
    }

    [Fact]
    public void Blocks_that_were_in_use_are_taken_before_those_that_never_were()
    {
        uint first = _zone.Take(2), second = _zone.Take(2), third = _zone.Take(2), fourth = _zone.Take(2);
        _zone.Give(third, 2);
        _zone.GiveClean(first, 4);
        uint dirty = _zone.Take(2), clean = _zone.Take(2);
        Assert.Equal(third, dirty);
        Assert.Equal(first, clean);
        foreach (uint page in (uint[])[first, second, third, fourth]) _zone.Give(page, 2);
        AssertWhole(_zone);
    }

    [Fact]
    public void A_used_block_goes_before_a_smaller_one_that_is_clean()
    {
        uint small = _zone.Take(0), beside = _zone.Take(0), large = _zone.Take(5);
        _zone.GiveClean(small, 1);
        _zone.Give(large, 5); // its buddy is free: it becomes part of a larger one
        Assert.Equal(large, _zone.Take(0));
        Assert.Equal(large + 1, _zone.Take(0, MemoryChoice.UsedOnly));
        Assert.Equal(small, _zone.Take(0, MemoryChoice.FreshFirst));
        foreach (uint page in (uint[])[small, beside, large, large + 1]) _zone.Give(page, 0);
        AssertWhole(_zone);
    }

    [Fact]
    public void Used_memory_or_nothing_is_nothing_where_all_is_fresh()
    {
        Assert.False(_zone.TryTake(3, 8, MemoryChoice.UsedOnly, out uint none, out bool zeroed));
        Assert.Equal(PageFrame.None, none);
        Assert.False(zeroed);
        AssertWhole(_zone);
        uint page = _zone.Take(2);
        _zone.Give(page, 2);
        Assert.True(_zone.TryTake(3, 8, MemoryChoice.UsedOnly, out uint used, out _)); // half of it used is used
        Assert.Equal(page, used);
        _zone.Give(used, 3);
        AssertWhole(_zone);
    }

    [Fact]
    public void Fresh_memory_first_takes_used_memory_only_where_no_block_is_fresh()
    {
        uint page = _zone.Take(3);
        _zone.Give(page, 3); // all one block again, and used at its beginning
        Assert.True(_zone.TryTake(0, 1, MemoryChoice.FreshFirst, out uint used, out bool zeroed));
        Assert.Equal(page, used);
        Assert.False(zeroed);
        Assert.True(_zone.TryTake(3, 8, MemoryChoice.FreshFirst, out uint fresh, out zeroed));
        Assert.Equal(page + 8, fresh);
        Assert.True(zeroed);
        _zone.Give(used, 0);
        _zone.Give(fresh, 3);
        AssertWhole(_zone);
    }

    [Fact]
    public void A_block_is_halved_towards_what_is_used()
    {
        // One used page anywhere in a section: it is what a single page, and any block, is cut from.
        foreach (uint at in (uint[])[0, 1, 77, 512, 1000, 1023])
        {
            for (int order = 0; order < PageGeometry.OrderCount; order++)
            {
                using TestZone zone = new();
                Assert.True(zone.TryTakeAt(zone.First, PageGeometry.SectionPages));
                zone.GiveRange(zone.First + at, 1);
                zone.GiveClean(zone.First, at);
                zone.GiveClean(zone.First + at + 1, PageGeometry.SectionPages - at - 1);
                AssertWhole(zone);
                Assert.Equal(1u, zone.Zone->DirtyPages);
                uint page = zone.Take(order);
                Assert.Equal(zone.First + at >> order, page >> order);
                Assert.Equal(1u << order, zone.Zone->DirtyPages);
                zone.Zone->Verify();
            }
        }
    }

    [Fact]
    public void Dirty_pages_are_counted_whoever_has_them() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("take", "take", "part", "fresh", "at", "free", "free", "clean", "purge"),
            Values.Between(0, 1023)),
        150,
        operations =>
        {
            using TestZone zone = new();
            bool[] dirty = new bool[PageGeometry.SectionPages];
            List<(uint Page, uint Count)> live = [];
            foreach ((string kind, int number) in operations)
            {
                int order = number % 7;
                uint count = kind == "part" ? (1u << order) / 2 + 1 : 1u << order, page = zone.First + (uint)number;
                if (kind is "take" or "part"
                    && zone.TryTake(Math.Max(order, kind == "part" ? 1 : 0), count, out page, out _)) Use(page, count);
                else if (kind == "fresh" && zone.TryTake(order, count, MemoryChoice.FreshFirst, out page, out _))
                    Use(page, count);
                else if (kind == "at" && live.Count != 0 && live[number % live.Count] is var before)
                {
                    page = before.Page + before.Count;
                    if (page + count <= zone.First + PageGeometry.SectionPages && zone.TryTakeAt(page, count))
                        Use(page, count);
                }
                else if (kind is "free" or "clean" && live.Count != 0)
                {
                    (page, count) = live[number % live.Count];
                    live.RemoveAt(number % live.Count);
                    if (kind == "free") zone.GiveRange(page, count);
                    else zone.GiveClean(page, count);
                    if (kind == "clean") dirty.AsSpan((int)(page - zone.First), (int)count).Clear();
                }
                else if (kind == "purge" && zone.TryPurge(number % PageGeometry.OrderCount, askSystem: false))
                {
                    // Any block that is clean now: what is counted must be what the bits say.
                    for (uint at = 0; at < dirty.Length; at++) dirty[at] &= LinearRegion.Dirty.IsSet(zone.First + at);
                }
                Assert.Equal((uint)dirty.Count(used => used), zone.Zone->DirtyPages);
                Assert.Equal(zone.Zone->DirtyPages, LinearRegion.Dirty.Count(zone.First, PageGeometry.SectionPages));
                zone.Zone->Verify();

                void Use(uint first, uint pages)
                {
                    dirty.AsSpan((int)(first - zone.First), (int)pages).Fill(true);
                    live.Add((first, pages));
                }
            }
        },
        runs: 60);

    [Fact]
    public void A_block_that_is_said_to_be_zero_is_zero_and_fresh_blocks_are_said_to_be() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("take", "take", "take", "free", "free", "purge"), Values.Between(0, 1000)),
        120,
        operations =>
        {
            const int Order = 5;
            using TestZone zone = new();
            zone.Isolate(Order);
            zone.TryPurge(Order, askSystem: true);
            bool[] everTaken = new bool[1 << Order];
            List<(uint Page, uint Count)> live = [];
            foreach ((string kind, int number) in operations)
            {
                if (kind == "take")
                {
                    int order = number % 4;
                    uint count = order == 0 ? 1 : (1u << order) / 2 + 1 + (uint)number % ((1u << order) / 2);
                    if (!zone.TryTake(order, count, out uint page, out bool zeroed)) continue;
                    Span<bool> taken = everTaken.AsSpan((int)(page - zone.First), (int)count);
                    Assert.Equal(!taken.Contains(true), zeroed);
                    if (zeroed)
                        Assert.False(Bytes(page, count).ContainsAnyExcept((byte)0), "a block said to be zero is not");
                    taken.Fill(true);
                    // A byte somewhere in every other page: what is taken need not be written to.
                    for (uint at = 0; at < count; at++)
                        if ((at + number) % 2 == 0)
                            Bytes(page + at, 1)[number * 37 % (int)PageGeometry.PageBytes] = 0xFF;
                    live.Add((page, count));
                }
                else if (kind == "free" && live.Count != 0)
                {
                    (uint page, uint count) = live[number % live.Count];
                    live.RemoveAt(number % live.Count);
                    zone.GiveRange(page, count);
                }
                else if (kind == "purge" && zone.TryPurge(number % (Order + 1), askSystem: true))
                {
                    for (uint page = 0; page < everTaken.Length; page++)
                        everTaken[page] &= LinearRegion.Dirty.IsSet(zone.First + page);
                }
                zone.Zone->Verify();
            }
        });

    [Fact]
    public void Dirty_blocks_of_an_order_are_found_until_none_is_left()
    {
        uint first = _zone.Take(1), between = _zone.Take(1), last = _zone.Take(1);
        _zone.Give(first, 1);
        _zone.Give(last, 1); // merges with the clean block behind it
        Assert.False(_zone.TryPurge(0, askSystem: false));
        Assert.True(_zone.TryPurge(1, askSystem: false));
        Assert.False(_zone.TryPurge(1, askSystem: false));
        Assert.True(_zone.TryPurge(2, askSystem: false));
        Assert.False(LinearRegion.Dirty.Any(first, 2));
        Assert.True(LinearRegion.Dirty.Any(between, 2));
        Assert.False(LinearRegion.Dirty.Any(last, 2));
        _zone.Give(between, 1);
        AssertWhole(_zone);
    }

    [Fact]
    public void Verify_sees_what_is_wrong()
    {
        uint taken = _zone.Take(3);
        PageFrame* free = LinearRegion.Frames + taken + 8; // head of the free half beside it
        AssertSeen(() => free->State = PageState.Taken, "free list");
        AssertSeen(() => free->Order = 4, "free list");
        AssertSeen(() => free->Previous = taken, "link back");
        AssertSeen(() => free[5].State = PageState.Large, "inside the free block");
        PageFrame* buddy = LinearRegion.Frames + taken;
        PageFrame saved = *buddy;
        AssertSeen(() => (buddy->State, buddy->Order) = (PageState.Free, 3), "not merged");
        *buddy = saved;
        _zone.Zone->Verify();
        _zone.Give(taken, 3);

        void AssertSeen(Action damage, string word)
        {
            PageFrame head = free[0], inner = free[5];
            damage();
            InvalidOperationException error = Assert.Throws<InvalidOperationException>(() => _zone.Zone->Verify());
            (free[0], free[5]) = (head, inner);
            Assert.Contains(word, error.Message, StringComparison.Ordinal);
            Assert.False(_zone.Zone->Lock.IsHeld);
        }
    }

    private static Span<byte> Bytes(uint page, uint count) =>
        new((void*)LinearRegion.AddressOf(page), (int)(count * (uint)PageGeometry.PageBytes));

    private static void AssertWhole(TestZone zone)
    {
        Assert.Equal(1u, zone.Zone->FreeBlocks(PageGeometry.MaxOrder));
        Assert.Equal(PageGeometry.SectionPages, zone.Zone->FreePages);
        zone.Zone->Verify();
    }
}
