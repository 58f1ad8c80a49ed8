using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using NativeAlloc.Tests.Pages;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows the way of an object between a thread's two magazines, the depot and the slabs: which steps need a lock, that
/// a thread's objects can serve another, that everything comes back in the end, and that the layer stands when there is
/// no memory.
/// </summary>
public sealed unsafe class MagazineExchangeTests : IDisposable
{
    /// <summary>The largest magazines; some objects; two objects; no magazine.</summary>
    private static readonly nuint[] s_sizes = [64, 1024, 32_768, 65_536];

    /// <summary>The first of the caches that magazines come from, the one of the smallest.</summary>
    private const int MagazineCache = CacheTable.FirstMagazineCache;

    private readonly LooseThreadBlock _thread = new();
    private readonly uint _usedBefore;

    public MagazineExchangeTests()
    {
        TestZone.Settle();
        _usedBefore = UsedPages();
    }

    public void Dispose()
    {
        _thread.Dispose();
        TestZone.Settle();
        CacheTable.Verify();
        TestZone.Normal->Verify();
        Assert.InRange(UsedPages(), 0u, _usedBefore);
    }

    public static TheoryData<int> Sizes => [.. s_sizes.Select(size => (int)size)];

    [Fact]
    public void Every_class_has_its_size_its_slabs_and_a_magazine_that_holds_a_bounded_number_of_bytes()
    {
        for (int index = 1; index < SizeClasses.Count; index++)
        {
            ObjectCache* cache = CacheTable.CacheAt(index);
            Assert.Equal(SizeClasses.BytesOf(index), cache->ObjectBytes);
            Assert.Equal(index, cache->Index);
            Assert.Equal(SizeClasses.SlabPagesOf(cache->ObjectBytes), cache->SlabPages);
            Assert.Equal(PageGeometry.OrderOf(cache->SlabPages), cache->SlabOrder);
            int capacity = cache->Magazine.Capacity;
            Assert.InRange(capacity, 0, Magazine.MostObjects);
            Assert.Equal(cache->ObjectBytes <= SizeClasses.MagazineBytes, capacity != 0);
            Assert.True(capacity <= 2 || (uint)capacity * cache->ObjectBytes <= 16 * 1024);
            if (capacity == 0) continue;
            // in a block of the same size
            Assert.Equal(Magazine.Of(capacity, cache->Magazine.LargestCapacity), cache->Magazine);
            bool grows = !cache->Magazine.IsFixed;
            Assert.True(!grows || (cache->Magazine.LargestCapacity + 1 >= 2 * capacity
                && (uint)cache->Magazine.LargestCapacity * cache->ObjectBytes <= 128 * 1024));
            Assert.Equal(cache->ObjectBytes is >= 512 and <= 32 * 1024, grows);
        }
        int[] blockBytes = [512, 1024, 2048];
        for (int i = 0; i < blockBytes.Length; i++)
        {
            Assert.Equal((uint)blockBytes[i], CacheTable.CacheAt(MagazineCache + i)->ObjectBytes);
            // else each magazine would need one
            Assert.Equal(0, CacheTable.CacheAt(MagazineCache + i)->Magazine.Capacity);
        }
        Assert.Equal(CacheTable.FirstUserCache, MagazineCache + blockBytes.Length);
    }

