using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves what the members of the <c>alloc_pages</c> family give: whole blocks, aligned, of the kind asked for, and
/// nobody else's.
/// </summary>
public sealed unsafe class PageAllocTests : LeakCheckedTests
{
    private const nuint PageBytes = PageAllocator.PageSize;

    // Larger ones of DMA pages might be more than the process may lock.
    private const int LargestDmaOrder = 5;

    public static TheoryData<int> Orders => [.. Enumerable.Range(0, PageAllocator.MaxOrder + 1)];

    [Fact]
    public void A_page_has_64_KiB_and_the_largest_block_1024_of_them()
    {
        Assert.Equal(65_536, PageAllocator.PageSize);
        Assert.Equal(10, PageAllocator.MaxOrder);
    }

    [Theory]
    [MemberData(nameof(Orders))]
    public void A_block_begins_at_a_multiple_of_its_size_and_all_of_it_can_be_written(int order)
    {
        nuint bytes = PageBytes << order;
        nint[] blocks = [.. TakersOf(order).Select(take => take(order))];
        for (int i = 0; i < blocks.Length; i++)
        {
            Assert.Equal((nuint)0, (nuint)blocks[i] % bytes);
            PagePattern.Fill((void*)blocks[i], bytes, (ulong)i);
        }
        for (int i = 0; i < blocks.Length; i++)
        {
            PagePattern.Check((void*)blocks[i], bytes, (ulong)i);
            PageAllocator.FreePages((void*)blocks[i], order);
        }
    }

    [Fact]
    public void The_members_for_one_page_give_one_page()
    {
        foreach (Func<nint> take in new Func<nint>[]
        {
            () => (nint)PageAllocator.AllocPage().Address,
            () => (nint)PageAllocator.GetFreePage(),
            () => (nint)PageAllocator.GetZeroedPage(),
        })
        {
            nint page = take();
            Assert.Equal((nuint)0, (nuint)page % PageBytes);
            Assert.Equal(PageBytes, NativeAllocator.UsableSize((void*)page));
            Pattern.Fill((void*)page, PageBytes, 5);
            PageAllocator.FreePage((void*)page);
        }
    }

    [Fact]
    public void A_block_is_of_the_zone_and_the_node_that_were_asked_for()
    {
        foreach ((PageFlags flags, PageZone zone) in new[] { (PageFlags.None, PageZone.Normal),
            (PageFlags.Dma, PageZone.Dma), (PageFlags.High, PageZone.High) })
        {
            foreach (int order in new[] { 0, 1, 4 })
            {
                foreach (Page page in new[] { PageAllocator.AllocPages(order, flags),
                    PageAllocator.AllocPagesNode(0, order, flags | PageFlags.ThisNode) })
                {
                    Assert.Equal((0, zone), (page.Node, page.Zone));
                    PageAllocator.FreePages(page, order);
                }
            }
        }
    }

    [Fact]
    public void Blocks_of_every_order_and_kind_never_overlap_and_keep_what_is_written_to_them()
    {
        Random random = new(1);
        List<(Page Page, int Order)> blocks = [];
        for (int i = 0; i < 600; i++)
        {
            int order = random.Next(random.Next(1, 7));
            PageFlags type =
                random.Next(3) switch { 0 => PageFlags.Movable, 1 => PageFlags.Reclaimable, _ => PageFlags.None };
            blocks.Add((PageAllocator.AllocPages(order, type), order));
            Fill(i);
            if (i % 3 != 0) continue;
            // Memory that was used comes again, among memory that was not.
            int victim = random.Next(blocks.Count);
            Check(victim);
            PageAllocator.FreePages(blocks[victim].Page, blocks[victim].Order);
            blocks[victim] = (PageAllocator.AllocPages(order, type), order);
            Fill(victim);
        }
        for (int i = 0; i < blocks.Count; i++)
        {
            Check(i);
            PageAllocator.FreePages(blocks[i].Page, blocks[i].Order);
        }

        void Fill(int index) =>
            Pattern.Fill(blocks[index].Page.Address, PageBytes << blocks[index].Order, (ulong)index);

        void Check(int index) =>
            Pattern.Check(blocks[index].Page.Address, PageBytes << blocks[index].Order, (ulong)index);
    }

