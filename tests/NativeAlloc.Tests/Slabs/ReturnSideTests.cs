using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows that objects which share cache lines come round late once there is a second thread, at once where there is
/// none, and that nothing else changes.
/// </summary>
public sealed unsafe class ReturnSideTests : IDisposable
{
    private static readonly nuint[] s_sizes = [16, 32, 48, 64, 1024];

    private readonly LooseThreadBlock _one = new(), _two = new();

    public ReturnSideTests() => Reclaimer.ReleaseCaches();

    public void Dispose()
    {
        _one.Dispose();
        _two.Dispose();
        Reclaimer.ReleaseCaches();
        CacheTable.Verify();
    }

    [Fact]
    public void A_process_of_one_thread_has_no_sides_and_one_of_two_has_them_with_everything_else_as_it_was()
    {
        Assert.Equal("", ChildProcess.RunHost(ReturnSides.Name).ShouldSucceed().Errors);
    }

    [Fact]
    public void All_slabs_get_another_class_in_portions_so_that_nobody_waits_long_for_the_lock()
    {
        const int Slabs = 300, Side = TestCache.Index + 1;
        using TestCache cache = new(60_000);
        List<uint> slabs = [];
        while (slabs.Count < Slabs) slabs.AddRange(cache.Grow(1));
        cache.Cache->SetReturnSide(Side);
        uint before = cache.Node->Lock.Acquisitions;
        cache.Cache->SeparateFrees(on: true);
        Assert.True(cache.Node->Lock.Acquisitions - before > NodeSlabs.ListCount, "there were several portions");
        Assert.All(slabs, slab => Assert.Equal(Side, LinearRegion.ClassOf(slab)));
        cache.Cache->SeparateFrees(on: false);
        Assert.All(slabs, slab => Assert.Equal(TestCache.Index, LinearRegion.ClassOf(slab)));
    }

    [Fact]
    public void A_slab_that_goes_to_a_list_which_is_done_already_gets_the_class_too()
    {
        const int Side = TestCache.Index + 1, Done = 2; // the first list is that of full slabs: locked, then released
        using TestCache cache = new(20_000);
        uint slab = cache.Grow();
        nint[] first = cache.Take(1), rest = [];
        cache.Cache->SetReturnSide(Side);
        int reached = 0;
        using (new WhileReached(_ =>
        {
            if (++reached == Done) rest = cache.Take(2);
        }))
        {
            cache.Cache->SeparateFrees(on: true);
        }
        Assert.Equal((NodeSlabs.Full, Side), (LinearRegion.Frames[slab].List, LinearRegion.ClassOf(slab)));
        cache.Cache->SeparateFrees(on: false);
        cache.PutAll(first, rest);
    }

    [Theory]
    [InlineData(16)]
    [InlineData(32)]
    [InlineData(48)]
    public void A_thread_that_frees_and_allocates_by_turns_gets_an_object_at_most_one_in_64_times(int size)
    {
        const int Rounds = 20_000;
        int index = SizeClasses.Of((nuint)size);
        Share(index);
        Dictionary<nint, int> given = [];
        for (int i = 0; i < Rounds; i++)
        {
            nint pointer = _one.Alloc(index);
            given[pointer] = given.GetValueOrDefault(pointer) + 1;
            _one.Free(index, pointer);
        }
        Assert.InRange(given.Values.Max(), 1, Rounds / 64 + 1);
        Assert.InRange(given.Count, 64, 3 * 255); // and they do come round: no more than the magazines hold are in use
    }

    [Fact]
    public void A_larger_class_has_no_side_whoever_uses_it()
    {
        int index = SizeClasses.Of(64);
        Share(index);
        nint pointer = _one.Alloc(index);
        Assert.Equal(index, LinearRegion.ClassOf(LinearRegion.PageIndexOf((void*)pointer)));
        _one.Free(index, pointer);
        Assert.Equal(pointer, _one.Alloc(index));
        _one.Free(index, pointer);
    }

