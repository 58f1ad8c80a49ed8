using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Threads;
using NativeAlloc.Threads;
using Xunit;
using RunningThread = NativeAlloc.TestHost.TestThread;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows that what idle threads keep in their magazines comes back without their doing, but for an object of each class; that threads which are busy lose nothing by it; and that whoever has to do
/// with such a magazine next finds it in order.
/// </summary>
public sealed unsafe class RecallTests : LeakCheckedTests
{
    private static readonly nuint[] s_sizes = [16, 48, 64, 200, 512, 1024, 8192, 32_768];

    private static nint s_kept; // what the thread under test holds

    public RecallTests() => NativeAllocator.Trim();

    [Fact]
    public void Of_what_eight_idle_threads_keep_at_most_an_object_of_each_magazine_stays_and_they_go_on()
    {
        const int Threads = 8;
        RunningThread[] threads = [.. Enumerable.Range(0, Threads).Select(_ => new RunningThread())];
        nint[] blocks = new nint[Threads];
        long[] live = [.. s_sizes.Select(size => SlabLayer.Count(SizeClasses.Of(size)).Live)];
        for (int i = 0; i < Threads; i++)
        {
            int number = i;
            threads[i].Run(() =>
            {
                AllocAndFree(1000);
                blocks[number] = (nint)NativeAllocator.GetBlock();
            });
        }
        Assert.All(blocks, block => Assert.True(InMagazines(block) > 100, "the threads keep nothing, so nothing can be shown"));
        SlabLayer.DrainIdleThreads(all: false); // sees where they are
        Assert.All(blocks, block => Assert.True(InMagazines(block) > 100, "who was busy until now is not idle yet"));
        Assert.False(SlabLayer.DrainIdleThreads(all: false));
        foreach (nint block in blocks)
        {
            for (int side = 1; side < SlabLayer.MaxCaches; side++) Assert.InRange(InLoaded(block, side), 0, 1);
            for (int index = 1; index < SlabLayer.EndOfCaches; index++) Assert.Equal(SlabLayer.NoMagazine, Magazines(block)->Previous(index));
        }
        SlabLayer.Verify();
        for (int i = 0; i < s_sizes.Length; i++) Assert.Equal(live[i], SlabLayer.Count(SizeClasses.Of(s_sizes[i])).Live);
        foreach (RunningThread thread in threads) thread.Run(() => AllocAndFree(1000)); // by fast paths and slow ones, from the one object on
        SlabLayer.Verify();
        foreach (RunningThread thread in threads) thread.Dispose();
    }

    [Fact]
    public void A_class_in_use_is_left_alone_while_the_threads_others_are_drained()
    {
        using RunningThread thread = new();
        nint block = 0;
        thread.Run(() =>
        {
            AllocAndFree(100);
            block = (nint)NativeAllocator.GetBlock();
        });
        SlabLayer.DrainIdleThreads(all: false);
        int used = SizeClasses.Of(200), before = InLoaded(block, used);
        thread.Run(() => s_kept = (nint)NativeAllocator.Alloc(200));
        Assert.True(SlabLayer.DrainIdleThreads(all: false), "there is more to get later");
        Assert.Equal(before - 1, InLoaded(block, used));
        Assert.InRange(InLoaded(block, SizeClasses.Of(1024)), 0, 1);
        SlabLayer.DrainIdleThreads(all: true);
        Assert.InRange(InLoaded(block, used), 0, 1);
        thread.Run(() => NativeAllocator.Free((void*)s_kept));
    }

    [Fact]
    public void A_thread_on_a_slow_path_keeps_its_magazines()
    {
        using RunningThread thread = new();
        nint block = 0;
        thread.Run(() =>
        {
            AllocAndFree(100);
            block = (nint)NativeAllocator.GetBlock();
            Assert.True(Magazines(block)->TryEnter());
        });
        long before = InMagazines(block);
        Assert.True(SlabLayer.DrainIdleThreads(all: true), "there is more to get later");
        Assert.Equal(before, InMagazines(block));
        thread.Run(() => Magazines(block)->Leave());
        SlabLayer.DrainIdleThreads(all: true);
        Assert.NotEqual(before, InMagazines(block));
        thread.Run(() =>
        {
            Assert.True(Magazines(block)->TryEnter()); // no claim is left
            Magazines(block)->Leave();
        });
    }

