using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Proves which addresses are told from objects of a magazine, in each size class and by any number, and that none is
/// there twice in a magazine that leaves its thread.
/// </summary>
public sealed unsafe class MagazineCheckTests
{
    public static TheoryData<int> Sizes =>
        [16, 24, 32, 48, 64, 80, 96, 112, 160, 224, 448, 1_000, 3_000, 8_192, 32_768];

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Objects_are_told_from_what_lies_between_them(int size)
    {
        void* block = NativeAllocator.Alloc((nuint)size);
        uint page = (uint)LinearRegion.PageIndexOf(block);
        ObjectCache* cache = CacheTable.CacheOfPage(page);
        nint slab = (nint)LinearRegion.AddressOf(cache->SlabOf(page));
        int objects = (int)cache->ObjectsPerSlab;
        for (int count = 1; count <= 11; count++)
        {
            nint[] slots = new nint[count];
            for (int i = 0; i < count; i++) slots[i] = slab + (nint)((i * 7 + count) % objects * cache->ObjectBytes);
            Assert.True(IsOnGrid(cache, slots));
            for (int i = 0; i < count; i++)
            {
                nint right = slots[i];
                foreach (nint wrong in (nint[])[right + 8, right + (nint)cache->ObjectBytes - 8, right - 8])
                {
                    slots[i] = wrong;
                    Assert.False(IsOnGrid(cache, slots), $"{size} bytes, slot {i} of {count}, offset {wrong - slab}");
                }
                slots[i] = right;
            }
        }
        NativeAllocator.Free(block);
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void What_lies_behind_the_last_object_of_a_slab_is_none(int size)
    {
        void* block = NativeAllocator.Alloc((nuint)size);
        uint page = (uint)LinearRegion.PageIndexOf(block);
        ObjectCache* cache = CacheTable.CacheOfPage(page);
        nint slab = (nint)LinearRegion.AddressOf(cache->SlabOf(page));
        nint end = slab + (nint)(cache->ObjectsPerSlab * (nuint)cache->ObjectBytes);
        Assert.True(IsOnGrid(cache, [end - (nint)cache->ObjectBytes]));
        // An offset is one in its slab, so what ends with the slab is the next slab's first object.
        Assert.Equal((end - slab) % (nint)(cache->OffsetMask + 1U) == 0, IsOnGrid(cache, [end]));
        NativeAllocator.Free(block);
    }

    [Fact]
    public void A_block_that_is_there_twice_is_found_on_the_way_to_the_depot()
    {
        ChildProcess child = ChildProcess.RunHost(TwiceToDepot.Name);
        Assert.NotEqual(0, child.ExitCode);
        Assert.DoesNotContain(TwiceToDepot.Passed, child.Output, StringComparison.Ordinal);
        Assert.Contains("the thread's magazine has it twice", child.Errors, StringComparison.Ordinal);
    }

    private static bool IsOnGrid(ObjectCache* cache, nint[] slots)
    {
        uint* hashes = stackalloc uint[slots.Length];
        fixed (nint* first = slots) return MagazineCheck.TryHash(cache, first, slots.Length, hashes);
    }
}