    [Fact]
    public void Every_object_is_with_a_user_in_a_magazine_in_a_depot_or_in_a_slab_at_every_step() =>
        Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("alloc", "alloc", "free", "burst", "drop", "drain", "no thread"),
            Values.Between(0, 100_000)),
        120,
        steps =>
        {
            using LooseThreadBlock one = new(), two = new();
            Reclaimer.ReleaseCaches();
            // what other tests have left in use
            long[] others = [.. s_sizes.Select(size => Outside(SizeClasses.Of(size)))];
            List<nint>[] live = [.. s_sizes.Select(_ => new List<nint>())];
            foreach ((string step, int number) in steps)
            {
                LooseThreadBlock thread = number % 2 == 0 ? one : two;
                int kind = number / 2 % s_sizes.Length, index = SizeClasses.Of(s_sizes[kind]), count = number / 16 % 40;
                switch (step)
                {
                    case "alloc" or "burst": // a burst is what makes magazines go by several at once
                        for (int i = 0; i < (step == "burst" ? 40 * count : count); i++)
                        {
                            live[kind].Add(thread.Alloc(index));
                            *(nint*)live[kind][^1] = live[kind][^1];
                        }
                        break;
                    case "free" or "drop":
                        for (int i = 0; i < (step == "drop" ? 40 * count : count) && live[kind].Count != 0; i++)
                            thread.Free(index, TakeOut(live[kind], number + i * 7));
                        break;
                    case "drain":
                        if (number % 3 == 0) thread.Drain();
                        if (number % 7 == 0) Reclaimer.ReleaseCaches();
                        break;
                    case "no thread":
                        live[kind].Add((nint)MagazineExchange.AllocMiss(null, index, out _));
                        *(nint*)live[kind][^1] = live[kind][^1];
                        nint pointer = TakeOut(live[kind], number);
                        MagazineExchange.FreeMiss(null, LinearRegion.ClassOf(LinearRegion.PageIndexOf((void*)pointer)),
                            (void*)pointer);
                        break;
                }
                for (int i = 0; i < s_sizes.Length; i++)
                {
                    int each = SizeClasses.Of(s_sizes[i]);
                    Assert.Equal(others[i] + live[i].Count + InMagazines(one, each) + InMagazines(two, each),
                        Outside(each));
                    CacheTable.CacheAt(each)->Verify();
                }
            }
            for (int i = 0; i < s_sizes.Length; i++)
            {
                Assert.Equal(live[i].Count, live[i].Distinct().Count());
                foreach (nint pointer in live[i]) one.Free(SizeClasses.Of(s_sizes[i]), pointer);
            }

            static nint TakeOut(List<nint> live, int number)
            {
                int at = number % live.Count;
                nint pointer = live[at];
                live[at] = live[^1];
                live.RemoveAt(live.Count - 1);
                Assert.Equal(pointer, *(nint*)pointer);
                return pointer;
            }
        },
        runs: 30);

    [Fact]
    public void A_thread_that_is_alone_with_many_objects_goes_to_the_slabs_once_for_several_magazines()
    {
        int index = SizeClasses.Of(1024);
        ObjectCache* cache = CacheTable.CacheAt(index);
        int capacity = cache->Magazine.Capacity, magazines = 200;
        nint[] objects = new nint[magazines * capacity];
        for (int i = 0; i < objects.Length; i++) objects[i] = _one.Alloc(index);
        // so that the slabs stay
        nint[] keepers = [.. objects.DistinctBy(pointer => LinearRegion.PageIndexOf((void*)pointer))];
        Assert.Equal(3, cache->BulkOf(cache->Node(0)));
        uint before = cache->Node(0)->Lock.Acquisitions;
        nint[] freed = [.. objects.Except(keepers)];
        foreach (nint pointer in freed) _one.Free(index, pointer);
        uint drains = cache->Node(0)->Lock.Acquisitions - before;
        Assert.InRange(drains * 4, (uint)1, (uint)(freed.Length / capacity + 16));
        before = cache->Node(0)->Lock.Acquisitions;
        for (int i = 0; i < freed.Length; i++) freed[i] = _one.Alloc(index);
        uint refills = cache->Node(0)->Lock.Acquisitions - before;
        Assert.InRange(refills * 4, (uint)1, (uint)(freed.Length / capacity + 16));
        Assert.Equal(objects.Length, freed.Concat(keepers).Distinct().Count());
        foreach (nint pointer in freed.Concat(keepers)) _one.Free(index, pointer);
    }

    [Fact]
    public void A_small_cache_leaves_nothing_in_the_depot_of_a_thread_that_is_alone()
    {
        ObjectCache* cache = CacheTable.CacheAt(SizeClasses.Of(2000));
        CacheNode* node = cache->Node(0);
        // a sixteenth of the cache at most
        uint perMagazine = (uint)cache->Magazine.Capacity * 16 / cache->ObjectsPerSlab;
        List<nint> objects = [];
        while (node->Slabs.SlabCount < 5 * perMagazine)
        {
            objects.Add(_one.Alloc(cache->Index));
            uint expected =
                Math.Min(3, node->Slabs.SlabCount * cache->ObjectsPerSlab / (16 * (uint)cache->Magazine.Capacity));
            Assert.Equal((int)expected, cache->BulkOf(node));
        }
        foreach (nint pointer in objects) _one.Free(cache->Index, pointer);
    }

    // Both threads exchange magazines of a class, which has a side from then on if it is a tiny one.
    private void Share(int index)
    {
        foreach (LooseThreadBlock thread in (LooseThreadBlock[])[_one, _two, _one])
        {
            nint[] objects = new nint[1000];
            for (int i = 0; i < objects.Length; i++) objects[i] = thread.Alloc(index);
            foreach (nint pointer in objects) thread.Free(index, pointer);
        }
    }

    // Objects that are in no slab, in no depot, and with no thread of the runner: one that ends gives up what it kept.
    private static long Outside(int index) => CacheFigures.Of(index).Live;

    private static long InMagazines(LooseThreadBlock thread, int index)
    {
        Magazine magazine = CacheTable.CacheAt(index)->Magazine;
        long count = CountOf(thread.Magazines->Loaded(index)) + CountOf(thread.Magazines->Previous(index));
        return CacheTable.ReturnSideOf(index) == index
            ? count
            : count + CountOf(thread.Magazines->Loaded(CacheTable.ReturnSideOf(index)));

        int CountOf(nint top) => top == CacheTable.NoMagazine ? 0 : magazine.CountOf(top);
    }
}