    [Fact]
    public void A_thread_whose_magazines_are_claimed_goes_around_them()
    {
        int index = SizeClasses.Of(3000);
        using TestThread thread = new();
        thread.Free(index, thread.Alloc(index));
        thread.Magazines->SetClaimed(true);
        nint loaded = thread.Magazines->Loaded(index);
        nint one = (nint)SlabLayer.AllocMiss(thread.Block, index, out _), two = (nint)SlabLayer.AllocMiss(thread.Block, index, out _);
        Assert.True(one != 0 && one != two);
        SlabLayer.FreeMiss(thread.Block, index, (void*)one);
        SlabLayer.FreeMiss(thread.Block, index, (void*)two);
        Assert.Equal(loaded, thread.Magazines->Loaded(index));
        Assert.Equal(SlabLayer.NoMagazine, thread.Magazines->Previous(index));
        thread.Magazines->SetClaimed(false);
    }

    [Fact]
    public void An_object_in_doubt_is_counted_and_comes_out_when_its_turn_has_come()
    {
        int index = SizeClasses.Of(200);
        using RunningThread thread = new();
        nint block = 0, doubtful = 0, next = 0;
        long live = SlabLayer.Count(index).Live;
        thread.Run(() =>
        {
            NativeAllocator.Free(NativeAllocator.Alloc(200));
            block = (nint)NativeAllocator.GetBlock();
        });
        int before = InLoaded(block, index);
        LeaveInDoubt(thread, block, index, out doubtful);
        Assert.Equal((live + 1, before - 1), (SlabLayer.Count(index).Live, InLoaded(block, index)));
        SlabLayer.DrainIdleThreads(all: true); // nothing new can be said
        Assert.NotEqual(0, (nint)Magazines(block)->Recalled.Find(index));
        thread.Run(() => next = (nint)NativeAllocator.Alloc(200));
        Assert.Equal(doubtful, next);
        Assert.False(Magazines(block)->IsDisturbed);
        Assert.Equal((live + 2, before - 2), (SlabLayer.Count(index).Live, InLoaded(block, index)));
        thread.Run(() =>
        {
            NativeAllocator.Free((void*)next);
            NativeAllocator.Free((void*)s_kept);
        });
    }

    [Fact]
    public void What_was_in_doubt_comes_back_when_the_top_has_moved_away_from_it()
    {
        int index = SizeClasses.Of(200);
        using RunningThread thread = new();
        nint block = 0;
        thread.Run(() =>
        {
            NativeAllocator.Free(NativeAllocator.Alloc(200));
            block = (nint)NativeAllocator.GetBlock();
        });
        LeaveInDoubt(thread, block, index, out _);
        thread.Run(() => NativeAllocator.Free((void*)s_kept));
        Assert.True(InLoaded(block, index) > 2);
        SlabLayer.DrainIdleThreads(all: true);
        Assert.Equal(1, InLoaded(block, index));
        Assert.Equal(0, (nint)Magazines(block)->Recalled.Find(index));
    }

    [Fact]
    public void A_dead_threads_magazines_are_put_in_order_by_the_thread_that_adopts_them()
    {
        nint block = 0;
        int index = SizeClasses.Of(200);
        using (RunningThread first = new())
        {
            first.Run(() =>
            {
                AllocAndFree(100);
                block = (nint)NativeAllocator.GetBlock();
            });
            SlabLayer.DrainIdleThreads(all: true);
            first.Run(() => AllocAndFree(5));
            LeaveInDoubt(first, block, index, out _);
        }
        // Other dead threads' blocks may come first; whoever has one of those stays.
        List<RunningThread> threads = [];
        nint adopted = 0;
        while (adopted != block)
        {
            Assert.True(threads.Count < 500, "nobody adopted the block");
            threads.Add(new RunningThread());
            threads[^1].Run(() => adopted = (nint)NativeAllocator.GetBlock());
        }
        threads[^1].Run(() =>
        {
            AllocAndFree(100);
            NativeAllocator.Free((void*)s_kept);
        });
        Assert.False(Magazines(block)->IsDisturbed);
        foreach (RunningThread thread in threads) thread.Dispose();
    }

