using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows what a zone does with migrate types over a whole section: where a type gets its memory from when it has none,
/// when pageblocks change their type, and that all of it is one block again in the end whatever happened.
/// </summary>
public sealed unsafe class ZoneTypesTests : IDisposable
{
    private const uint Pageblocks = PageGeometry.SectionPages / Pageblock.Pages;

    private readonly TestZone _zone = new();

    public void Dispose() => _zone.Dispose();

    [Fact]
    public void Every_type_falls_back_on_each_of_the_others_once()
    {
        foreach (MigrateType type in Enum.GetValues<MigrateType>())
            Assert.Equal(Enum.GetValues<MigrateType>().Where(other => other != type),
                Enumerable.Range(0, Pageblock.FallbackCount).Select(i => Pageblock.FallbackOf(type, i)).Order());
        Assert.Equal(Pageblock.TypeCount, Enum.GetValues<MigrateType>().Length);
    }

    [Fact]
    public void A_section_is_of_the_type_that_it_was_brought_online_for()
    {
        uint all = _zone.Take(PageGeometry.MaxOrder);
        foreach (MigrateType type in Enum.GetValues<MigrateType>())
        {
            LinearRegion.SetType(all, PageGeometry.SectionPages, type);
            _zone.Give(all, PageGeometry.MaxOrder);
            Assert.Equal(1u, _zone.Zone->FreeBlocks(type, PageGeometry.MaxOrder));
            Assert.Equal(all, Take(PageGeometry.MaxOrder, type));
            Assert.Equal((0L, 0L), (_zone.Zone->Steals, _zone.Zone->Claims)); // its own
        }
        _zone.Give(all, PageGeometry.MaxOrder);
        AssertWhole(_zone);
    }

    [Fact]
    public void Single_pages_do_not_cut_up_what_runs_have_used()
    {
        // Half of the section for each: what has been used is found by its type alone.
        uint single = Take(0, MigrateType.Unmovable);
        uint[] runs = new uint[4]; // two pageblocks, of each of which a half stays in use
        for (int i = 0; i < runs.Length; i++) runs[i] = Take(4, MigrateType.Run);
        uint[] freed = [.. runs.Where(run => run % Pageblock.Pages == 0)];
        Assert.Equal(2, freed.Length);
        foreach (uint page in freed) _zone.Give(page, 4);
        uint dirty = _zone.Zone->DirtyPages;
        uint[] singles = new uint[40];
        for (int i = 0; i < singles.Length; i++) singles[i] = Take(0, MigrateType.Unmovable);
        Assert.Equal(dirty + (uint)singles.Length, _zone.Zone->DirtyPages); // fresh ones: the runs stay whole
        uint[] again = [Take(4, MigrateType.Run), Take(4, MigrateType.Run)];
        Assert.Equal(freed.Order(), again.Order());
        Assert.Equal(dirty + (uint)singles.Length, _zone.Zone->DirtyPages);
        foreach (uint page in runs) _zone.Give(page, 4);
        foreach (uint page in singles) _zone.Give(page, 0);
        _zone.Give(single, 0);
        AssertWhole(_zone);
    }

    [Fact]
    public void A_type_without_memory_takes_the_largest_block_over_with_all_its_pageblocks()
    {
        uint page = Take(0, MigrateType.Movable);
        Assert.Equal((1L, (long)Pageblocks), (_zone.Zone->Steals, _zone.Zone->Claims));
        Assert.Equal(Pageblocks, CountPageblocks(MigrateType.Movable));
        uint next = Take(0, MigrateType.Movable); // from its own now
        Assert.Equal((1L, (long)Pageblocks), (_zone.Zone->Steals, _zone.Zone->Claims));
        uint other = Take(3, MigrateType.Reclaimable); // takes the largest that is left, half of the section
        Assert.Equal((2L, (long)Pageblocks + Pageblocks / 2), (_zone.Zone->Steals, _zone.Zone->Claims));
        Assert.Equal(_zone.First + PageGeometry.SectionPages / 2, other);
        Assert.Equal((Pageblocks / 2, Pageblocks / 2),
            (CountPageblocks(MigrateType.Movable), CountPageblocks(MigrateType.Reclaimable)));
        _zone.Zone->Verify();
        _zone.Give(page, 0);
        _zone.Give(next, 0);
        _zone.Give(other, 3);
        AssertWhole(_zone);
        Assert.Equal(Pageblocks, CountPageblocks(MigrateType.Movable)); // what is one block has one type, the first's
    }

