using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>Proves that <c>AllocZeroed</c> gives zero bytes whatever the memory held before.</summary>
public sealed unsafe class AllocZeroedTests : LeakCheckedTests
{
    [Fact]
    public void Memory_that_was_dirty_and_freed_comes_back_zero()
    {
        int reused = 0;
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            void* dirty = NativeAllocator.Alloc(bytes);
            new Span<byte>(dirty, (int)NativeAllocator.UsableSize(dirty)).Fill(0xFF);
            NativeAllocator.Free(dirty);
            void* zeroed = NativeAllocator.AllocZeroed(bytes);
            Pattern.CheckZero(zeroed, bytes);
            if (zeroed == dirty) reused++;
            NativeAllocator.Free(zeroed);
        }
        // Without reuse this would prove nothing. Up to the page layer the last block freed is the next one given out,
        // mostly.
        Assert.True(reused > Sizes.AcrossLayers.Length / 2,
            $"only {reused} of {Sizes.AcrossLayers.Length} blocks were used again");
    }

    [Fact]
    public void Many_blocks_of_one_size_are_all_zero_after_all_were_dirty()
    {
        foreach (nuint bytes in new nuint[] { 1, 16, 40, 256, 272, 1000, 5000, 40_000, 200_000, 700_000 })
        {
            nint[] blocks = new nint[Math.Min(2000, (int)(32 * Sizes.MiB / bytes))];
            for (int round = 0; round < 2; round++)
            {
                for (int i = 0; i < blocks.Length; i++)
                {
                    void* block = NativeAllocator.AllocZeroed(bytes);
                    Pattern.CheckZero(block, bytes);
                    new Span<byte>(block, (int)NativeAllocator.UsableSize(block)).Fill(0xA5);
                    blocks[i] = (nint)block;
                }
                foreach (nint block in blocks) NativeAllocator.Free((void*)block);
            }
        }
    }

    [Fact]
    public void Pages_that_were_used_by_other_sizes_come_back_zero()
    {
        // Small blocks dirty pages here and there; their slabs are taken down and the pages serve large blocks.
        nint[] small = new nint[30_000];
        for (int i = 0; i < small.Length; i++)
        {
            small[i] = (nint)NativeAllocator.Alloc(1000);
            if (i % 7 == 0) new Span<byte>((void*)small[i], 1000).Fill(0xEE);
        }
        foreach (nint block in small) NativeAllocator.Free((void*)block);
        NativeAllocator.ReleaseThreadCache();
        nint[] large = new nint[12];
        for (int i = 0; i < large.Length; i++)
        {
            nuint bytes = (nuint)(i + 1) * 700_001;
            large[i] = (nint)NativeAllocator.AllocZeroed(bytes);
            Pattern.CheckZero((void*)large[i], bytes);
        }
        foreach (nint block in large) NativeAllocator.Free((void*)block);
    }

    [Fact]
    public void Pages_that_a_block_grew_into_come_back_zero()
    {
        // all free pages are clean, and behind a new block there are enough of them to grow into
        NativeAllocator.Trim();
        nuint bytes = Sizes.MiB;
        byte* block = (byte*)NativeAllocator.AlignedAlloc(bytes, 32 * Sizes.MiB);
        int grownInPlace = 0;
        for (; bytes < 30 * Sizes.MiB; bytes += Sizes.MiB)
        {
            byte* resized = (byte*)NativeAllocator.Realloc(block, bytes + Sizes.MiB);
            if (resized == block) grownInPlace++;
            block = resized;
        }
        new Span<byte>(block, (int)bytes).Fill(0xDD);
        NativeAllocator.Free(block);
        Assert.True(grownInPlace > 20, $"the block grew in place {grownInPlace} times only, so little is proved");
        nint[] zeroed = new nint[30];
        for (int i = 0; i < zeroed.Length; i++)
        {
            zeroed[i] = (nint)NativeAllocator.AllocZeroed(Sizes.MiB);
            Pattern.CheckZero((void*)zeroed[i], Sizes.MiB);
        }
        foreach (nint each in zeroed) NativeAllocator.Free((void*)each);
    }

    [Fact]
    public void Memory_that_was_trimmed_comes_back_zero()
    {
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            void* dirty = NativeAllocator.Alloc(bytes);
            Pattern.Fill(dirty, bytes, 3);
            NativeAllocator.Free(dirty);
            NativeAllocator.Trim();
            void* zeroed = NativeAllocator.AllocZeroed(bytes);
            Pattern.CheckZero(zeroed, bytes);
            NativeAllocator.Free(zeroed);
        }
    }

    [Fact]
    public void Elements_and_types_are_zero_as_a_whole()
    {
        Guid* dirty = NativeAllocator.Alloc<Guid>(1000);
        new Span<Guid>(dirty, 1000).Fill(Guid.AllBitsSet);
        NativeAllocator.Free(dirty);
        Guid* many = NativeAllocator.AllocZeroed<Guid>(1000);
        Assert.Equal(-1, new Span<Guid>(many, 1000).IndexOfAnyExcept(Guid.Empty));
        new Span<Guid>(many, 1000).Fill(Guid.AllBitsSet);
        NativeAllocator.Free(many);
        void* elements = NativeAllocator.AllocZeroed(500, 32);
        Pattern.CheckZero(elements, 16_000);
        NativeAllocator.Free(elements);

        // Many, as one that was freed comes round only after others where threads share a line (see the slab layer's
        // return sides).
        nint[] dirtyLongs = [.. Longs(() => (nint)NativeAllocator.Alloc<long>())];
        foreach (nint each in dirtyLongs)
        {
            *(long*)each = -1;
            NativeAllocator.Free((void*)each);
        }
        nint[] longs = [.. Longs(() => (nint)NativeAllocator.AllocZeroed<long>())];
        Assert.True(longs.Intersect(dirtyLongs).Count() > longs.Length / 2,
            "hardly a block was used again, so little is proved");
        foreach (nint each in longs)
        {
            Assert.Equal(0, *(long*)each);
            NativeAllocator.Free((void*)each);
        }

        static IEnumerable<nint> Longs(Func<nint> make) => Enumerable.Range(0, 1000).Select(_ => make());
    }
}
