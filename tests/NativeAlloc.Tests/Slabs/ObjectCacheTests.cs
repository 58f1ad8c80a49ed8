using System.Runtime.InteropServices;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using NativeAlloc.Tests.Pages;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows that a cache hands each object out once, in ascending order round the slab, knows an object by any address in
/// it, and lets go of slabs it does not need.
/// </summary>
public sealed unsafe class ObjectCacheTests
{
    /// <summary>
    /// Sizes with slabs of one page and of several, with and without a rest at the end, with one word of bits and with
    /// many.
    /// </summary>
    public static TheoryData<int> Sizes =>
        [16, 48, 112, 144, 1024, 1152, 3584, 8192, 10_240, 32_768, 40_960, 98_304, 524_288];

    [Theory]
    [MemberData(nameof(Sizes))]
    public void A_slab_gives_each_of_its_objects_once_in_ascending_order(int bytes)
    {
        using TestCache cache = new((nuint)bytes);
        uint slab = cache.Grow();
        nint address = (nint)LinearRegion.AddressOf(slab);
        uint count = cache.Cache->ObjectsPerSlab;
        Assert.Equal(cache.Cache->SlabPages * PageGeometry.PageBytes / (nuint)bytes, count);
        List<nint> objects = [];
        for (int step = 1; objects.Count < count; step = step * 2 + 1) objects.AddRange(cache.Take(step).Reverse());
        Assert.Equal(Enumerable.Range(0, (int)count).Select(i => address + (nint)i * bytes), objects);
        Assert.Empty(cache.Take(1));
        Assert.Equal(1u, cache.Node->Slabs.Count(NodeSlabs.Full));
        for (uint page = slab; page < slab + cache.Cache->SlabPages; page++)
            Assert.Equal(TestCache.Index, LinearRegion.ClassOf(page));
    }

