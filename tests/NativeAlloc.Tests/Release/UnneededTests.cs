using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Pages;
using NativeAlloc.Tests.Slabs;
using Xunit;

namespace NativeAlloc.Tests.Release;

/// <summary>
/// Shows what a period's end takes from the caches of a program at work: the magazines that lay in a depot all the time
/// and the slabs that were free all the time, and no more.
/// </summary>
public sealed unsafe class UnneededTests : IDisposable
{
    private const nuint ObjectBytes = 96;

    private readonly TestThread _allocates = new(), _frees = new();

    public UnneededTests() => Reclaimer.GiveBack();

    public void Dispose()
    {
        _allocates.Dispose();
        _frees.Dispose();
        Reclaimer.GiveBack();
        CacheTable.Verify();
        TestZone.Normal->Verify();
    }

    [Fact]
    public void Magazines_that_lay_in_the_depot_for_a_whole_period_go_back_to_their_slabs()
    {
        ObjectCache* cache = CacheTable.CacheAt(SizeClasses.Of(ObjectBytes));
        Depot* depot = &cache->Node(0)->Depot;
        // One thread's frees are full magazines for the other, so that the depot comes to keep many.
        for (int round = 0; round < 4; round++) Pass(4000);
        UseOne(); // its magazine has an object from here on, and the next use needs none of the depot
        int full = depot->FullCount;
        Assert.True(full >= 4, $"the depot has {full} full magazines, so nothing is shown");
        Reclaimer.GiveBackUnneeded(periodMilliseconds: 1000);
        Assert.Equal(full, depot->FullCount); // they came in this period
        UseOne();
        Reclaimer.GiveBackUnneeded(periodMilliseconds: 1000);
        Assert.Equal((0, 0), (depot->FullCount, depot->EmptyCount));
        CacheTable.Verify();
        Pass(4000); // and goes on
    }

    [Fact]
    public void Magazines_that_were_needed_in_a_period_stay()
    {
        ObjectCache* cache = CacheTable.CacheAt(SizeClasses.Of(ObjectBytes));
        Depot* depot = &cache->Node(0)->Depot;
        for (int round = 0; round < 4; round++) Pass(4000);
        Reclaimer.GiveBackUnneeded(periodMilliseconds: 1000);
        int left = Pass(4000); // takes most of them, and gives them back
        int full = depot->FullCount;
        Assert.InRange(left, 0, full - 1);
        Reclaimer.GiveBackUnneeded(periodMilliseconds: 1000);
        Assert.InRange(depot->FullCount, full - left, full);
    }

    [Theory]
    [InlineData(2000, true)] // 4 MiB, of which 3 were not needed
    [InlineData(120, false)] // 240 KiB
    public void Slabs_in_use_give_holes_back_where_much_of_them_was_free_for_a_whole_period(int count, bool gives)
    {
        using SlabCache cache = new("holes", 2048);
        int index = CacheChain.All().Single(one => one.Name == "holes").Index; // other caches have holes of their own
        nint[] objects = new nint[count];
        for (int i = 0; i < count; i++) objects[i] = (nint)cache.Alloc();
        for (int i = 0; i < count; i++)
            if (i % 8 > 1) cache.Free((void*)objects[i]);
        cache.Shrink(); // out of the magazines
        Reclaimer.GiveBackUnneeded(periodMilliseconds: 1000);
        Assert.Equal(0, CacheFigures.Of(index).PurgedBytes); // they came in this period
        Reclaimer.GiveBackUnneeded(periodMilliseconds: 1000);
        long purged = CacheFigures.Of(index).PurgedBytes;
        Assert.InRange((long)NativeAllocator.GetStatistics().SlabPurgedBytes, purged, long.MaxValue);
        Assert.Equal(gives, purged != 0);
        if (gives) Assert.InRange(purged, 2L << 20, 3L << 20);
        for (int i = 0; i < count; i++)
            if (i % 8 <= 1) cache.Free((void*)objects[i]);
    }

    [Fact]
    public void Free_slabs_are_unneeded_if_so_many_were_free_at_any_time()
    {
        const uint PerSlab = 4;
        PageFrame* frames = stackalloc PageFrame[8];
        NodeSlabs slabs = default;
        slabs.Initialize();
        for (uint slab = 0; slab < 4; slab++)
        {
            frames[slab].FreeObjects = (ushort)PerSlab;
            slabs.Add(frames, slab, NodeSlabs.Free);
        }
        Assert.Equal(0u, slabs.ReadAndResetUnneededSlabs()); // they are new
        frames[1].FreeObjects = 2;
        slabs.Place(frames, 1, PerSlab);
        frames[1].FreeObjects = (ushort)PerSlab;
        slabs.Place(frames, 1, PerSlab);
        Assert.Equal(3u, slabs.ReadAndResetUnneededSlabs());
        Assert.Equal(4u, slabs.ReadAndResetUnneededSlabs());
        slabs.Remove(frames, 2);
        Assert.Equal(3u, slabs.ReadAndResetUnneededSlabs());
    }

    private void UseOne() => _allocates.Run(() => NativeAllocator.Free(NativeAllocator.Alloc(ObjectBytes)));

    // Returns how many full magazines the depot had left when all were allocated.
    private int Pass(int count)
    {
        nint[] objects = new nint[count];
        _allocates.Run(() =>
        {
            for (int i = 0; i < count; i++) objects[i] = (nint)NativeAllocator.Alloc(ObjectBytes);
        });
        int left = CacheTable.CacheAt(SizeClasses.Of(ObjectBytes))->Node(0)->Depot.FullCount;
        _frees.Run(() =>
        {
            foreach (nint each in objects) NativeAllocator.Free((void*)each);
        });
        return left;
    }
}