    [Fact]
    public void The_first_block_of_a_process_is_one_miss_one_refill_and_one_lock_of_each_cache()
    {
        string output = ChildProcess.RunHost(FirstMiss.Name).ShouldSucceed().Output;
        string[] figures = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(
        [
            "objects in the magazine: 7",
            "misses: 1",
            "depot exchanges: 0",
            "slab exchanges: 1",
            "refills: 1",
            "next refill: 16",
            "locks of the cache: 1",
            "locks of the magazines' caches: 1",
            "locks of the threads' registry: 2", // the thread gets its block, and has set it up
            "the decay's thread: False", // it would be a good part of what the first block costs
            "type of 100 bytes: Unmovable", "type of 40000 bytes: Run", "type of 600000 bytes: Run",
            "and with 4 MiB: True",
        ], figures);
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void A_new_thread_gets_objects_in_ascending_order_round_the_slab(int size)
    {
        using OwnCache own = new((nuint)size); // in which nobody keeps an object, so the first slab is a whole one
        using LooseThreadBlock thread = new();
        int index = own.Index;
        ObjectCache* cache = own.Cache;
        List<nint> objects = [];
        for (int i = 0; i < Math.Min(8, (int)cache->ObjectsPerSlab); i++) objects.Add(thread.Alloc(index));
        // Somewhere the slab may end and go on at its beginning.
        int wraps = Enumerable.Range(1, objects.Count - 1).Count(i => objects[i] < objects[i - 1]);
        Assert.True(wraps == 0 || (wraps == 1 && objects[^1] < objects[0]), string.Join(' ', objects));
        Assert.Single(objects.Select(pointer => cache->SlabOf((uint)LinearRegion.PageIndexOf((void*)pointer)))
            .Distinct());
        Assert.Equal(objects.Count, objects.Distinct().Count());
        Assert.All(objects,
            pointer => Assert.Equal(index, LinearRegion.ClassOf(LinearRegion.PageIndexOf((void*)pointer))));
        foreach (nint pointer in objects) thread.Free(index, pointer);
    }

    [Fact]
    public void The_object_that_was_freed_last_is_the_next()
    {
        int index = SizeClasses.Of(200);
        nint first = _thread.Alloc(index), second = _thread.Alloc(index);
        _thread.Free(index, first);
        _thread.Free(index, second);
        Assert.Equal(second, _thread.Alloc(index));
        Assert.Equal(first, _thread.Alloc(index));
        _thread.Free(index, first);
        _thread.Free(index, second);
    }

    [Theory]
    [InlineData(64)]
    [InlineData(1024)]
    [InlineData(32_768)]
    public void A_walk_over_a_magazines_edge_takes_no_lock(int size)
    {
        int index = SizeClasses.Of((nuint)size);
        ObjectCache* cache = CacheTable.CacheAt(index);
        List<nint> live = [];
        for (int i = 0; i < 5 * cache->Magazine.Capacity; i++) live.Add(_thread.Alloc(index));
        foreach (int start in (int[])[0, 1, cache->Magazine.Capacity / 2]) // wherever in a magazine the walk begins
        {
            Shrink(start);
            Walk(); // the first may still exchange
            uint locks = cache->Node(0)->Lock.Acquisitions;
            for (int i = 0; i < 20; i++) Walk();
            Assert.Equal(locks, cache->Node(0)->Lock.Acquisitions);
        }
        Shrink(live.Count);

        void Walk()
        {
            int steps = cache->Magazine.Capacity;
            Shrink(steps);
            for (int i = 0; i < steps; i++) live.Add(_thread.Alloc(index));
        }

        void Shrink(int count)
        {
            for (int i = 0; i < count; i++) _thread.Free(index, live[^(i + 1)]);
            live.RemoveRange(live.Count - count, count);
        }
    }

    [Fact]
    public void What_one_thread_frees_serves_another_by_whole_magazines_without_a_lock_or_new_slabs()
    {
        const int Rounds = 50;
        int index = SizeClasses.Of(1024);
        ObjectCache* cache = CacheTable.CacheAt(index);
        using LooseThreadBlock consumer = new();
        // fills both threads' magazines, and the depot gets to know that there are two
        for (int i = 0; i < 16; i++) Pass();
        uint slabs = cache->Node(0)->Slabs.SlabCount, locks = cache->Node(0)->Lock.Acquisitions;
        ulong refills = cache->Node(0)->Refills;
        for (int i = 0; i < Rounds; i++) Pass();
        Assert.Equal(slabs, cache->Node(0)->Slabs.SlabCount);
        Assert.Equal(refills, cache->Node(0)->Refills); // no object came out of a slab
        Assert.Equal(locks, cache->Node(0)->Lock.Acquisitions); // nor did the exchange take the lock
        Assert.True(_thread.Magazines->DepotExchanges >= Rounds);

        // Four magazines of objects go from the one to the other. What one holds depends on how many threads there are.
        void Pass()
        {
            List<nint> objects = [];
            for (int i = 4 * cache->CapacityNow(cache->Node(0)); i > 0; i--) objects.Add(_thread.Alloc(index));
            Assert.Equal(objects.Count, objects.Distinct().Count());
            foreach (nint pointer in objects) consumer.Free(index, pointer);
        }
    }

    [Fact]
    public void A_depot_keeps_so_many_full_magazines_and_the_rest_goes_to_the_slabs()
    {
        int index = SizeClasses.Of(1024);
        ObjectCache* cache = CacheTable.CacheAt(index);
        int capacity = cache->Magazine.LargestCapacity, limit = 1024 * 1024 / (capacity * 1024);
        ulong before = InUse(cache);
        using LooseThreadBlock other = new();
        List<nint> objects = [];
        for (int i = 0; i < 2 * limit * capacity; i++) objects.Add(_thread.Alloc(index));
        uint most = cache->Node(0)->Slabs.SlabCount;
        // By turns, a magazine each: that is what makes a depot worth its memory.
        int kept = 0;
        for (int i = 0; i < objects.Count; i++)
        {
            (i / capacity % 2 == 0 ? _thread : other).Free(index, objects[i]);
            kept = Math.Max(kept, cache->Node(0)->Depot.FullCount);
        }
        Assert.Equal(limit, kept);
        // A drain takes some of the depot's magazines along, so that it may have room for as many again.
        Assert.InRange(cache->Node(0)->Depot.FullCount, limit - DepotSize.LargestBulk, limit);
        Assert.Equal(cache->Node(0)->Depot.FullCount < limit, cache->DepotHasRoom(cache->Node(0)));
        cache->Verify();
        // two magazines each; all others are in slabs, or their slabs have gone
        Assert.InRange(InUse(cache) - before, 0u, 4u * (uint)capacity);
        Assert.True(cache->Node(0)->Slabs.SlabCount < most, "no slab has gone");
    }

    [Fact]
    public void A_thread_that_goes_up_and_down_by_a_few_magazines_leaves_the_slabs_alone_until_it_goes_further()
    {
        int index = SizeClasses.Of(2048);
        ObjectCache* cache = CacheTable.CacheAt(index);
        int capacity = cache->Magazine.Capacity;
        ulong before = InUse(cache);
        // whatever threads made of the depot's limit, they are gone
        for (int i = 0; i < 400; i++) Pass(8 * cache->Magazine.LargestCapacity / capacity);
        Assert.Equal((0, 0), (cache->Node(0)->Depot.Size.Limit, cache->Node(0)->Depot.Size.Kept));
        for (int i = 0; i < 8; i++) Pass(4);
        ulong locks = cache->Node(0)->Lock.Acquisitions, exchanges = _thread.Magazines->SlabExchanges;
        for (int i = 0; i < 8; i++) Pass(4);
        Assert.Equal(exchanges, _thread.Magazines->SlabExchanges);
        Assert.Equal(locks, cache->Node(0)->Lock.Acquisitions);
        Assert.InRange(cache->Node(0)->Depot.FullCount, 1, DepotSize.MostKept); // where they are meanwhile

        Pass(40);
        Assert.Equal(0, cache->Node(0)->Depot.Size.Kept);
        // what its magazines hold; the rest is in the depot or the slabs
        Assert.InRange(InUse(cache) - before, 0u, 2u * (uint)capacity);

        void Pass(int magazines)
        {
            List<nint> objects = [];
            for (int i = 0; i < magazines * capacity; i++) objects.Add(_thread.Alloc(index));
            foreach (nint pointer in objects) _thread.Free(index, pointer);
        }
    }

    [Fact]
    public void A_thread_that_is_alone_with_a_cache_finds_no_depot_and_frees_into_the_slabs()
    {
        // The runner's threads keep slabs of the size classes, and a sixteenth of a cache may stay in its depot.
        using OwnCache own = new(1024);
        using LooseThreadBlock alone = new();
        int index = own.Index;
        ObjectCache* cache = own.Cache;
        int count = 8 * cache->Magazine.LargestCapacity;
        using (LooseThreadBlock other = new())
        {
            for (int i = 0; i < 20; i++) Pass(i % 2 == 0 ? alone : other);
            Assert.True(cache->DepotHasRoom(cache->Node(0)) || cache->Node(0)->Depot.FullCount != 0);
        }
        for (int i = 0; i < 400; i++) Pass(alone);
        Assert.False(cache->DepotHasRoom(cache->Node(0)));
        Assert.Equal(0, cache->Node(0)->Depot.FullCount);
        uint slabs = cache->Node(0)->Slabs.SlabCount;
        Assert.InRange(slabs, 0u, 4u); // what the two magazines keep

        void Pass(LooseThreadBlock thread)
        {
            List<nint> objects = [];
            for (int i = 0; i < count; i++) objects.Add(thread.Alloc(index));
            foreach (nint pointer in objects) thread.Free(index, pointer);
        }
    }

    [Fact]
    public void A_magazine_comes_from_the_cache_of_its_size()
    {
        foreach ((nuint size, int cache) in ((nuint, int)[])[(1024, 0), (160, 1), (64, 2)])
        {
            int index = SizeClasses.Of(size);
            Assert.Equal(512 << cache, CacheTable.CacheAt(index)->Magazine.BlockBytes);
            ulong[] before = [.. Magazines()];
            _thread.Free(index, _thread.Alloc(index));
            before[cache]++;
            Assert.Equal(before, Magazines());
        }

        static ulong[] Magazines() =>
            [.. Enumerable.Range(0, 3).Select(i => InUse(CacheTable.CacheAt(MagazineCache + i)))];
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Draining_puts_every_object_into_its_slab_and_every_page_back(int size)
    {
        int index = SizeClasses.Of((nuint)size);
        ObjectCache* cache = CacheTable.CacheAt(index);
        ulong before = InUse(cache);
        List<nint> objects = [];
        for (int i = 0; i < 600; i++) objects.Add(_thread.Alloc(index));
        foreach (nint pointer in objects) _thread.Free(index, pointer);
        _thread.Drain();
        Reclaimer.ReleaseCaches();
        Assert.Equal(before, InUse(cache));
        Assert.Equal(0, cache->Node(0)->Depot.FullCount + cache->Node(0)->Depot.EmptyCount);
        Assert.Equal(0, _thread.Hot->Count);
        for (int i = 0; i < CacheTable.Sides; i++) Assert.Equal(CacheTable.NoMagazine, _thread.Magazines->Loaded(i));
        Assert.InRange(UsedPages(), 0u, _usedBefore);
    }

    [Fact]
    public void A_thread_without_a_block_gets_objects_straight_from_the_slabs()
    {
        foreach (nuint size in s_sizes)
        {
            int index = SizeClasses.Of(size);
            ObjectCache* cache = CacheTable.CacheAt(index);
            ulong before = InUse(cache);
            void* one = MagazineExchange.AllocMiss(null, index, out _),
                two = MagazineExchange.AllocMiss(null, index, out _);
            Assert.True(one != two);
            Assert.Equal(before + 2, InUse(cache));
            MagazineExchange.FreeMiss(null, index, one);
            MagazineExchange.FreeMiss(null, index, two);
            Assert.Equal(before, InUse(cache));
        }
    }

    [Fact]
    public void Where_no_object_is_free_a_slab_is_made_without_the_lock_for_a_look()
    {
        int index = SizeClasses.Of(65_536);
        ObjectCache* cache = CacheTable.CacheAt(index);
        Assert.Equal(0u, cache->Node(0)->Slabs.ObjectsInSlabs); // whatever is in use of that size
        uint locks = cache->Node(0)->Lock.Acquisitions;
        nint pointer = _thread.Alloc(index);
        Assert.Equal(locks + 1, cache->Node(0)->Lock.Acquisitions); // to add the slab and take the object
        _thread.Free(index, pointer);
        Assert.Equal(locks + 2, cache->Node(0)->Lock.Acquisitions);
    }

    [Fact]
    public void Any_mix_of_two_threads_and_sizes_never_gives_an_object_twice() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("alloc", "alloc", "free", "free", "burst", "drain"), Values.Between(0, 10_000)),
        150,
        operations =>
        {
            using LooseThreadBlock other = new();
            Dictionary<nint, int> live = []; // object to cache
            List<nint> order = [];
            foreach ((string kind, int number) in operations)
            {
                LooseThreadBlock thread = number % 2 == 0 ? _thread : other;
                int count = kind == "burst" ? number % 300 : number % 20;
                if (kind == "drain")
                {
                    if (number % 8 == 0) thread.Drain();
                    if (number % 8 == 1) Reclaimer.ReleaseCaches();
                }
                else if (kind is "alloc" or "burst")
                {
                    int index = SizeClasses.Of(s_sizes[number % 3 == 0 ? number % s_sizes.Length : 0]);
                    for (int i = 0; i < count; i++)
                    {
                        nint pointer = thread.Alloc(index);
                        Assert.True(live.TryAdd(pointer, index), "an object was given twice");
                        *(nint*)pointer = pointer;
                        order.Add(pointer);
                    }
                }
                else
                {
                    for (int i = 0; i < Math.Min(10 * count, live.Count); i++)
                    {
                        int at = (number + i * 7) % order.Count;
                        nint pointer = order[at];
                        order[at] = order[^1];
                        order.RemoveAt(order.Count - 1);
                        Assert.Equal(pointer, *(nint*)pointer);
                        thread.Free(live[pointer], pointer);
                        live.Remove(pointer);
                    }
                }
                foreach (nuint size in s_sizes) CacheTable.CacheAt(SizeClasses.Of(size))->Verify();
            }
            foreach ((nint pointer, int index) in live) other.Free(index, pointer);
        });

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Without_memory_there_is_no_object_and_what_there_is_comes_back(int size)
    {
        int index = SizeClasses.Of((nuint)size);
        ObjectCache* cache = CacheTable.CacheAt(index);
        List<nint> objects = [];
        List<uint> pages = [];
        _thread.Free(index, _thread.Alloc(index)); // there is a section at least
        using (new InjectedFaults(OsCall.Commit))
        {
            // Leave little, else this would be millions of objects.
            while (PageLayer.TryTakePages(null, 64, MemoryChoice.UsedFirst, out uint page)) pages.Add(page);
            foreach (uint page in pages.Take(2)) PageLayer.GivePages(page, 64);
            while (_thread.Alloc(index) is var pointer && pointer != 0) objects.Add(pointer);
            Assert.NotEmpty(objects);
            Assert.Equal(objects.Count, objects.Distinct().Count());
            Assert.Equal(0, _thread.Alloc(index));
            cache->Verify();
            foreach (nint pointer in objects) _thread.Free(index, pointer); // without memory for a magazine if need be
            cache->Verify();
        }
        nint again = _thread.Alloc(index);
        Assert.NotEqual(0, again);
        _thread.Free(index, again);
        foreach (uint page in pages.Skip(2)) PageLayer.GivePages(page, 64);
    }