    [Theory]
    [MemberData(nameof(Orders))]
    public void A_zeroed_block_is_zero_though_its_memory_was_used_before(int order)
    {
        nuint bytes = PageBytes << order;
        foreach (PageFlags type in new[] { PageFlags.None, PageFlags.Movable, PageFlags.Cold })
        {
            // the thread's list is empty, so that its coldest page is the one that was freed just now
            NativeAllocator.Trim();
            void* dirty = PageAllocator.GetFreePages(order, type);
            new Span<byte>(dirty, (int)bytes).Fill(0xFF);
            PageAllocator.FreePages(dirty, order);
            void* zeroed = PageAllocator.GetFreePages(order, type | PageFlags.Zeroed);
            Assert.True(zeroed == dirty, "the block was not used again, so nothing is proved");
            Pattern.CheckZero(zeroed, bytes);
            PageAllocator.FreePages(zeroed, order);
        }
    }

    [Fact]
    public void A_zeroed_page_is_zero_though_its_memory_was_used_before()
    {
        void* dirty = PageAllocator.GetFreePage();
        new Span<byte>(dirty, (int)PageBytes).Fill(0xFF);
        PageAllocator.FreePage(dirty);
        void* zeroed = PageAllocator.GetZeroedPage();
        Assert.True(zeroed == dirty, "the page was not used again, so nothing is proved");
        Pattern.CheckZero(zeroed, PageBytes);
        PageAllocator.FreePage(zeroed);
    }

    [Fact]
    public void A_zeroed_block_of_pages_that_were_used_in_part_is_zero_as_a_whole()
    {
        const int Order = 7; // 128 pages: two words of the bits that say which were used
        NativeAllocator.Trim();
        // Single pages, until they are all pages of a block.
        List<nint> held = [];
        IGrouping<nuint, nint>? run = null;
        while (run == null)
        {
            for (int i = 0; i < 1 << Order; i++) held.Add((nint)PageAllocator.GetFreePage());
            run = held.GroupBy(page => (nuint)page / (PageBytes << Order))
                .FirstOrDefault(block => block.Count() == 1 << Order);
            Assert.InRange(held.Count, 0, 1 << 14);
        }
        held.RemoveAll(run.Contains);
        nint[] pages = [.. run.Order()];
        // Every third of them is used, the others stay as the system made them.
        for (int i = 0; i < pages.Length; i += 3) new Span<byte>((void*)pages[i], (int)PageBytes).Fill(0xEE);
        foreach (nint page in pages) PageAllocator.FreePage((void*)page);
        NativeAllocator.ReleaseThreadCache();
        byte* zeroed = (byte*)PageAllocator.GetFreePages(Order, PageFlags.Zeroed);
        Assert.Equal(pages[0], (nint)zeroed); // otherwise nothing is proved
        Pattern.CheckZero(zeroed, PageBytes << Order);
        PageAllocator.FreePages(zeroed, Order);
        foreach (nint page in held) PageAllocator.FreePage((void*)page);
    }

    [Fact]
    public void The_page_freed_last_is_the_next_and_a_cold_one_is_the_one_freed_first()
    {
        NativeAllocator.Trim(); // the thread's list is empty
        Page[] pages = [.. Enumerable.Range(0, 3).Select(_ => PageAllocator.AllocPage())];
        foreach (Page page in pages) PageAllocator.FreePage(page);
        Page hot = PageAllocator.AllocPage(), cold = PageAllocator.AllocPage(PageFlags.Cold);
        Assert.Equal(pages[2], hot);
        Assert.Equal(pages[0], cold);
        Assert.Equal(pages[1], PageAllocator.AllocPage());
        foreach (Page page in pages) PageAllocator.FreePage(page);
    }

