using System.Globalization;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that slab caches keep their promises when threads allocate, free, come and go, and make and dispose of caches
/// all at once.
/// </summary>
[Trait("Category", "Slow")]
public sealed unsafe class SlabCacheThreadTests : LeakCheckedTests
{
    [Fact]
    public void An_object_may_be_freed_on_another_thread()
    {
        using SlabCache cache = new("passed", 96);
        using TestThread other = new();
        for (int round = 0; round < 50; round++)
        {
            nint[] objects = new nint[1000];
            for (int i = 0; i < objects.Length; i++)
            {
                objects[i] = (nint)cache.Alloc();
                Pattern.Fill((void*)objects[i], 96, (ulong)i);
            }
            Assert.Equal(objects.Length, objects.Distinct().Count());
            other.Run(() =>
            {
                for (int i = 0; i < objects.Length; i++)
                {
                    Pattern.Check((void*)objects[i], 96, (ulong)i);
                    if (i % 2 == 0) cache.Free((void*)objects[i]);
                    else NativeAllocator.Free((void*)objects[i]);
                }
            });
        }
    }

    [Fact]
    public void Eight_threads_that_share_caches_never_share_an_object()
    {
        const int Threads = 8, Slots = 512, Steps = 20_000;
        nuint[] sizes = [24, 200, 5000, 65_600];
        SlabCache[] caches = [.. sizes.Select((size, i) =>
            new SlabCache($"stress-{i}", size, constructor: i == 1 ? &MarkAsUnused : null))];
        nint[][] slots = [.. sizes.Select(_ => new nint[Slots])];
        long lastId = 0;
        TestThread.RunTogether(Threads, number =>
        {
            Random random = new(number);
            for (int step = 0; step < Steps; step++)
            {
                int kind = random.Next(100) is var dice && dice < 60 ? 0 : dice < 85 ? 1 : dice < 97 ? 2 : 3;
                nuint bytes = sizes[kind];
                if (random.Next(3000) == 0) caches[kind].Shrink();
                if (random.Next(5000) == 0) NativeAllocator.ReleaseThreadCache();
                if (random.Next(20_000) == 0) NativeAllocator.Trim();
                nint next = 0;
                if (random.Next(3) != 0)
                {
                    next = (nint)caches[kind].Alloc();
                    if (kind == 1 && *(long*)next != -1)
                        throw new InvalidOperationException("an object is neither as constructed nor as it was freed");
                    ulong id = (ulong)Interlocked.Increment(ref lastId);
                    *(ulong*)next = id;
                    Pattern.Fill((byte*)next + 8, bytes - 8, id);
                }
                nint old = Interlocked.Exchange(ref slots[kind][random.Next(Slots)], next);
                if (old == 0) continue;
                Pattern.Check((byte*)old + 8, bytes - 8, *(ulong*)old);
                *(long*)old = -1; // whoever frees it a second time finds no pattern
                if (random.Next(2) == 0) caches[kind].Free((void*)old);
                else NativeAllocator.Free((void*)old);
            }
        });
        for (int kind = 0; kind < sizes.Length; kind++)
        {
            foreach (nint left in slots[kind])
            {
                if (left == 0) continue;
                Pattern.Check((byte*)left + 8, sizes[kind] - 8, *(ulong*)left);
                caches[kind].Free((void*)left);
            }
            caches[kind].Dispose();
        }
    }

    [Fact]
    public void Caches_come_and_go_on_several_threads_while_others_look_on()
    {
        const int Makers = 4, Watchers = 2, Caches = 100;
        int working = Makers;
        TestThread.RunTogether(Makers + Watchers, number =>
        {
            Random random = new(number);
            if (number >= Makers)
            {
                while (Volatile.Read(ref working) != 0) Look(random);
                return;
            }
            try
            {
                for (int i = 0; i < Caches; i++) Make(random, number);
            }
            finally
            {
                Interlocked.Decrement(ref working);
            }
        });

        static void Look(Random random)
        {
            switch (random.Next(5))
            {
                case 0: _ = NativeAllocator.GetStatistics(); break;
                case 1: NativeAllocator.Verify(); break;
                case 2: AllocatorReport.WriteSlabInfo(TextWriter.Null); break;
                case 3: NativeAllocator.Free(NativeAllocator.Alloc((nuint)random.Next(100_000))); break;
                default: NativeAllocator.Trim(); break;
            }
        }

        static void Make(Random random, int number)
        {
            nuint size = (nuint)random.Next(1, 20_000);
            using SlabCache cache = new(string.Create(CultureInfo.InvariantCulture, $"churn-{number}"), size);
            nint[] objects = new nint[random.Next(1, 100)];
            for (int i = 0; i < objects.Length; i++)
            {
                objects[i] = (nint)cache.Alloc();
                Pattern.Fill((void*)objects[i], size, (ulong)objects[i]);
            }
            foreach (nint each in objects)
            {
                Pattern.Check((void*)each, size, (ulong)each);
                cache.Free((void*)each);
            }
        }
    }

    [Fact]
    public void A_cache_is_not_taken_down_while_somebody_puts_its_objects_back()
    {
        SlabCache cache = new("visited", 100);
        void* one = cache.Alloc();
        ObjectCache* slabs = CacheTable.CacheAt(LinearRegion.ClassOf(LinearRegion.PageIndexOf(one)));
        Assert.True(slabs->TryEnter()); // as a thread does that trims
        cache.Free(one);
        using TestThread other = new();
        bool gone = false;
        other.Begin(() =>
        {
            cache.Dispose();
            Volatile.Write(ref gone, true);
        });
        Thread.Sleep(50);
        Assert.False(Volatile.Read(ref gone));
        Assert.True(CacheTable.Exists(slabs->Index));
        slabs->Leave();
        other.Finish();
        Assert.True(gone);
        Assert.False(slabs->TryEnter()); // there is none to visit
    }

