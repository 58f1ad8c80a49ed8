using NativeAlloc.Slabs;
using NativeAlloc.Tests.Pages;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>Shows that each object of a cache is counted once, wherever it is.</summary>
public sealed unsafe class CacheFiguresTests
{
    public CacheFiguresTests() => TestZone.Settle();

    [Fact]
    public void The_figures_of_a_cache_add_up()
    {
        int index = SizeClasses.Of(3000);
        ObjectCache* cache = CacheTable.CacheAt(index);
        CacheFigures before = CacheFigures.Of(index);
        void* one = MagazineExchange.AllocMiss(null, index, out _),
            two = MagazineExchange.AllocMiss(null, index, out _);
        CacheFigures between = CacheFigures.Of(index);
        Assert.Equal(before.Live + 2, between.Live);
        Assert.Equal(cache->Node(0)->Slabs.SlabCount * cache->ObjectsPerSlab,
            between.Live + between.InMagazines + between.InSlabs);
        MagazineExchange.FreeMiss(null, index, one);
        MagazineExchange.FreeMiss(null, index, two);
        Assert.Equal(before.Live, CacheFigures.Of(index).Live);
    }
}
