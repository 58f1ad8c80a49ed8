using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that a constructor runs once for each object, when its slab is made, and that whatever it does or throws
/// leaves the cache in order.
/// </summary>
public sealed unsafe class SlabCacheConstructorTests : LeakCheckedTests
{
    private const long Constructed = 0x600D_600D_600D_600D;

    // What the constructors below work with; tests run one after the other, and each sets what it needs.
    private static int s_calls, s_throwAt, s_ownObjects;
    private static SlabCache? s_other, s_self;
    private static readonly HashSet<nint> s_seen = [];
    private static readonly List<nint> s_inner = [];

    public SlabCacheConstructorTests()
    {
        s_calls = 0;
        s_throwAt = int.MaxValue;
        s_seen.Clear();
        s_inner.Clear();
    }

    [Fact]
    public void A_block_that_grows_out_of_a_cache_leaves_its_object_as_it_was_constructed()
    {
        // two to a slab, so that the slab stays; and so large that its pages would be moved
        const int Bytes = 260 * 1024;
        using SlabCache cache = new("constructed", Bytes, 4096, &Construct);
        void* first = cache.Alloc(), second = cache.Alloc();
        void* grown = NativeAllocator.Realloc(first, 4 * Bytes); // frees the object in the state in which it was
        Assert.Equal(Constructed, *(long*)grown);
        void* again = cache.Alloc();
        Assert.True(again == first);
        Assert.Equal(Constructed, *(long*)again);
        cache.Free(again);
        cache.Free(second);
        NativeAllocator.Free(grown);
    }

    [Theory]
    [InlineData(16)]
    [InlineData(200)]
    [InlineData(10_000)]
    [InlineData(65_552)]
    [InlineData(524_288)]
    public void It_runs_exactly_once_for_each_object_when_its_slab_is_made(int size)
    {
        using SlabCache cache = new("constructed", (nuint)size, constructor: &Construct);
        Assert.Equal(0, s_calls); // no slab yet
        List<nint> objects = [];
        for (int i = 0; i < Math.Max(20, 300_000 / size); i++)
        {
            nint each = (nint)cache.Alloc();
            Assert.Contains(each, s_seen);
            Assert.Equal(Constructed, *(long*)each);
            Assert.Equal(each, ((nint*)each)[1]);
            objects.Add(each);
        }
        int made = s_calls;
        Assert.Equal(made, s_seen.Count); // none of them twice
        foreach (nint each in objects) cache.Free((void*)each);
        // What was freed as it was constructed is constructed, without another call.
        nint[] again = new nint[Math.Min(objects.Count, 10)];
        int before = s_calls;
        for (int i = 0; i < again.Length; i++)
        {
            again[i] = (nint)cache.Alloc();
            Assert.Equal(Constructed, *(long*)again[i]);
        }
        if (size <= 32_768) Assert.Equal(before, s_calls); // larger ones went, slabs and all
        foreach (nint each in again) cache.Free((void*)each);
    }

    [Theory]
    [InlineData(200)]
    [InlineData(10_000)]
    [InlineData(65_552)]
    public void It_may_give_the_threads_cache_back_which_the_allocation_does_not_touch_any_more(int size)
    {
        using SlabCache cache = new("releases", (nuint)size, constructor: &ReleaseThreadCache);
        nint block = 0, one = 0, blockAfter = -1;
        TestThread.RunOnNew(() =>
        {
            NativeAllocator.Free(NativeAllocator.Alloc(16));
            block = (nint)CurrentThread.t_block;
            one = (nint)cache.Alloc();
            blockAfter = (nint)CurrentThread.t_block;
        });
        Assert.NotEqual(0, block);
        Assert.Equal(0, blockAfter);
        int index = LinearRegion.ClassOf(LinearRegion.PageIndexOf((void*)one));
        // it may be another thread's now
        Assert.Equal(CacheTable.NoMagazine, ThreadMagazines.Of((void*)block)->Loaded(index));
        Assert.Equal(1, CacheFigures.Of(index).Live);
        cache.Free((void*)one);
        NativeAllocator.Verify();
    }

    private static void ReleaseThreadCache(void* pointer) => NativeAllocator.ReleaseThreadCache();

    [Fact]
    public void It_runs_again_for_a_slab_that_went_and_came_back()
    {
        using SlabCache<Guid> cache = new(constructor: &ConstructGuid);
        Guid* one = cache.Alloc();
        int first = s_calls;
        *one = Guid.Empty; // spoilt
        cache.Free(one);
        Assert.True(cache.Shrink() > 0);
        Guid* two = cache.Alloc();
        Assert.Equal(2 * first, s_calls);
        Assert.Equal(Guid.AllBitsSet, *two);
        cache.Free(two);
    }