    [Fact]
    public void A_thread_without_memory_for_a_magazine_still_gets_and_gives_objects()
    {
        int index = SizeClasses.Of(1024);
        ObjectCache* cache = CacheTable.CacheAt(index);
        ObjectCache* magazines = CacheTable.CacheAt(MagazineCache);
        List<uint> pages = [];
        List<nint> blocks = [];
        void* first = MagazineExchange.AllocMiss(null, index, out _); // makes a slab
        using (new InjectedFaults(OsCall.Commit))
        {
            while (PageLayer.TryTakePages(null, 1, MemoryChoice.UsedFirst, out uint page)) pages.Add(page);
            while (magazines->AllocDirect(null, out _) is var block && block != null) blocks.Add((nint)block);
            nint pointer = _thread.Alloc(index);
            Assert.NotEqual(0, pointer);
            Assert.Equal(CacheTable.NoMagazine, _thread.Magazines->Loaded(index));
            _thread.Free(index, pointer);
            Assert.Equal(CacheTable.NoMagazine, _thread.Magazines->Loaded(index));
            cache->Verify();
        }
        foreach (nint block in blocks) SlabReturn.FreeDirect(magazines, null, (void*)block);
        foreach (uint page in pages) PageLayer.GivePages(page, 1);
        MagazineExchange.FreeMiss(null, index, first);
    }

