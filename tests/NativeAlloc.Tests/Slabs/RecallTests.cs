using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows that what idle threads keep in their magazines comes back without their doing, but for an object of each
/// class; that threads which are busy lose nothing by it; and that whoever has to do with such a magazine next finds it
/// in order.
/// </summary>
public sealed unsafe class RecallTests : LeakCheckedTests
{
    private static readonly nuint[] s_sizes = [16, 48, 64, 200, 512, 1024, 8192, 32_768];

    private static nint s_kept; // what the thread under test holds

    private static long s_rounds; // recalls that have ended, by Interlocked

    public RecallTests() => NativeAllocator.Trim();

    [Fact]
    public void Of_what_eight_idle_threads_keep_at_most_an_object_of_each_magazine_stays_and_they_go_on()
    {
        const int Threads = 8;
        TestThread[] threads = [.. Enumerable.Range(0, Threads).Select(_ => new TestThread())];
        nint[] blocks = new nint[Threads];
        long[] live = [.. s_sizes.Select(size => CacheFigures.Of(SizeClasses.Of(size)).Live)];
        for (int i = 0; i < Threads; i++)
        {
            int number = i;
            threads[i].Run(() =>
            {
                AllocAndFree(1000);
                blocks[number] = (nint)NativeAllocator.GetBlock();
            });
        }
        Assert.All(blocks,
            block => Assert.True(InMagazines(block) > 100, "the threads keep nothing, so nothing can be shown"));
        CacheRelease.DrainIdleThreads(all: false); // sees where they are
        Assert.All(blocks, block => Assert.True(InMagazines(block) > 100, "who was busy until now is not idle yet"));
        Assert.False(CacheRelease.DrainIdleThreads(all: false));
        foreach (nint block in blocks)
        {
            for (int side = 1; side < CacheTable.Sides; side++) Assert.InRange(InLoaded(block, side), 0, 1);
            foreach (int index in CachesWithMagazines())
                Assert.Equal(CacheTable.NoMagazine, Magazines(block)->Previous(index));
        }
        CacheTable.Verify();
        for (int i = 0; i < s_sizes.Length; i++)
            Assert.Equal(live[i], CacheFigures.Of(SizeClasses.Of(s_sizes[i])).Live);
        // By fast paths and slow ones, from the one object on.
        foreach (TestThread thread in threads) thread.Run(() => AllocAndFree(1000));
        CacheTable.Verify();
        foreach (TestThread thread in threads) thread.Dispose();
    }

    [Fact]
    public void A_class_in_use_is_left_alone_while_the_threads_others_are_drained()
    {
        using TestThread thread = new();
        nint block = 0;
        int used = SizeClasses.Of(200), count = 100, before;
        // What stays in a magazine after so many frees depends on how large depots were before. Where the top is by
        // chance where another thread of this block had it, the first look takes the class for idle.
        do
        {
            thread.Run(() =>
            {
                AllocAndFree(count);
                block = (nint)NativeAllocator.GetBlock();
            });
            CacheRelease.DrainIdleThreads(all: false);
            before = InLoaded(block, used);
        }
        while (before < 10 && --count != 0);
        Assert.True(before >= 10, "the thread keeps objects of the class");
        thread.Run(() => s_kept = (nint)NativeAllocator.Alloc(200));
        Assert.True(CacheRelease.DrainIdleThreads(all: false), "there is more to get later");
        Assert.Equal(before - 1, InLoaded(block, used));
        Assert.InRange(InLoaded(block, SizeClasses.Of(1024)), 0, 1);
        CacheRelease.DrainIdleThreads(all: true);
        Assert.InRange(InLoaded(block, used), 0, 1);
        thread.Run(() => NativeAllocator.Free((void*)s_kept));
    }