    [Theory]
    [InlineData(0, 1000)]
    [InlineData(1, 1000)]
    [InlineData(64, 1000)]
    [InlineData(300, 1000)]
    [InlineData(7, 100_000)]
    public void What_it_throws_comes_out_and_nothing_is_lost(int throwAt, int size)
    {
        NativeAllocator.Free(PageAllocator.GetFreePages(PageAllocator.MaxOrder)); // so that no section comes online
        NativeAllocator.Trim();
        nuint free = NativeAllocator.GetStatistics().FreePageBytes;
        nint blocks = 0;
        using (SlabCache cache = new("throwing", (nuint)size, constructor: &ConstructOrThrow))
        {
            s_throwAt = throwAt;
            List<nint> objects = [];
            for (int failures = 0; failures < 3;)
            {
                try
                {
                    objects.Add((nint)cache.Alloc());
                }
                catch (NotSupportedException error)
                {
                    Assert.Equal("object " + throwAt, error.Message);
                    failures++;
                    NativeAllocator.Verify();
                    if (failures == 3) s_throwAt = int.MaxValue;
                    else s_calls = 0; // it throws again at the same object of the next slab
                }
            }
            objects.Add((nint)cache.Alloc()); // the next one works
            Assert.Equal(objects.Count, objects.Distinct().Count());
            Assert.All(objects, each => Assert.Equal(Constructed, *(long*)each));
            InvalidOperationException error2 = Assert.Throws<InvalidOperationException>(cache.Dispose);
            Assert.Contains($" {objects.Count} of", error2.Message, StringComparison.Ordinal);
            foreach (nint each in objects) cache.Free((void*)each);
            blocks = objects.Count;
        }
        Assert.NotEqual(0, blocks);
        NativeAllocator.Trim();
        Assert.Equal(free, NativeAllocator.GetStatistics().FreePageBytes);
    }

    [Fact]
    public void Of_slabs_that_are_made_together_those_before_the_one_that_throws_stay_and_those_behind_it_go_back()
    {
        using SlabCache cache = new("many", 1024, constructor: &ConstructOrThrow); // 64 to a slab
        List<nint> objects = [];
        // Many, so that slabs are made by several at once where only fresh memory is left.
        NativeAllocator.Trim();
        for (int i = 0; i < 8000; i++)
        {
            s_throwAt = s_calls + 100; // in the second slab, if there are two at once; else the second time
            try
            {
                objects.Add((nint)cache.Alloc());
            }
            catch (NotSupportedException)
            {
                objects.Add((nint)cache.Alloc()); // of the slab that stayed
            }
        }
        NativeAllocator.Verify();
        Assert.Equal(objects.Count, objects.Distinct().Count());
        foreach (nint each in objects) Assert.Equal(Constructed, *(long*)each);
        foreach (nint each in objects) cache.Free((void*)each);
    }

    [Fact]
    public void It_may_allocate_from_another_cache()
    {
        using SlabCache other = new("other", 48);
        using SlabCache cache = new("outer", 500, constructor: &ConstructWithOther);
        s_other = other;
        nint[] objects = new nint[1000];
        for (int i = 0; i < objects.Length; i++) objects[i] = (nint)cache.Alloc();
        foreach (nint each in objects) *(nint*)*(nint*)each = each;
        foreach (nint each in objects) Assert.Equal(each, *(nint*)*(nint*)each); // each has an inner object of its own
        foreach (nint each in objects) cache.Free((void*)each);
        Assert.Equal(s_calls, s_inner.Distinct().Count());
        foreach (nint inner in s_inner) other.Free((void*)inner);
    }

    [Theory]
    [InlineData(500)]
    [InlineData(40_000)]
    public void It_may_allocate_from_the_very_cache_whose_slab_it_is_for(int size)
    {
        using SlabCache cache = new("self", (nuint)size, constructor: &ConstructWithSelf);
        s_self = cache;
        s_ownObjects = 3;
        List<nint> objects = [];
        for (int i = 0; i < 500; i++) objects.Add((nint)cache.Alloc());
        Assert.Equal(3, s_inner.Count);
        Assert.Equal(503, objects.Concat(s_inner).Distinct().Count());
        NativeAllocator.Verify();
        foreach (nint each in objects.Concat(s_inner))
        {
            Assert.Equal(Constructed, *(long*)each);
            cache.Free((void*)each);
        }
    }

    [Fact]
    public void It_cannot_dispose_of_the_cache_whose_slab_it_is_for()
    {
        using SlabCache cache = new("self", 500, constructor: &DisposeOfSelf);
        s_self = cache;
        void* one = cache.Alloc();
        Assert.NotEqual(0, s_calls);
        NativeAllocator.Verify();
        cache.Free(one);
    }

    private static void DisposeOfSelf(void* each)
    {
        if (Record.Exception(s_self!.Dispose) is InvalidOperationException) s_calls++;
    }

    private static void Construct(void* each)
    {
        s_calls++;
        if (!s_seen.Add((nint)each)) s_calls += 1_000_000; // twice: the counts will not fit
        ((long*)each)[0] = Constructed;
        ((nint*)each)[1] = (nint)each;
    }

    private static void ConstructGuid(Guid* each)
    {
        s_calls++;
        *each = Guid.AllBitsSet;
    }

    private static void ConstructOrThrow(void* each)
    {
        if (s_calls++ == s_throwAt) throw new NotSupportedException($"object {s_throwAt}");
        *(long*)each = Constructed;
    }

    private static void ConstructWithOther(void* each)
    {
        s_calls++;
        nint inner = (nint)s_other!.Alloc();
        s_inner.Add(inner);
        *(nint*)each = inner;
    }

    private static void ConstructWithSelf(void* each)
    {
        *(long*)each = Constructed;
        if (s_ownObjects == 0) return;
        s_ownObjects--; // first, as the allocation may need a slab and come here again
        s_inner.Add((nint)s_self!.Alloc());
    }
}