    [Fact]
    public void Threads_that_pass_objects_around_lose_none_and_share_none()
    {
        const int Threads = 4, Objects = 20_000;
        int index = SizeClasses.Of(48);
        ulong before = InUse(CacheTable.CacheAt(index));
        System.Collections.Concurrent.ConcurrentQueue<nint> passed = new();
        TestThread.RunTogether(Threads, number =>
        {
            using LooseThreadBlock thread = new();
            List<nint> mine = [];
            for (int i = 0; i < Objects; i++)
            {
                nint pointer = thread.Alloc(index);
                *(long*)pointer = number;
                mine.Add(pointer);
                if (i % 3 != 0) continue;
                foreach (nint own in mine)
                {
                    if (*(long*)own != number) throw new InvalidOperationException("two threads hold the same object");
                    if (own % 32 == 0) passed.Enqueue(own);
                    else thread.Free(index, own);
                }
                mine.Clear();
                while (passed.TryDequeue(out nint received)) thread.Free(index, received);
            }
            foreach (nint own in mine) thread.Free(index, own);
        });
        while (passed.TryDequeue(out nint received)) _thread.Free(index, received);
        _thread.Drain();
        Reclaimer.ReleaseCaches();
        Assert.Equal(before, InUse(CacheTable.CacheAt(index)));
    }

    // Objects that are in no slab and no depot. Those that the runner's threads keep do not count: a thread that ends
    // gives them up.
    private static ulong InUse(ObjectCache* cache) => (ulong)CacheFigures.Of(cache->Index).Live;

    // They are fewer after a thread of the runner has ended: the slabs of what it kept go back.
    private static uint UsedPages() => TestZone.Normal->OnlinePages - TestZone.Normal->FreePages;
}