    [Theory]
    [InlineData(15, false)]
    [InlineData(16, true)]
    [InlineData(17, true)]
    [InlineData(1, false)]
    [InlineData(31, true)]
    public void A_pageblock_changes_its_type_if_half_of_it_is_free_and_else_only_the_piece_goes(int freePages,
        bool changes)
    {
        uint all = _zone.Take(PageGeometry.MaxOrder);
        uint pageblock = all + 7 * Pageblock.Pages;
        // Scattered over the pageblock, so that the free pages are several blocks; in the second half, where no run is
        // the whole half.
        uint[] free = [.. Enumerable.Range(0, (int)Pageblock.Pages).Select(i => (uint)(i * 5) % Pageblock.Pages)
            .Take(freePages).Select(i => pageblock + i)];
        foreach (uint page in free) _zone.Give(page, 0);
        Assert.Equal((uint)freePages, _zone.Zone->FreePages);
        uint taken = Take(0, MigrateType.Reclaimable);
        Assert.Contains(taken, free);
        MigrateType type = changes ? MigrateType.Reclaimable : MigrateType.Unmovable;
        Assert.Equal(type, LinearRegion.TypeOf(pageblock));
        Assert.Equal(type, LinearRegion.Frames[taken].Type); // where it goes back to
        Assert.Equal((1L, changes ? 1L : 0L), (_zone.Zone->Steals, _zone.Zone->Claims));
        // All that is left free is of that type.
        uint left = 0;
        for (int order = 0; order < PageGeometry.OrderCount; order++)
            left += _zone.Zone->FreeBlocks(type, order) << order;
        Assert.Equal((uint)freePages - 1, left);
        _zone.Zone->Verify();
        // The next of the same type is a steal again where nothing was claimed.
        if (freePages > 1)
        {
            uint next = Take(0, MigrateType.Reclaimable);
            Assert.Equal(changes ? 1L : 2L, _zone.Zone->Steals);
            _zone.Give(next, 0);
        }
        _zone.Give(taken, 0);
        foreach (uint page in Enumerable.Range(0, (int)PageGeometry.SectionPages).Select(i => all + (uint)i)
            .Except(free)) _zone.Give(page, 0);
        AssertWhole(_zone);
    }

    [Fact]
    public void Of_two_types_with_blocks_of_the_same_order_the_first_to_fall_back_on_gives()
    {
        foreach (MigrateType type in Enum.GetValues<MigrateType>())
        {
            using TestZone zone = new();
            MigrateType first = Pageblock.FallbackOf(type, 0), second = Pageblock.FallbackOf(type, 1);
            uint all = zone.Take(PageGeometry.MaxOrder);
            uint firstPage = all + 4 * Pageblock.Pages, secondPage = all + 2 * Pageblock.Pages,
                larger = all + 8 * Pageblock.Pages;
            LinearRegion.SetType(firstPage, Pageblock.Pages, first);
            LinearRegion.SetType(secondPage, Pageblock.Pages, second);
            LinearRegion.SetType(larger, 2 * Pageblock.Pages, second);
            zone.Give(secondPage, Pageblock.Order);
            zone.Give(firstPage, Pageblock.Order);
            zone.Give(larger, Pageblock.Order + 1);
            uint page = Take(zone, 0, type);
            Assert.Equal(larger, page); // size counts first
            zone.Give(page, 0);
            Assert.True(zone.TryTakeAt(larger, 2 * Pageblock.Pages));
            page = Take(zone, 2, type);
            Assert.Equal(firstPage, page);
            Assert.Equal((type, second), (LinearRegion.TypeOf(firstPage), LinearRegion.TypeOf(secondPage)));
            zone.Zone->Verify();
        }
    }

    [Fact]
    public void Used_memory_of_another_type_goes_before_fresh_memory_of_the_own_if_whole_pageblocks_of_it_are_free()
    {
        uint all = _zone.Take(PageGeometry.MaxOrder);
        uint own = all, whole = all + 4 * Pageblock.Pages, part = all + 8 * Pageblock.Pages;
        LinearRegion.SetType(own, Pageblock.Pages, MigrateType.Movable);
        _zone.GiveClean(own, Pageblock.Pages);
        _zone.Give(part, Pageblock.Order - 1); // used, and less than a pageblock
        uint page = Take(0, MigrateType.Movable);
        Assert.Equal(own, page);
        Assert.False(TryTake(0, MigrateType.Movable, MemoryChoice.UsedOnly, out _));
        Assert.Equal(0, _zone.Zone->Steals);
        _zone.Give(whole, Pageblock.Order);
        Assert.Equal(whole, Take(0, MigrateType.Movable));
        Assert.Equal((1L, 1L), (_zone.Zone->Steals, _zone.Zone->Claims));
        Assert.True(TryTake(0, MigrateType.Movable, MemoryChoice.FreshFirst, out uint fresh));
        Assert.Equal(own + 1, fresh);
        _zone.Zone->Verify();
    }