    [Fact]
    public void A_thread_on_a_slow_path_keeps_its_magazines()
    {
        using TestThread thread = new();
        nint block = 0;
        thread.Run(() =>
        {
            AllocAndFree(100);
            block = (nint)NativeAllocator.GetBlock();
            Assert.True(RaisedFloors.TryEnter(Magazines(block)));
        });
        long before = InMagazines(block);
        Assert.True(CacheRelease.DrainIdleThreads(all: true), "there is more to get later");
        Assert.Equal(before, InMagazines(block));
        thread.Run(() => Magazines(block)->Claim.Leave());
        CacheRelease.DrainIdleThreads(all: true);
        Assert.NotEqual(before, InMagazines(block));
        thread.Run(() =>
        {
            Assert.True(RaisedFloors.TryEnter(Magazines(block))); // no claim is left
            Magazines(block)->Claim.Leave();
        });
    }

    [Fact]
    public void A_thread_whose_magazines_are_claimed_goes_around_them()
    {
        int index = SizeClasses.Of(3000);
        using LooseThreadBlock thread = new();
        thread.Free(index, thread.Alloc(index));
        thread.Magazines->Claim.Claim();
        nint loaded = thread.Magazines->Loaded(index);
        nint one = (nint)MagazineExchange.AllocMiss(thread.Block, index, out _),
            two = (nint)MagazineExchange.AllocMiss(thread.Block, index, out _);
        Assert.True(one != 0 && one != two);
        MagazineExchange.FreeMiss(thread.Block, index, (void*)one);
        MagazineExchange.FreeMiss(thread.Block, index, (void*)two);
        Assert.Equal(loaded, thread.Magazines->Loaded(index));
        Assert.Equal(CacheTable.NoMagazine, thread.Magazines->Previous(index));
        thread.Magazines->Claim.EndClaim();
    }

    [Fact]
    public void A_dead_threads_magazines_are_put_in_order_by_the_thread_that_adopts_them()
    {
        nint block = 0;
        int index = SizeClasses.Of(200);
        using (TestThread first = new())
        {
            first.Run(() =>
            {
                AllocAndFree(100);
                block = (nint)NativeAllocator.GetBlock();
            });
            CacheRelease.DrainIdleThreads(all: true);
            Assert.True(Magazines(block)->Raised.Contains(index));
        }
        // Other dead threads' blocks may come first; whoever has one of those stays.
        List<TestThread> threads = [];
        nint adopted = 0;
        while (adopted != block)
        {
            Assert.True(threads.Count < 500, "nobody adopted the block");
            threads.Add(new TestThread());
            threads[^1].Run(() => adopted = (nint)NativeAllocator.GetBlock());
        }
        threads[^1].Run(() => AllocAndFree(100));
        Assert.True(Magazines(block)->Raised.IsEmpty);
        foreach (TestThread thread in threads) thread.Dispose();
    }

    [Fact]
    public void A_cache_can_be_taken_down_and_its_place_used_again_whatever_was_recalled_of_it()
    {
        using TestThread thread = new();
        nint block = 0;
        for (int round = 0; round < 3; round++)
        {
            using SlabCache cache = new("recalled", 300);
            List<nint> objects = [];
            thread.Run(() =>
            {
                block = (nint)NativeAllocator.GetBlock();
                for (int i = 0; i < 50; i++) objects.Add((nint)cache.Alloc());
                foreach (nint each in objects) cache.Free((void*)each);
            });
            int index = LinearRegion.ClassOf(LinearRegion.PageIndexOf((void*)objects[0]));
            Assert.InRange(index, CacheTable.FirstUserCache, CacheTable.WideClass - 1);
            if (round == 1) CacheRelease.DrainIdleThreads(all: true);
            if (round == 2)
            {
                thread.Run(() => s_kept = (nint)cache.Alloc());
                CacheRelease.DrainIdleThreads(all: true);
                Assert.True(Magazines(block)->Raised.Contains(index));
                InvalidOperationException error = Assert.Throws<InvalidOperationException>(cache.Dispose);
                Assert.Contains(" 1 of its objects", error.Message, StringComparison.Ordinal);
                thread.Run(() => cache.Free((void*)s_kept));
            }
        }
        thread.Run(() => AllocAndFree(10));
        Assert.True(Magazines(block)->Raised.IsEmpty);
    }