    [Fact]
    public void A_cache_that_could_not_be_disposed_of_is_emptied_with_all_others_again()
    {
        using SlabCache cache = new("kept", 100);
        void* one = cache.Alloc(), two = cache.Alloc();
        cache.Free(two);
        Assert.Throws<InvalidOperationException>(cache.Dispose);
        ObjectCache* slabs = CacheTable.CacheAt(LinearRegion.ClassOf(LinearRegion.PageIndexOf(one)));
        Assert.NotEqual(0, CacheFigures.Of(slabs->Index).InMagazines);
        NativeAllocator.Trim();
        Assert.Equal((0L, 1L), (CacheFigures.Of(slabs->Index).InMagazines, CacheFigures.Of(slabs->Index).Live));
        cache.Free(one);
    }

    [Fact]
    public void Threads_that_come_and_go_leave_nothing_of_a_cache_behind()
    {
        const int Generations = 60, Together = 4;
        using SlabCache cache = new("generations", 300);
        nint[] left = new nint[Together * 100];
        for (int generation = 0; generation < Generations; generation++)
        {
            TestThread.RunTogether(Together, number =>
            {
                for (int i = 0; i < 100; i++)
                {
                    ref nint slot = ref left[number * 100 + i];
                    if (slot != 0)
                    {
                        Pattern.Check((void*)slot, 300, (ulong)slot); // of a thread that has ended
                        cache.Free((void*)slot);
                    }
                    slot = (nint)cache.Alloc();
                    Pattern.Fill((void*)slot, 300, (ulong)slot);
                }
            });
            Assert.Equal(left.Length, left.Distinct().Count());
        }
        Assert.Contains($" {left.Length} of", Assert.Throws<InvalidOperationException>(cache.Dispose).Message,
            StringComparison.Ordinal);
        foreach (nint each in left) cache.Free((void*)each);
    }

    [Fact]
    public void Any_sequence_of_steps_on_two_threads_does_what_the_model_does() => Properties.ForAllSequences(
        Values.Pairs(
            Values.OneOf("alloc", "alloc", "alloc", "free", "free", "free by any", "shrink", "release", "trim",
                "dispose", "resize"),
            Values.Between(0, 100_000)),
        200,
        steps =>
        {
            nuint[] sizes = [16, 40, 200, 3000, 70_000];
            using TestThread other = new();
            SlabCache[] caches = [.. sizes.Select(size => new SlabCache($"model-{size}", size))];
            List<(nint Address, int Cache)> live = [];
            foreach ((string step, int number) in steps)
            {
                if (number % 2 == 0) Do(step, number / 2);
                else other.Run(() => Do(step, number / 2));
            }
            NativeAllocator.Verify();
            foreach ((nint address, int cache) in live) caches[cache].Free((void*)address);
            foreach (SlabCache cache in caches) cache.Dispose();

            void Do(string step, int number)
            {
                int kind = number % sizes.Length, at = live.Count == 0 ? -1 : number % live.Count;
                SlabCache cache = caches[kind];
                switch (step)
                {
                    case "alloc":
                        for (int i = 0; i < number % 60; i++)
                        {
                            nint address = (nint)cache.Alloc();
                            Assert.DoesNotContain((address, kind), live);
                            Pattern.Fill((void*)address, sizes[kind], (ulong)address);
                            live.Add((address, kind));
                        }
                        break;
                    case "free" or "free by any" when at >= 0:
                        for (int i = 0; i < number % 60 && live.Count != 0; i++)
                        {
                            (nint address, int of) = TakeOut((number + i * 7) % live.Count);
                            if (step == "free") caches[of].Free((void*)address);
                            else NativeAllocator.Free((void*)address);
                        }
                        break;
                    case "resize" when at >= 0:
                        (nint old, int home) = TakeOut(at);
                        byte* moved = (byte*)NativeAllocator.Realloc((void*)old, 2 * sizes[home] + 100);
                        Pattern.Check(moved, sizes[home], (ulong)old);
                        NativeAllocator.Free(moved);
                        break;
                    case "shrink":
                        Assert.True(cache.Shrink() >= 0);
                        break;
                    case "release":
                        NativeAllocator.ReleaseThreadCache();
                        break;
                    case "trim":
                        NativeAllocator.Trim();
                        break;
                    case "dispose":
                        int count = live.Count(each => each.Cache == kind);
                        if (count != 0)
                        {
                            Assert.Contains($" {count} of its objects", Assert.Throws<InvalidOperationException>(
                                cache.Dispose).Message, StringComparison.Ordinal);
                            break;
                        }
                        cache.Dispose();
                        Assert.Throws<ObjectDisposedException>(() => { cache.Alloc(); });
                        caches[kind] = new SlabCache($"model-{sizes[kind]}", sizes[kind]);
                        break;
                }
            }

            (nint Address, int Cache) TakeOut(int at)
            {
                (nint address, int cache) = live[at];
                live[at] = live[^1];
                live.RemoveAt(live.Count - 1);
                Assert.Equal((sizes[cache] + 15) & ~(nuint)15, NativeAllocator.UsableSize((void*)address));
                Pattern.Check((void*)address, sizes[cache], (ulong)address);
                return (address, cache);
            }
        },
        runs: 30);

    private static void MarkAsUnused(void* each) => *(long*)each = -1;
}
