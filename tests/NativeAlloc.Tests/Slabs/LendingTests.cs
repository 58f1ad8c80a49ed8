using System.Numerics;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

public sealed unsafe class LendingTests
{
    // Classes whose objects no other test keeps many of.
    private const uint Smaller = 1664, Larger = 1792;

    // A depot that threads have shared keeps 1 MiB of those that are freed, and slabs get the rest.
    private const int Objects = 4000;

    [Fact]
    public void A_class_lends_only_what_is_as_aligned_and_at_most_twice_as_large()
    {
        for (int smaller = 1; smaller < SizeClasses.Count; smaller++)
        {
            nuint bytes = SizeClasses.BytesOf(smaller), alignment = (nuint)1 << BitOperations.TrailingZeroCount(bytes);
            for (int larger = 1; larger < SizeClasses.Count; larger++)
            {
                nuint lent = SizeClasses.BytesOf(larger);
                bool canLend = lent > bytes && lent <= 2 * bytes && lent % alignment == 0;
                Assert.Equal(canLend, Lending.CanLend((uint)lent, (uint)bytes));
            }
        }
    }

    [Fact]
    public void A_class_that_would_grow_uses_free_objects_of_a_larger_one_first()
    {
        ObjectCache* smaller = CacheTable.CacheAt(SizeClasses.Of(Smaller));
        ObjectCache* larger = CacheTable.CacheAt(SizeClasses.Of(Larger));
        List<nint> kept = [], freed = [], blocks = [];
        for (int i = 0; i < Objects; i++)
            ((i & 1) == 0 ? kept : freed).Add((nint)NativeAllocator.Alloc(Larger));
        foreach (nint block in freed) NativeAllocator.Free((void*)block);
        // Where other tests have had many threads, a thread's first object comes out of a slab, without lending.
        blocks.Add((nint)NativeAllocator.Alloc(Smaller));
        uint slabs = smaller->Node(0)->Slabs.SlabCount;
        nint lent;
        do blocks.Add(lent = (nint)NativeAllocator.Alloc(Smaller));
        while (NativeAllocator.UsableSize((void*)lent) == Smaller && smaller->Node(0)->Slabs.SlabCount == slabs);
        Assert.Equal(slabs, smaller->Node(0)->Slabs.SlabCount);
        Assert.Equal(Larger, NativeAllocator.UsableSize((void*)lent));
        Assert.Equal(larger->Index, LinearRegion.ClassOf(LinearRegion.PageIndexOf((void*)lent)));
        foreach (nint block in kept.Concat(blocks)) NativeAllocator.Free((void*)block);
        NativeAllocator.ReleaseThreadCache();
        NativeAllocator.Verify();
    }
}
