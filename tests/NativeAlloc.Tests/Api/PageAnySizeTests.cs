using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that the allocator of any size takes blocks of pages as its own: it frees, resizes, measures and counts them.
/// </summary>
public sealed unsafe class PageAnySizeTests : LeakCheckedTests
{
    private const nuint PageBytes = PageAllocator.PageSize;

    [Fact]
    public void A_block_of_pages_is_owned_and_usable_to_its_last_byte()
    {
        for (int order = 0; order <= PageAllocator.MaxOrder; order++)
        {
            nuint bytes = PageBytes << order;
            byte* block = (byte*)PageAllocator.GetFreePages(order);
            Assert.Equal(bytes, NativeAllocator.UsableSize(block));
            foreach (nuint offset in new nuint[] { 0, 1, bytes / 2, bytes - 1 })
                Assert.True(NativeAllocator.Owns(block + offset));
            foreach (nuint offset in new nuint[] { 1, bytes / 2, bytes - 1 })
            {
                ArgumentException error =
                    Assert.Throws<ArgumentException>(() => { NativeAllocator.UsableSize(block + offset); });
                Assert.Contains($"0x{(nuint)block:x}.", error.Message, StringComparison.Ordinal);
            }
            PageAllocator.FreePages(block, order);
            NativeAllocator.ReleaseThreadCache();
            Assert.False(NativeAllocator.Owns(block));
            Assert.Throws<ArgumentException>(() => { NativeAllocator.UsableSize(block); });
            Assert.Throws<ArgumentException>(() => { NativeAllocator.Realloc(block, 100); });
        }
    }

    [Fact]
    public void A_block_of_pages_that_is_resized_keeps_its_contents()
    {
        foreach (int order in new[] { 0, 1, 2, 4, 7, 10 })
        {
            nuint bytes = PageBytes << order;
            foreach (nuint to in new nuint[] { 1, 100, 5000, bytes / 2 - 1, bytes / 2 + 1, bytes - 1, bytes, bytes + 1,
                3 * bytes, Sizes.LargestPages, Sizes.LargestPages + bytes })
            {
                foreach (bool isExact in new[] { false, true })
                {
                    void* block = isExact ? PageAllocator.AllocExact(bytes) : PageAllocator.GetFreePages(order);
                    PagePattern.Fill(block, bytes, 2);
                    void* resized = NativeAllocator.Realloc(block, to);
                    ShouldHold(resized, bytes, to);
                    NativeAllocator.Free(resized);
                }
            }
        }
    }

    [Fact]
    public void A_block_of_pages_that_stays_where_it_is_can_still_be_freed_as_such()
    {
        for (int order = 0; order <= PageAllocator.MaxOrder; order++)
        {
            nuint bytes = PageBytes << order;
            void* block = PageAllocator.GetFreePages(order);
            Assert.True(NativeAllocator.Realloc(block, bytes - 1) == block);
            Assert.True(NativeAllocator.AlignedRealloc(block, bytes, PageBytes) == block);
            PageAllocator.FreePages(block, order);
        }
    }

    [Fact]
    public void A_block_of_pages_can_be_resized_to_another_alignment()
    {
        foreach (nuint alignment in new nuint[] { 16, 4096, PageBytes, Sizes.MiB, Sizes.LargestPages,
            2 * Sizes.LargestPages })
        {
            foreach (nuint to in new nuint[] { 100, PageBytes, 3 * Sizes.MiB })
            {
                foreach (bool isExact in new[] { false, true })
                {
                    void* block = isExact ? PageAllocator.AllocExact(3 * PageBytes) : PageAllocator.GetFreePages(2);
                    nuint bytes = NativeAllocator.UsableSize(block);
                    PagePattern.Fill(block, bytes, 2);
                    void* resized = NativeAllocator.AlignedRealloc(block, to, alignment);
                    Assert.Equal((nuint)0, (nuint)resized % alignment);
                    ShouldHold(resized, bytes, to);
                    NativeAllocator.Free(resized);
                }
            }
        }
    }

    [Fact]
    public void Live_bytes_and_blocks_count_pages_of_every_kind()
    {
        AllocatorStatistics start = NativeAllocator.GetStatistics();
        nuint bytes = 0;
        List<(Action Free, nuint Bytes)> held = [];
        foreach (PageFlags flags in new[] { PageFlags.None, PageFlags.Movable, PageFlags.Dma, PageFlags.High,
            PageFlags.Cold | PageFlags.Reclaimable })
        {
            for (int order = 0; order <= 4; order++)
            {
                Page page = PageAllocator.AllocPages(order, flags);
                int ownOrder = order;
                Hold(() => PageAllocator.FreePages(page, ownOrder), PageBytes << order);
            }
        }
        for (nuint pages = 1; pages < 20; pages++)
        {
            void* exact = PageAllocator.AllocExact(pages * PageBytes - 1);
            nuint exactBytes = pages * PageBytes;
            Hold(() => PageAllocator.FreeExact(exact, exactBytes), exactBytes);
        }
        for (int i = 0; held.Count != 0; i++)
        {
            int index = i * 13 % held.Count;
            (Action free, nuint freed) = held[index];
            held.RemoveAt(index);
            // On another thread now and then: what it frees is counted against what this one took.
            if (i % 3 == 0) TestThread.RunOnNew(free);
            else free();
            bytes -= freed;
            ShouldBeCounted();
        }

        void Hold(Action free, nuint taken)
        {
            held.Add((free, taken));
            bytes += taken;
            ShouldBeCounted();
        }

        void ShouldBeCounted()
        {
            AllocatorStatistics now = NativeAllocator.GetStatistics();
            Assert.Equal((start.LiveBytes + bytes, start.LiveBlocks + held.Count), (now.LiveBytes, now.LiveBlocks));
        }
    }

    [Fact]
    public void A_page_in_a_threads_list_is_cached_and_a_larger_block_is_free()
    {
        NativeAllocator.Trim();
        Page single = PageAllocator.AllocPage(), block = PageAllocator.AllocPages(4);
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        PageAllocator.FreePage(single);
        PageAllocator.FreePages(block, 4);
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        Assert.Equal(before.CachedBytes + PageBytes, after.CachedBytes);
        Assert.Equal(before.FreePageBytes + (PageBytes << 4), after.FreePageBytes);
    }

    private static void ShouldHold(void* resized, nuint bytes, nuint to)
    {
        Assert.True(NativeAllocator.UsableSize(resized) >= to);
        // Of a large block the pattern stands in each page as a whole.
        if (bytes <= Sizes.MiB) Pattern.Check(resized, Math.Min(bytes, to), 2);
        else PagePattern.CheckPages(resized, Math.Min(bytes, to), 2);
    }
}