    [Fact]
    public void Pages_that_one_thread_takes_another_frees()
    {
        for (int order = 0; order <= PageAllocator.MaxOrder; order++)
        {
            nuint bytes = Math.Min(PageBytes << order, Sizes.MiB);
            Page[] pages = [.. Enumerable.Range(0, order == 0 ? 200 : 2).Select(_ => PageAllocator.AllocPages(order))];
            for (int i = 0; i < pages.Length; i++) Pattern.Fill(pages[i].Address, bytes, (ulong)i);
            TestThread.RunOnNew(() =>
            {
                for (int i = 0; i < pages.Length; i++)
                {
                    Pattern.Check(pages[i].Address, bytes, (ulong)i);
                    PageAllocator.FreePages(pages[i], order);
                }
            });
        }
    }

    [Fact]
    public void A_block_goes_back_by_its_page_by_its_address_or_by_Free_however_it_was_taken()
    {
        for (int order = 0; order <= PageAllocator.MaxOrder; order++)
        {
            foreach (Func<int, nint> take in TakersOf(order))
            {
                PageAllocator.FreePages(PageAllocator.PageOf((void*)take(order)), order);
                PageAllocator.FreePages((void*)take(order), order);
                NativeAllocator.Free((void*)take(order));
                NativeAllocator.AlignedFree((void*)take(order));
                if (order != 0) continue;
                PageAllocator.FreePage(PageAllocator.PageOf((void*)take(0)));
                PageAllocator.FreePage((void*)take(0));
            }
        }
    }

    [Fact]
    public void An_address_of_null_is_nothing_to_free()
    {
        PageAllocator.FreePage(null);
        PageAllocator.FreePages(null, PageAllocator.MaxOrder);
        PageAllocator.FreeExact(null, 100);
    }

    [Fact]
    public void A_block_that_was_freed_by_Free_can_be_taken_again_as_any_other()
    {
        for (int order = 0; order <= PageAllocator.MaxOrder; order++)
        {
            NativeAllocator.Free(PageAllocator.GetFreePages(order));
            Page page = PageAllocator.AllocPages(order);
            PageAllocator.FreePages(page, order);
            NativeAllocator.Free(NativeAllocator.Alloc(PageBytes << order));
        }
    }

    // Every member that takes a block of an order.
    private static List<Func<int, nint>> TakersOf(int order)
    {
        List<Func<int, nint>> takers =
        [
            static order => (nint)PageAllocator.AllocPages(order).Address,
            static order => (nint)PageAllocator.AllocPagesNode(0, order).Address,
            static order => (nint)PageAllocator.GetFreePages(order),
            static order => (nint)PageAllocator.AllocPages(order, PageFlags.Movable).Address,
            static order => (nint)PageAllocator.AllocPages(order, PageFlags.Reclaimable | PageFlags.Zeroed).Address,
        ];
        if (order <= LargestDmaOrder) takers.Add(static order => (nint)PageAllocator.GetDmaPages(order));
        return takers;
    }

    [Fact]
    public void A_page_taken_as_cold_goes_back_to_the_cold_end_and_the_next_one_taken_is_another()
    {
        NativeAllocator.Trim(); // no used page is left, so the list has only what comes now
        Page first = PageAllocator.AllocPage(), second = PageAllocator.AllocPage();
        PageAllocator.FreePage(first);
        PageAllocator.FreePage(second);
        Page cold = PageAllocator.AllocPage(PageFlags.Cold);
        Assert.Equal(first, cold); // the one that was freed longest ago
        PageAllocator.FreePage(cold);
        Page hot = PageAllocator.AllocPage();
        Assert.Equal(second, hot);
        Page again = PageAllocator.AllocPage(PageFlags.Cold);
        Assert.Equal(first, again);
        // What was cold once is not for ever.
        PageAllocator.FreePage(again);
        Page last = PageAllocator.AllocPage();
        Assert.Equal(first, last);
        PageAllocator.FreePage(last);
        Assert.Equal(last, PageAllocator.AllocPage());
        PageAllocator.FreePage(last);
        PageAllocator.FreePage(hot);
    }
}