    [Fact]
    public void A_long_random_run_of_all_types_keeps_every_invariant_and_ends_whole_in_any_order() =>
        Properties.ForAllSequences(
        Values.Pairs(
            Values.OneOf("take", "take", "take", "part", "at", "anywhere", "free", "free", "free", "clean", "purge"),
            Values.Pairs(Values.Between(0, 1023), Values.Between(0, 1023))),
        400,
        operations =>
        {
            using TestZone zone = new();
            bool[] used = new bool[PageGeometry.SectionPages], dirty = new bool[PageGeometry.SectionPages];
            List<(uint Page, uint Count)> live = [];
            long steals = 0, claims = 0;
            int seed = 0;
            foreach ((string kind, (int number, int other)) in operations)
            {
                seed = unchecked(seed * 31 + number);
                if (kind is "take" or "part")
                {
                    if (!TryTake(kind == "part", number, other)) continue;
                }
                else if (kind == "at" && live.Count != 0)
                {
                    // Behind a block, as it would grow.
                    (uint before, uint size) = live[number % live.Count];
                    TakeAt(before + size - zone.First, (uint)other % 70 + 1);
                }
                else if (kind == "anywhere")
                {
                    // Where a run of free pages begins.
                    int at = Array.IndexOf(used, false, number);
                    if (at >= 0 && (at == 0 || used[at - 1])) TakeAt((uint)at, (uint)other % 300 + 1);
                }
                else if (kind is "free" or "clean" && live.Count != 0)
                {
                    (uint page, uint count) = live[number % live.Count];
                    live.RemoveAt(number % live.Count);
                    Free(page, count, kind == "clean");
                }
                else if (kind == "purge" && zone.TryPurge(number % PageGeometry.OrderCount, askSystem: false))
                {
                    for (uint at = 0; at < dirty.Length; at++) dirty[at] &= LinearRegion.Dirty.IsSet(zone.First + at);
                }
                zone.Zone->Verify();
                Assert.Equal((uint)used.Count(page => !page), zone.Zone->FreePages);
                Assert.Equal((uint)dirty.Count(page => page), zone.Zone->DirtyPages);
                Assert.InRange(zone.Zone->Steals - steals, 0, 1);
                Assert.InRange(zone.Zone->Claims - claims, 0, zone.Zone->Steals == steals ? 0 : Pageblocks);
                (steals, claims) = (zone.Zone->Steals, zone.Zone->Claims);
            }
            Assert.Equal(used.Select(page => !page), zone.FreePages());
            FreeInPieces();
            AssertWhole(zone);

            // Everything, in pieces of any size and in any order.
            void FreeInPieces()
            {
                (uint Page, uint Count)[] pieces =
                    [.. live.SelectMany(block => Pieces(block.Page, block.Count, new Random(seed)))];
                new Random(seed).Shuffle(pieces);
                foreach ((uint page, uint count) in pieces)
                {
                    Free(page, count, clean: page % 3 == 0);
                    zone.Zone->Verify();
                }
            }

            bool TryTake(bool isPart, int number, int other)
            {
                // Small orders more often than large ones.
                int order = Math.Min(number % 8, other % 11);
                uint count = isPart && order != 0
                    ? (1u << order) / 2 + 1 + (uint)number % ((1u << order) / 2)
                    : 1u << order;
                MigrateType type = (MigrateType)(other % Pageblock.TypeCount);
                MemoryChoice choice = (MemoryChoice)(number / 8 % 3);
                if (!zone.TryTake(new PageRequest(order, count) { Type = type, Choice = choice }, out uint page,
                    out bool zeroed)) return false;
                Assert.Equal(0u, page % (1u << order));
                Assert.Equal(!dirty.AsSpan((int)(page - zone.First), (int)count).Contains(true), zeroed);
                Use(page, count);
                return true;
            }

            void TakeAt(uint at, uint wanted)
            {
                if (at >= used.Length) return;
                uint count = Math.Min(wanted, (uint)used.Length - at);
                bool expected = !used.AsSpan((int)at, (int)count).Contains(true);
                Assert.Equal(expected, zone.TryTakeAt(zone.First + at, count));
                if (expected) Use(zone.First + at, count);
            }

            void Use(uint page, uint count)
            {
                Span<bool> mine = used.AsSpan((int)(page - zone.First), (int)count);
                Assert.False(mine.Contains(true), "two blocks overlap");
                mine.Fill(true);
                dirty.AsSpan((int)(page - zone.First), (int)count).Fill(true);
                live.Add((page, count));
            }

            void Free(uint page, uint count, bool clean)
            {
                used.AsSpan((int)(page - zone.First), (int)count).Clear();
                if (clean) dirty.AsSpan((int)(page - zone.First), (int)count).Clear();
                if (clean) zone.GiveClean(page, count);
                else zone.GiveRange(page, count);
            }
        },
        runs: 100);