    [Fact]
    public void Threads_whose_objects_are_recalled_all_the_time_lose_none_and_share_none()
    {
        const int Workers = 2, Steps = 40_000, MostLive = 300;
        int working = Workers;
        s_rounds = 0;
        TestThread.RunTogether(Workers + 2, number =>
        {
            if (number >= Workers)
            {
                while (Volatile.Read(ref working) != 0)
                {
                    CacheRelease.DrainIdleThreads(all: number == Workers);
                    if (Interlocked.Increment(ref s_rounds) % 64 == 0) NativeAllocator.Trim();
                }
                return;
            }
            try
            {
                Work(number + 1, Steps, MostLive);
            }
            finally
            {
                Interlocked.Decrement(ref working);
            }
        });
        // At each rest of a worker its objects were recalled twice.
    }

    // Allocates, stamps, checks and frees, up and down by runs of random lengths. Now and then it gives all of its
    // caches back, or rests until two recalls have come by.
    private static void Work(int number, int steps, int mostLive)
    {
        Random random = new(number);
        List<nint> live = [];
        for (int step = 0; step < steps;)
        {
            nuint bytes = s_sizes[random.Next(s_sizes.Length - 2)];
            bool frees = live.Count > random.Next(mostLive);
            for (int run = random.Next(40); run > 0; run--, step++)
            {
                if (!frees)
                {
                    long* pointer = (long*)NativeAllocator.Alloc(bytes);
                    pointer[0] = number;
                    pointer[1] = (nint)pointer;
                    live.Add((nint)pointer);
                }
                else if (live.Count != 0)
                {
                    int at = random.Next(live.Count);
                    long* pointer = (long*)live[at];
                    if (pointer[0] != number || pointer[1] != (nint)pointer)
                        throw new InvalidOperationException("two threads hold the same object");
                    live[at] = live[^1];
                    live.RemoveAt(live.Count - 1);
                    NativeAllocator.Free(pointer);
                }
            }
            if (random.Next(4000) == 0) NativeAllocator.ReleaseThreadCache();
            if (random.Next(200) == 0) Rest();
        }
        Rest();
        foreach (nint pointer in live) NativeAllocator.Free((void*)pointer);
    }

    private static void Rest()
    {
        for (long end = Volatile.Read(ref s_rounds) + 3; Volatile.Read(ref s_rounds) < end;) Thread.Yield();
    }

    private static void AllocAndFree(int count)
    {
        Dictionary<nint, int> stamps = [];
        foreach (nuint bytes in s_sizes)
        {
            for (int i = 0; i < Math.Min(count, (int)(4_000_000 / bytes)); i++)
            {
                int* pointer = (int*)NativeAllocator.Alloc(bytes);
                stamps.Add((nint)pointer, i); // throws if it was given twice
                *pointer = i;
            }
        }
        foreach ((nint pointer, int stamp) in stamps)
        {
            Assert.Equal(stamp, *(int*)pointer);
            NativeAllocator.Free((void*)pointer);
        }
    }

    // Wide caches have none, and threads no place for them.
    private static IEnumerable<int> CachesWithMagazines()
    {
        for (int index = CacheTable.Next(0); index is > 0 and < CacheTable.WideClass; index = CacheTable.Next(index))
            yield return index;
    }

    private static ThreadMagazines* Magazines(nint block) => ThreadMagazines.Of((void*)block);

    private static int InLoaded(nint block, int side)
    {
        nint top = Magazines(block)->Loaded(side);
        if (top == CacheTable.NoMagazine) return 0;
        return RaisedFloors.Count(CacheTable.CacheAt(CacheTable.IndexOfSide(side))->Magazine, top);
    }

    private static long InMagazines(nint block)
    {
        long count = 0;
        for (int side = 1; side < CacheTable.Sides; side++) count += InLoaded(block, side);
        foreach (int index in CachesWithMagazines())
        {
            nint previous = Magazines(block)->Previous(index);
            if (previous != CacheTable.NoMagazine) count += CacheTable.CacheAt(index)->Magazine.CountOf(previous);
        }
        return count;
    }
}
