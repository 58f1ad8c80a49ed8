using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that <c>UsableSize</c> is what a block really has, and that it wastes no more than an eighth.
/// </summary>
public sealed unsafe class UsableSizeTests : LeakCheckedTests
{
    private const nuint FirstBounded = 129, LastBounded = 8 * Sizes.MiB;

    [Fact]
    public void A_block_has_at_least_what_was_asked_for_and_all_of_it_may_be_used()
    {
        List<(nint Address, nuint Usable)> blocks = [];
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            for (int i = 0; i < 3; i++)
            {
                void* block = NativeAllocator.Alloc(bytes);
                nuint usable = NativeAllocator.UsableSize(block);
                Assert.True(usable >= Math.Max(bytes, 1));
                Pattern.Fill(block, usable, (ulong)blocks.Count);
                blocks.Add(((nint)block, usable));
            }
        }
        for (int i = 0; i < blocks.Count; i++) Pattern.Check((void*)blocks[i].Address, blocks[i].Usable, (ulong)i);
        foreach ((nint address, _) in blocks) NativeAllocator.Free((void*)address);
    }

    [Fact]
    public void Above_128_bytes_no_more_than_an_eighth_of_the_request_is_wasted()
    {
        // Every size up to 16 KiB, then ever larger steps of odd numbers, and the sizes just above every power of two
        // and every eighth of it.
        for (nuint bytes = FirstBounded; bytes <= LastBounded; bytes += bytes < 16 * Sizes.KiB ? 1 : bytes / 509)
            CheckWaste(bytes);
        for (nuint power = 128; power < LastBounded; power *= 2)
            for (nuint step = 0; step < 8; step++) CheckWaste(power + power / 8 * step + 1);
    }

    private static void CheckWaste(nuint bytes)
    {
        nuint usable = OwnUsableSize(bytes);
        Assert.True(usable >= bytes && (usable - bytes) * 8 <= bytes,
            $"{bytes} bytes have {usable}: {100.0 * (usable - bytes) / bytes:f2} % wasted");
    }

    // The size of a block that is not lent: what a larger class lends, after tests that have left it much, is larger on
    // purpose.
    private static nuint OwnUsableSize(nuint bytes)
    {
        List<nint> blocks = [(nint)NativeAllocator.Alloc(bytes)];
        while (IsLent(blocks[^1], bytes)) blocks.Add((nint)NativeAllocator.Alloc(bytes));
        nuint usable = NativeAllocator.UsableSize((void*)blocks[^1]);
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
        return usable;
    }

    private static bool IsLent(nint block, nuint bytes)
    {
        nuint page = LinearRegion.PageIndexOf((void*)block);
        ObjectCache* cache = page < LinearRegion.OnlinePages ? CacheTable.CacheOfPage(page) : null;
        return cache != null && cache->Index != SizeClasses.Of(bytes)
            && Lending.CanLend(cache->ObjectBytes, (uint)SizeClasses.BytesOf(SizeClasses.Of(bytes)));
    }

    [Fact]
    public void Up_to_128_bytes_a_block_is_the_next_multiple_of_16()
    {
        for (nuint bytes = 1; bytes <= 128; bytes++) Assert.Equal((bytes + 15) / 16 * 16, OwnUsableSize(bytes));
    }

    [Fact]
    public void No_pointer_into_a_block_or_behind_the_last_of_a_slab_has_a_size_or_can_be_resized()
    {
        foreach (nuint bytes in (nuint[])[16, 48, 112, 1000, 5000, 30_000, 40_000, 300_000])
        {
            byte* block = (byte*)NativeAllocator.Alloc(bytes);
            nuint usable = NativeAllocator.UsableSize(block), slab = (nuint)block & ~(nuint)0xFFFF;
            // Where the last object of a slab of one page ends, and another would not fit any more.
            nuint behind = slab + 0x10000 / usable * usable;
            List<nint> wrong = [(nint)block + 1, (nint)block + 8, (nint)(block + usable - 1)];
            if (usable <= 5120 && 0x10000 % usable != 0) wrong.Add((nint)behind);
            foreach (nint each in wrong)
            {
                Assert.Throws<ArgumentException>(() => NativeAllocator.UsableSize((void*)each));
                Assert.Throws<ArgumentException>(() => NativeAllocator.Realloc((void*)each, bytes));
                Assert.Throws<ArgumentException>(() =>
                {
                    void* moved = (void*)each;
                    NativeAllocator.TryRealloc(ref moved, bytes);
                });
            }
            NativeAllocator.Free(block);
        }
    }

    [Fact]
    public void Null_has_no_bytes() => Assert.Equal((nuint)0, NativeAllocator.UsableSize(null));
}