    [Fact]
    public void Blocks_of_all_types_that_several_threads_take_and_free_in_any_order_become_the_whole_section()
    {
        const int Threads = 4, Steps = 3_000;
        for (int round = 0; round < 4; round++)
        {
            using TestZone zone = new();
            List<(uint Page, int Order)>[] live =
                [.. Enumerable.Range(0, Threads).Select(_ => new List<(uint, int)>())];
            int[] owners = new int[PageGeometry.SectionPages];
            int overlaps = 0;
            TestThread.RunTogether(Threads, number =>
            {
                Random random = new(round * Threads + number);
                List<(uint Page, int Order)> mine = live[number];
                for (int step = 0; step < Steps; step++)
                {
                    if (random.Next(9) < 4 && mine.Count != 0)
                    {
                        int at = random.Next(mine.Count);
                        (uint page, int order) = mine[at];
                        mine.RemoveAt(at);
                        Own(page, order, number + 1, 0);
                        zone.Give(page, order);
                    }
                    else
                    {
                        // Threads prefer a type each, and ask for others too.
                        MigrateType type =
                            (MigrateType)((number + (random.Next(4) == 0 ? 1 : 0)) % Pageblock.TypeCount);
                        int order = Math.Min(random.Next(8), random.Next(8));
                        if (!zone.TryTake(PageRequest.Block(order) with { Type = type }, out uint page, out _))
                            continue;
                        Own(page, order, 0, number + 1);
                        mine.Add((page, order));
                    }
                    if (step % 500 == 0) zone.Zone->Verify();
                }

                void Own(uint page, int order, int from, int to)
                {
                    for (uint at = page - zone.First; at < page - zone.First + (1u << order); at++)
                        if (Interlocked.CompareExchange(ref owners[at], to, from) != from)
                            Interlocked.Increment(ref overlaps);
                }
            });
            Assert.Equal(0, overlaps);
            zone.Zone->Verify();
            Assert.True(zone.Zone->Steals > 0);
            // Any thread frees any block.
            (uint Page, int Order)[] all = [.. live.SelectMany(blocks => blocks)];
            new Random(round).Shuffle(all);
            TestThread.RunTogether(Threads, number =>
            {
                for (int i = number; i < all.Length; i += Threads) zone.Give(all[i].Page, all[i].Order);
            });
            AssertWhole(zone);
        }
    }

    private uint Take(int order, MigrateType type) => Take(_zone, order, type);

    private static uint Take(TestZone zone, int order, MigrateType type) =>
        zone.TryTake(PageRequest.Block(order) with { Type = type }, out uint page, out _)
            ? page
            : throw new InvalidOperationException($"the zone has no block of order {order}");

    private bool TryTake(int order, MigrateType type, MemoryChoice choice, out uint page) =>
        _zone.TryTake(PageRequest.Block(order) with { Type = type, Choice = choice }, out page, out _);

    private uint CountPageblocks(MigrateType type) =>
        (uint)Enumerable.Range(0, (int)Pageblocks)
            .Count(block => LinearRegion.TypeOf(_zone.First + (uint)block * Pageblock.Pages) == type);

    private static IEnumerable<(uint Page, uint Count)> Pieces(uint page, uint count, Random random)
    {
        while (count != 0)
        {
            uint piece = (uint)random.Next(1, (int)count + 1);
            yield return (page, piece);
            page += piece;
            count -= piece;
        }
    }

    private static void AssertWhole(TestZone zone)
    {
        Assert.Equal(1u, zone.Zone->FreeBlocks(PageGeometry.MaxOrder));
        Assert.Equal(PageGeometry.SectionPages, zone.Zone->FreePages);
        zone.Zone->Verify();
    }
}