    [Fact]
    public void A_cache_can_be_taken_down_and_its_place_used_again_whatever_was_recalled_of_it()
    {
        using RunningThread thread = new();
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
            Assert.InRange(index, SlabLayer.FirstUserCache, SlabLayer.EndOfCaches - 1);
            if (round == 1) SlabLayer.DrainIdleThreads(all: true);
            if (round == 2)
            {
                LeaveInDoubt(thread, block, index, out _, () => (nint)cache.Alloc());
                InvalidOperationException error = Assert.Throws<InvalidOperationException>(cache.Dispose);
                Assert.Contains(" 1 of its objects", error.Message, StringComparison.Ordinal);
                thread.Run(() => cache.Free((void*)s_kept));
            }
        }
        thread.Run(() => AllocAndFree(10));
        Assert.False(Magazines(block)->IsDisturbed);
    }

    [Fact]
    public void Threads_whose_objects_are_recalled_all_the_time_lose_none_and_share_none()
    {
        const int Workers = 2, Steps = 120_000, MostLive = 300;
        int working = Workers;
        long rounds = 0;
        TestThreads.RunTogether(Workers + 2, number =>
        {
            if (number >= Workers)
            {
                while (Volatile.Read(ref working) != 0)
                {
                    SlabLayer.DrainIdleThreads(all: number == Workers);
                    if (Interlocked.Increment(ref rounds) % 64 == 0) NativeAllocator.Trim();
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
        Assert.True(rounds > 10, "hardly anything was ever recalled, so nothing was shown");
    }

    // Allocates, stamps, checks and frees, up and down by runs of random lengths; now and then it gives all of its caches back, or rests.
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
                    if (pointer[0] != number || pointer[1] != (nint)pointer) throw new InvalidOperationException("two threads hold the same object");
                    live[at] = live[^1];
                    live.RemoveAt(live.Count - 1);
                    NativeAllocator.Free(pointer);
                }
            }
            if (random.Next(4000) == 0) NativeAllocator.ReleaseThreadCache();
            if (random.Next(500) == 0) Thread.Sleep(1);
        }
        foreach (nint pointer in live) NativeAllocator.Free((void*)pointer);
    }

    // The owner pops the top object, which is kept, in the midst of a recall, and stands just where nobody can say whether it got the next.
    private static void LeaveInDoubt(RunningThread thread, nint block, int index, out nint doubtful, Func<nint>? alloc = null)
    {
        ThreadMagazines* magazines = Magazines(block);
        ObjectCache* cache = SlabLayer.CacheAt(index);
        alloc ??= () => (nint)NativeAllocator.Alloc(SlabLayer.CacheAt(index)->ObjectBytes);
        while (InLoaded(block, index) < 2)
        {
            nint another = alloc();
            thread.Run(() => NativeAllocator.Free((void*)another));
        }
        nint top = magazines->Loaded(index);
        Assert.True(Recall.Ask(magazines, index, top), "there are two objects");
        doubtful = magazines->Recalled.Find(index)->Object;
        thread.Run(() => s_kept = alloc());
        Assert.Equal(top - sizeof(nint), magazines->Loaded(index));
        Recall.Look(magazines, index);
        Recall.Take(cache, magazines, index);
        Assert.NotEqual(0, (nint)magazines->Recalled.Find(index));
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

    private static ThreadMagazines* Magazines(nint block) => ThreadMagazines.Of((void*)block);

    private static int InLoaded(nint block, int side)
    {
        nint top = Magazines(block)->Loaded(side);
        return top == SlabLayer.NoMagazine ? 0 : Recall.Count(SlabLayer.CacheAt(SlabLayer.IndexOfClass(side))->Magazine, Magazines(block), side, top);
    }

    private static long InMagazines(nint block)
    {
        long count = 0;
        for (int side = 1; side < SlabLayer.MaxCaches; side++) count += InLoaded(block, side);
        for (int index = 1; index < SlabLayer.EndOfCaches; index++)
        {
            nint previous = Magazines(block)->Previous(index);
            if (previous != SlabLayer.NoMagazine) count += SlabLayer.CacheAt(index)->Magazine.CountOf(previous);
        }
        return count;
    }
}
