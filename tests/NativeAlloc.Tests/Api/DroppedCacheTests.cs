using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Slabs;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that a slab cache that was dropped without being disposed of is shown as that, and taken down once it has no
/// live objects.
/// </summary>
public sealed unsafe class DroppedCacheTests : LeakCheckedTests
{
    [Fact]
    public void It_is_marked_in_the_report_and_goes_when_its_last_object_is_freed()
    {
        void* left = null;
        Drop("dropped-one", ref left);
        MakeAnother();
        Assert.Contains("dropped-one(dropped)", Report(), StringComparison.Ordinal);
        NativeAllocator.Free(left);
        MakeAnother(); // without a collection nothing is looked for
        Collect();
        MakeAnother();
        Assert.False(IsThere());

        static bool IsThere() => Report().Contains("dropped-one", StringComparison.Ordinal);
    }

    [Fact]
    public void More_can_be_dropped_than_there_can_be()
    {
        for (int i = 0; i < 300; i++)
        {
            void* left = null;
            Drop($"dropped-{i}", ref left, collect: i % 50 == 0);
            NativeAllocator.Free(left);
        }
        Collect();
        MakeAnother();
        Assert.DoesNotContain("(dropped)", Report(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_finalizer_may_use_a_cache_that_nothing_else_has()
    {
        using ManualResetEventSlim entered = new(), mayGoOn = new();
        TestThread.RunOnNew(() => _ = new Session(entered, mayGoOn));
        GC.Collect();
        bool hasBegun = entered.Wait(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        Assert.True(hasBegun, "the finalizer has begun");
        using SlabCache second = new("second", 4096);
        mayGoOn.Set();
        GC.WaitForPendingFinalizers();
        using SlabCache third = new("third", 64);
        void* large = second.Alloc(), small = third.Alloc();
        Assert.Equal(((nuint)4096, (nuint)64), (NativeAllocator.UsableSize(large), NativeAllocator.UsableSize(small)));
        second.Free(large);
        third.Free(small);
    }

    [Fact]
    public void Where_another_thread_was_faster_the_cache_that_it_made_in_its_place_stays()
    {
        void* left = null;
        Drop("dropped-twice", ref left);
        NativeAllocator.Free(left);
        Collect();
        SlabCache? other = null;
        int reached = 0;
        using (new WhileReached(_ =>
        {
            if (reached++ == 0) TestThread.RunOnNew(() => other = CollectAndMake()); // found dropped, not locked yet
        }))
        {
            MakeAnother();
        }
        Assert.Contains("in-its-place", Report(), StringComparison.Ordinal);
        Assert.DoesNotContain("dropped-twice", Report(), StringComparison.Ordinal);
        nint[] blocks = [.. Enumerable.Range(0, 300).Select(_ => (nint)other!.Alloc())];
        foreach (nint block in blocks) other!.Free((void*)block);
        other!.Dispose();
    }

    private static SlabCache CollectAndMake()
    {
        GC.Collect();
        return new SlabCache("in-its-place", 208);
    }

    // Its owner may be between two steps of a free on the fast path.
    [Fact]
    public void The_magazines_of_one_that_has_live_objects_are_left_alone()
    {
        using TestThread thread = new();
        nint left = 0;
        ThreadMagazines* magazines = null;
        int index = 0;
        thread.Run(() =>
        {
            (left, index) = FreeAllButOne();
            magazines = ThreadMagazines.Of(NativeAllocator.GetBlock());
        });
        CacheRelease.DrainIdleThreads(all: true);
        Assert.True(magazines->Raised.Contains(index), "the recall has raised the floor");
        nint top = magazines->Loaded(index);
        Collect();
        MakeAnother();
        Assert.Equal(top, magazines->Loaded(index));
        thread.Run(() => NativeAllocator.Free((void*)left));
        Collect();
        MakeAnother();
        Assert.DoesNotContain("dropped-with", Report(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_free_does_not_move_magazines_while_the_cache_is_being_taken_down()
    {
        using SlabCache cache = new("taken-down", 100);
        using LooseThreadBlock thread = new();
        void* block = cache.Alloc();
        int index = IndexOf(block), waits = 0;
        CacheTable.CacheAt(index)->Close();
        using (new WhileReached(isWaiting =>
        {
            if (!isWaiting || waits++ != 0) return;
            Assert.Equal(CacheTable.NoMagazine, thread.Magazines->Loaded(index));
            CacheTable.CacheAt(index)->Open(); // as there was an object in use
        }))
        {
            thread.Free(index, (nint)block);
        }
        Assert.Equal(1, waits);
        thread.Drain();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static (nint Left, int Index) FreeAllButOne()
    {
        SlabCache cache = new("dropped-with-live", 100);
        nint[] objects = [.. Enumerable.Range(0, 11).Select(_ => (nint)cache.Alloc())];
        foreach (nint block in objects[1..]) cache.Free((void*)block);
        return (objects[0], IndexOf((void*)objects[0]));
    }

    private static int IndexOf(void* block) =>
        CacheTable.UserCacheOfPage(LinearRegion.PageIndexOf(block))->Index;

    [SuppressMessage("Design", "CA1001", Justification = "Its end without Dispose is what is tested.")]
    private sealed class Session(ManualResetEventSlim entered, ManualResetEventSlim mayGoOn)
    {
        private readonly SlabCache _cache = new("of-session", 100);

        ~Session()
        {
            entered.Set();
            mayGoOn.Wait(TimeSpan.FromSeconds(30));
            _cache.Dispose();
        }
    }

    private static void Drop(string name, ref void* left, bool collect = true)
    {
        nint pointer = 0;
        TestThread.RunOnNew(() => // where no register or slot keeps it
        {
            SlabCache cache = new(name, 100);
            for (int i = 0; i < 500; i++) cache.Free(cache.Alloc());
            pointer = (nint)cache.Alloc();
        });
        left = (void*)pointer;
        if (collect) Collect();
    }

    private static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
    }

    private static void MakeAnother()
    {
        using SlabCache another = new("another", 100);
    }

    private static string Report()
    {
        using StringWriter writer = new();
        AllocatorReport.WriteSlabInfo(writer);
        return writer.ToString();
    }
}