    [Theory]
    [InlineData(16)]
    [InlineData(144)]
    [InlineData(1152)]
    [InlineData(8192)]
    [InlineData(40_960)]
    public void Random_taking_and_putting_agrees_with_bitmaps_at_every_step(int bytes) => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("take", "take", "put", "put", "grow", "shrink"),
            Values.Pairs(Values.Between(1, 90), Values.Between(0, int.MaxValue))),
        80,
        operations =>
        {
            using TestCache cache = new((nuint)bytes);
            foreach ((string kind, (int count, int seed)) in operations)
            {
                if (kind == "take") cache.Take(count);
                if (kind == "put") cache.Put(cache.Some(count, seed));
                if (kind == "grow" && cache.SlabCount < 12) cache.Grow();
                if (kind == "shrink") cache.Shrink();
            }
        },
        runs: 12);

    [Theory]
    [InlineData(16)]
    [InlineData(1152)]
    [InlineData(8192)]
    [InlineData(98_304)]
    public void Several_magazines_at_once_and_slabs_by_several_agree_with_bitmaps_at_every_step(int bytes) =>
        Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("take", "take", "put", "put", "grow", "shrink", "purge"),
            Values.Pairs(Values.Between(1, 200), Values.Between(0, int.MaxValue))),
        50,
        operations =>
        {
            using TestCache cache = new((nuint)bytes);
            foreach ((string kind, (int count, int seed)) in operations)
            {
                if (kind == "take") cache.Take(count);
                if (kind == "put") cache.PutAll(Batches(cache.Some(count, seed), seed));
                if (kind == "grow" && cache.SlabCount < 12) cache.Grow(1 + seed % 4);
                if (kind == "shrink") cache.Shrink();
                if (kind == "purge" && seed % 8 == 0) PageLayer.Purge(); // fresh memory only: slabs come by several
            }
        },
        runs: 10);

    // In up to ten, some of them empty.
    private static nint[][] Batches(nint[] objects, int seed)
    {
        Random random = new(seed);
        int[] cuts = [0, .. Enumerable.Range(0, random.Next(9)).Select(_ => random.Next(objects.Length + 1)).Order(),
            objects.Length];
        return [.. cuts.Zip(cuts.Skip(1), (from, to) => objects[from..to])];
    }

    [Theory]
    [InlineData(1024, 4)]
    [InlineData(1024, 3)]
    [InlineData(65_536, 4)]
    [InlineData(131_072, 4)]
    [InlineData(262_144, 2)]
    public void Slabs_that_are_made_of_fresh_memory_stand_side_by_side_and_each_goes_by_itself(int bytes, int wanted)
    {
        foreach (int seed in Enumerable.Range(0, 6))
        {
            using TestCache cache = new((nuint)bytes);
            PageLayer.Purge(); // no page has memory behind it: used ones would be taken one by one
            int perSlab = (int)cache.Cache->ObjectsPerSlab;
            uint[] slabs = cache.Grow(wanted);
            Assert.Equal(wanted, slabs.Length);
            nint[] all = cache.Take(wanted * perSlab);
            Assert.Equal(wanted * perSlab, all.Length);
            foreach (nint pointer in all) *(nint*)pointer = pointer;
            uint[] order = [.. slabs];
            new Random(seed).Shuffle(order);
            foreach (uint slab in order)
            {
                nint begin = (nint)LinearRegion.AddressOf(slab),
                    end = begin + (nint)(cache.Cache->SlabPages * PageGeometry.PageBytes);
                // its pages are the zone's again
                Assert.Equal(1, cache.Put(all.Where(pointer => pointer >= begin && pointer < end).ToArray()));
                foreach (nint pointer in cache.Live) Assert.Equal(pointer, *(nint*)pointer);
                TestZone.Normal->Verify();
            }
        }
    }

    [Fact]
    public void Used_pages_make_one_slab_before_fresh_ones_make_several()
    {
        PageLayer.Purge();
        Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.FreshFirst, out uint used));
        // so that the two do not merge
        Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.FreshFirst, out uint between));
        Assert.True(PageLayer.TryTakePages(null, 1, MemoryChoice.FreshFirst, out uint alsoUsed));
        PageLayer.GivePages(used, 1);
        PageLayer.GivePages(alsoUsed, 1);
        using (TestCache cache = new(1024))
        {
            uint[] first = [Assert.Single(cache.Grow(4)), Assert.Single(cache.Grow(4))];
            Assert.Equal(new uint[] { used, alsoUsed }.Order(), first.Order());
            Assert.Equal(4, cache.Grow(4).Length);
        }
        PageLayer.GivePages(between, 1, clean: true);
    }

    [Fact]
    public void Slabs_that_leave_a_part_of_their_block_are_made_one_by_one()
    {
        using TestCache cache = new(98_304); // three pages of a block of four
        PageLayer.Purge();
        Assert.NotEqual(1u << cache.Cache->SlabOrder, cache.Cache->SlabPages);
        Assert.Single(cache.Grow(4));
    }

    [Theory]
    [InlineData(1024)]
    [InlineData(98_304)]
    [InlineData(131_072)]
    public void Wherever_the_system_refuses_the_slabs_that_were_made_are_whole_and_no_page_is_lost(int bytes)
    {
        bool refused = true;
        for (int refusal = 0; refused && refusal < 100; refusal++)
        {
            PageLayer.Purge();
            List<(uint Page, uint Count)> taken = [];
            // Nothing is free, so that the slabs need a new section.
            using (new InjectedFaults(OsCall.Commit))
                foreach (uint count in (uint[])[PageGeometry.SectionPages, 64, 8, 1])
                    while (PageLayer.TryTakePages(null, count, MemoryChoice.UsedFirst, out uint page))
                        taken.Add((page, count));
            using (TestCache cache = new((nuint)bytes))
            {
                int calls = 0, first = refusal;
                refused = false;
                using (new InjectedFaults(_ => calls++ == first && (refused = true)))
                {
                    for (int i = 0; i < 12; i++)
                        // TestCache checks the rest
                        if (!cache.TryGrow(4, out _))
                            Assert.True(refused, "there is no memory though nothing was refused");
                }
                Assert.True(cache.TryGrow(4, out _));
                cache.Take(100);
            }
            foreach ((uint page, uint count) in taken) PageLayer.GivePages(page, count, clean: true);
        }
        Assert.False(refused, "the system was asked more than a hundred times");
    }

    [Fact]
    public void Objects_come_from_a_slab_in_use_before_a_free_one()
    {
        using TestCache cache = new(8192);
        cache.Grow();
        nint inUse = Assert.Single(cache.Take(1));
        uint slab = (uint)LinearRegion.PageIndexOf((void*)inUse);
        cache.Grow();
        Assert.All(cache.Take(7), pointer => Assert.Equal(slab, (uint)LinearRegion.PageIndexOf((void*)pointer)));
        Assert.Equal(1u, cache.Node->Slabs.Count(NodeSlabs.Free));
    }

    [Fact]
    public void Slabs_that_become_free_go_back_at_once_and_those_that_nobody_used_when_asked_for()
    {
        const int Slabs = 5;
        using TestCache cache = new(8192);
        for (int i = 0; i < Slabs; i++) cache.Grow();
        nint[] all = cache.Take(Slabs * (int)cache.Cache->ObjectsPerSlab);
        Assert.Equal((uint)Slabs, cache.Node->Slabs.Count(NodeSlabs.Full));
        cache.Grow();
        cache.Grow();
        Assert.Equal(0, cache.Put(all.AsSpan(1, 7))); // of the slab that gave the last ones, one object is missing
        Assert.Equal(1, cache.Put(all[0]));
        Assert.Equal(Slabs - 1, cache.Put(all.AsSpan(8)));
        Assert.Equal(2u, cache.Node->Slabs.Count(NodeSlabs.Free));
        Assert.Equal(2u, cache.Node->Slabs.SlabCount);
        Assert.Equal(2, cache.Shrink());
        Assert.Equal(0u, cache.Node->Slabs.SlabCount);
    }

    [Fact]
    public void Objects_come_from_the_fullest_slab()
    {
        using TestCache cache = new(1024); // 64 to a slab
        for (int i = 0; i < 6; i++) cache.Grow();
        nint[] all = cache.Take(6 * 64);
        Array.Reverse(all);
        // Of the slabs, in the order that they were used up, so many objects come back; the quarters are 0 to 15, 16 to
        // 31, 32 to 47, 48 to 63.
        int[] free = [40, 60, 5, 63, 20, 0];
        for (int slab = 0; slab < free.Length; slab++)
            if (free[slab] != 0) cache.Put(all.AsSpan(slab * 64, free[slab]));
        foreach ((int slab, int count) in ((int, int)[])[(2, 5), (4, 20), (0, 40)])
            foreach (nint pointer in cache.Take(count)) Assert.Contains(pointer, all[(slab * 64)..(slab * 64 + count)]);
        Assert.Equal(123, cache.Take(200).Length); // TestCache checks each
    }

    [Theory]
    [InlineData(64, true)]
    [InlineData(2048, true)]
    [InlineData(8192, false)]
    public void The_first_slab_of_small_objects_is_fresh_and_every_other_is_used(int bytes, bool isFresh)
    {
        PageLayer.Purge();
        Assert.True(PageLayer.TryTakePages(null, 8, MemoryChoice.FreshFirst, out uint used));
        Assert.True(PageLayer.TryTakePages(null, PageGeometry.SectionPages, MemoryChoice.FreshFirst, out uint section));
        PageLayer.GivePages(section, PageGeometry.SectionPages, clean: true);
        PageLayer.GivePages(used, 8);
        using TestCache cache = new((nuint)bytes);
        AssertGrows(isFresh);
        AssertGrows(false);
        cache.Shrink();
        AssertGrows(false); // it had two once

        void AssertGrows(bool fresh)
        {
            uint dirty = TestZone.Normal->DirtyPages;
            cache.Grow();
            Assert.Equal(dirty + (fresh ? 1u : 0), TestZone.Normal->DirtyPages);
        }
    }

    [Fact]
    public void The_depots_limit_doubles_when_the_thread_changes_and_halves_after_64_exchanges_of_one()
    {
        using TestCache cache = new(1024, magazineCapacity: 16, depotLimit: 12);
        using DepotProbe probe = new(cache.Cache);
        Assert.Equal(0, probe.Limit);
        int[] growing = [1, 3, 7, 12, 12];
        for (int thread = 1; thread <= growing.Length; thread++)
        {
            Note(thread);
            Assert.Equal(growing[thread - 1], probe.Limit);
        }
        Note(100);
        foreach (int expected in (int[])[6, 3, 1, 0, 0])
        {
            int before = probe.Limit;
            for (int i = 0; i < 63; i++) Note(100);
            Assert.Equal(before, probe.Limit);
            Note(100);
            Assert.Equal(expected, probe.Limit);
        }
        Note(101);
        Assert.Equal(1, probe.Limit);
        for (int i = 0; i < 63; i++) Note(101);
        Note(102); // what another does ends the calm
        for (int i = 0; i < 63; i++) Note(102);
        Assert.Equal(3, probe.Limit);

        void Note(int thread) => cache.Cache->NoteExchange(cache.Node, (void*)thread);
    }

    [Fact]
    public void Any_order_of_exchanges_gives_the_limit_that_counting_gives() => Properties.ForAllSequences(
        Values.Pairs(Values.Between(1, 3), Values.Between(1, 150)),
        40,
        operations =>
        {
            const int Largest = 20;
            using TestCache cache = new(1024, magazineCapacity: 16, depotLimit: Largest);
            using DepotProbe probe = new(cache.Cache);
            int limit = 0, last = 0, calm = 0;
            foreach ((int thread, int times) in operations)
            {
                for (int i = 0; i < times; i++)
                {
                    cache.Cache->NoteExchange(cache.Node, (void*)thread);
                    calm = thread == last ? calm + 1 : 0;
                    if (thread != last) limit = Math.Min(Largest, 2 * limit + 1);
                    else if (calm % 64 == 0) limit /= 2;
                    last = thread;
                }
                Assert.Equal(limit, probe.Limit);
            }
        });

    [Fact]
    public void The_object_an_address_lies_in_is_exact_for_every_object_of_every_class()
    {
        for (int index = 1; index < CacheTable.FirstUserCache; index++)
        {
            ObjectCache* cache = CacheTable.CacheAt(index);
            uint bytes = cache->ObjectBytes;
            // What it says never falls as the offset rises; so the first and the last byte of an object stand for all
            // between.
            for (uint i = 0; i < cache->ObjectsPerSlab; i++)
            {
                nuint offset = (nuint)i * bytes;
                if (cache->ObjectIndexOf(offset) != i || cache->ObjectIndexOf(offset + bytes - 1) != i
                    || cache->ObjectIndexOf(offset + bytes / 2) != i)
                    Assert.Fail($"object {i} of {bytes} B");
            }
            nuint end = (nuint)cache->ObjectsPerSlab * bytes, slabBytes = cache->SlabPages * PageGeometry.PageBytes;
            if (end < slabBytes)
            {
                Assert.Equal(cache->ObjectsPerSlab, cache->ObjectIndexOf(end));
                Assert.Equal(cache->ObjectsPerSlab, cache->ObjectIndexOf(slabBytes - 1));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Any_address_in_an_object_leads_to_it_and_the_rest_of_the_slab_to_none(int bytes)
    {
        using TestCache cache = new((nuint)bytes);
        byte* slab = (byte*)LinearRegion.AddressOf(cache.Grow());
        uint count = cache.Cache->ObjectsPerSlab;
        foreach (uint i in (uint[])[0, 1, count / 2, count - 1])
            foreach (int inside in (int[])[0, 1, bytes / 2, bytes - 1])
            {
                byte* pointer = slab + i * (long)bytes;
                Assert.True(cache.Cache->ObjectAt(pointer + inside) == pointer, $"byte {inside} of object {i}");
            }
        byte* end = slab + count * (long)bytes, slabEnd = slab + cache.Cache->SlabPages * PageGeometry.PageBytes;
        if (end == slabEnd) return;
        Assert.True(cache.Cache->ObjectAt(end) == null);
        Assert.True(cache.Cache->ObjectAt(slabEnd - 1) == null);
    }

    [Theory]
    [InlineData(1, 2, 120)]
    [InlineData(16, 2, 60)]
    [InlineData(64, 2, 16)]
    [InlineData(16, 16, 120)]
    [InlineData(64, 64, 120)]
    [InlineData(128, 64, 60)]
    [InlineData(1000, 64, 16)]
    public void The_more_threads_there_are_than_can_run_the_less_a_magazine_holds_where_they_take_turns(
        int threads, int processors, int objects)
    {
        Magazine magazine = new(Capacity: 16, LargestCapacity: 120, BlockBytes: 1024);
        Assert.Equal(objects, ObjectCache.ContendedCapacity(magazine, threads, processors));
    }

    [Fact]
    public void Without_memory_there_is_no_object_and_nothing_changes()
    {
        using TestCache cache = new(524_288);
        List<nint> direct = [];
        using (new InjectedFaults(OsCall.Commit))
        {
            while (cache.Cache->AllocDirect(null, out _) is var pointer && pointer != null) direct.Add((nint)pointer);
            Assert.False(cache.Cache->TryMakeSlabs(null, 1, out _, out _));
            cache.Cache->Verify();
        }
        Assert.Equal(direct.Count, direct.Distinct().Count());
        void* withMemory = cache.Cache->AllocDirect(null, out _);
        Assert.True(withMemory != null);
        SlabReturn.FreeDirect(cache.Cache, null, withMemory);
        foreach (nint pointer in direct) SlabReturn.FreeDirect(cache.Cache, null, (void*)pointer);
        cache.Cache->Verify();
        Assert.Equal(0u, cache.Node->Slabs.SlabCount); // a slab that is free does not stay
        Assert.Equal(0u, cache.Node->Slabs.FreeObjects);
        cache.ForgetPeak();
    }

    [Fact]
    public void Threads_that_take_and_put_at_once_never_hold_the_same_object()
    {
        using TestCache cache = new(2048);
        ObjectCache* shared = cache.Cache;
        TestThread.RunTogether(4, number =>
        {
            Random random = new(number);
            ThreadPages hot = default;
            List<nint> live = [];
            for (int i = 0; i < 20_000; i++)
            {
                if (live.Count == 0 || (live.Count < 200 && random.Next(2) == 0))
                {
                    nint pointer = (nint)shared->AllocDirect(&hot, out _);
                    *(long*)pointer = number;
                    live.Add(pointer);
                }
                else
                {
                    int at = random.Next(live.Count);
                    nint pointer = live[at];
                    live[at] = live[^1];
                    live.RemoveAt(live.Count - 1);
                    if (*(long*)pointer != number)
                        throw new InvalidOperationException("two threads hold the same object");
                    SlabReturn.FreeDirect(shared, &hot, (void*)pointer);
                }
            }
            foreach (nint pointer in live) SlabReturn.FreeDirect(shared, &hot, (void*)pointer);
            PageLayer.Drain(&hot);
        });
        shared->Verify();
        // None stays but those that one thread made while another's came, and that nobody used then.
        Assert.Equal(shared->Node(0)->Slabs.SlabCount, shared->Node(0)->Slabs.Count(NodeSlabs.Free));
        shared->Node(0)->Lock.Acquire();
        uint freed = shared->TakeFreeSlabs(shared->Node(0));
        shared->Node(0)->Lock.Release();
        shared->GiveSlabs(null, freed);
        cache.ForgetPeak();
    }

    [Fact]
    public void Verify_sees_what_is_wrong()
    {
        using TestCache cache = new(1024);
        uint slab = cache.Grow();
        cache.Take(10);
        PageFrame* frame = LinearRegion.Frames + slab;
        ulong* bits = LinearRegion.BitmapOf(slab);
        PageFrame saved = *frame;
        ulong savedBits = bits[0];
        AssertSeen(() => frame->FreeObjects++, "free objects and says");
        AssertSeen(() => bits[0] = 0, "free objects and says");
        AssertSeen(() => frame->State = PageState.Taken, "of cache");
        AssertSeen(() => frame->List = NodeSlabs.Full, "is on list");
        AssertSeen(() => frame->FirstWord = 1, "before word");
        AssertSeen(() => frame->PurgedPages = 3, "says that 3 are given back");
        AssertSeen(() => LinearRegion.SetClass(slab, 1, 0), "has class");
        cache.Cache->Verify();

        void AssertSeen(Action damage, string words)
        {
            damage();
            InvalidOperationException error = Assert.Throws<InvalidOperationException>(() => cache.Cache->Verify());
            *frame = saved;
            bits[0] = savedBits;
            LinearRegion.SetClass(slab, 1, TestCache.Index);
            Assert.Contains(words, error.Message, StringComparison.Ordinal);
            Assert.False(cache.Node->Lock.IsHeld);
        }
    }

    /// <summary>Finds a cache's depot limit by filling the depot until it has no more room.</summary>
    private sealed class DepotProbe(ObjectCache* cache) : IDisposable
    {
        private const int Blocks = 64;

        private readonly MagazineBlocks _blocks = new(Blocks);

        internal int Limit
        {
            get
            {
                CacheNode* node = cache->Node(0);
                int count = 0;
                for (; cache->DepotHasRoom(node); count++) node->Depot.PushFull(_blocks[count]);
                while (node->Depot.PopFull() != 0) { }
                Assert.Equal(node->Depot.Size.Limit, count); // without slabs there is no bulk
                return count;
            }
        }

        public void Dispose() => _blocks.Dispose();
    }
}
