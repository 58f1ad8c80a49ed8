using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that <c>AllocExact</c> takes the pages that were asked for and not one more, and that all of them come back.
/// </summary>
public sealed unsafe class PageExactTests : LeakCheckedTests
{
    private const nuint PageBytes = PageAllocator.PageSize;

    public static TheoryData<int> Counts =>
        [.. Enumerable.Range(1, 64), 65, 100, 127, 128, 129, 255, 500, 513, 777, 1000, 1023, 1024];

    [Theory]
    [MemberData(nameof(Counts))]
    public void The_rest_of_the_block_that_exact_pages_are_cut_from_goes_back_at_once(int count)
    {
        Zones.Prepare();
        long[] before = Zones.FreeBlocks();
        void* exact = PageAllocator.AllocExact((nuint)count * PageBytes);
        long[] during = Zones.FreeBlocks();

        // One block is gone, and of what it had beyond the pages asked for there is a block for each bit.
        long[] change = [.. during.Zip(before, (now, then) => now - then)];
        int cut = Array.IndexOf(change, -1);
        Assert.InRange(cut, 0, PageAllocator.MaxOrder);
        long rest = (1L << cut) - count;
        Assert.True(rest >= 0, $"a block of order {cut} does not have {count} pages");
        for (int order = 0; order <= PageAllocator.MaxOrder; order++)
            Assert.Equal(order == cut ? -1 : rest >> order & 1, change[order]);

        Assert.Equal((nuint)count * PageBytes, NativeAllocator.UsableSize(exact));
        PageAllocator.FreeExact(exact, (nuint)count * PageBytes);
        Assert.Equal(before, Zones.FreeBlocks());
    }

    [Fact]
    public void Bytes_are_rounded_up_to_whole_pages_and_any_number_that_needs_as_many_gives_them_back()
    {
        foreach ((nuint bytes, nuint pages) in new (nuint, nuint)[] { (0, 1), (1, 1), (65_535, 1), (65_536, 1),
            (65_537, 2), (700_000, 11), (64 * Sizes.MiB - 1, 1024), (64 * Sizes.MiB, 1024) })
        {
            foreach (nuint freed in new[] { bytes, pages * PageBytes, (pages - 1) * PageBytes + 1 })
            {
                void* exact = PageAllocator.AllocExact(bytes);
                Assert.Equal((nuint)0, (nuint)exact % PageBytes);
                Assert.Equal(pages * PageBytes, NativeAllocator.UsableSize(exact));
                PageAllocator.FreeExact(exact, freed);
            }
            NativeAllocator.Free(PageAllocator.AllocExact(bytes));
        }
    }

    [Fact]
    public void Exact_pages_never_overlap_with_what_was_given_back_of_their_blocks()
    {
        Random random = new(7);
        List<(nint Address, nuint Bytes)> blocks = [];
        for (int i = 0; i < 300; i++)
        {
            nuint bytes = (nuint)random.Next(1, 20) * PageBytes - (nuint)random.Next(100);
            PageFlags flags = random.Next(4) switch
            {
                0 => PageFlags.Movable,
                1 => PageFlags.Reclaimable,
                2 => PageFlags.Zeroed,
                _ => PageFlags.None
            };
            void* exact = PageAllocator.AllocExact(bytes, flags);
            if ((flags & PageFlags.Zeroed) != 0) Pattern.CheckZero(exact, bytes);
            blocks.Add(((nint)exact, bytes));
            Pattern.Fill(exact, NativeAllocator.UsableSize(exact), (ulong)i);
            if (i % 4 != 0) continue;
            int victim = random.Next(blocks.Count);
            if (blocks[victim].Address == 0) continue;
            Free(victim);
            blocks[victim] = default;
        }
        for (int i = 0; i < blocks.Count; i++)
            if (blocks[i].Address != 0) Free(i);

        void Free(int index)
        {
            (nint address, nuint bytes) = blocks[index];
            Pattern.Check((void*)address, NativeAllocator.UsableSize((void*)address), (ulong)index);
            if (index % 2 == 0) PageAllocator.FreeExact((void*)address, bytes);
            else TestThread.RunOnNew(() => PageAllocator.FreeExact((void*)address, bytes));
        }
    }

    [Fact]
    public void Exact_pages_are_zero_where_that_is_asked_for_though_some_of_them_were_used()
    {
        foreach (nuint pages in new nuint[] { 1, 3, 37, 129 })
        {
            NativeAllocator.Trim();
            void* dirty = PageAllocator.AllocExact(pages * PageBytes);
            new Span<byte>(dirty, (int)(pages * PageBytes)).Fill(0xAA);
            PageAllocator.FreeExact(dirty, pages * PageBytes);
            void* zeroed = PageAllocator.AllocExact((pages + 1) * PageBytes, PageFlags.Zeroed);
            bool reused = zeroed == dirty;
            Pattern.CheckZero(zeroed, (pages + 1) * PageBytes);
            PageAllocator.FreeExact(zeroed, (pages + 1) * PageBytes);
            Assert.True(reused || pages == 1, "no page was used again, so nothing is proved");
        }
    }
}
