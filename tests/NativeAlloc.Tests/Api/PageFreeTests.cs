using System.Globalization;
using System.Runtime.InteropServices;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that pages are taken back only from whom they were given to, whole and once: anything else is an exception at
/// the call that says which page, what was expected and what was given, and it changes nothing.
/// </summary>
public sealed unsafe class PageFreeTests : LeakCheckedTests
{
    private const int PageBytes = PageAllocator.PageSize;

    // Of DMA pages as much as any process may lock.
    private const int LargestDmaOrder = 4;

    /// <summary>Every order, with each kind of pages.</summary>
    public static TheoryData<int, PageFlags> Blocks
    {
        get
        {
            TheoryData<int, PageFlags> blocks = [];
            for (int order = 0; order <= PageAllocator.MaxOrder; order++)
            {
                foreach (PageFlags flags in new[] { PageFlags.None, PageFlags.Movable, PageFlags.High })
                    blocks.Add(order, flags);
                if (order <= LargestDmaOrder) blocks.Add(order, PageFlags.Dma);
            }
            return blocks;
        }
    }

    [Theory]
    [MemberData(nameof(Blocks))]
    public void A_block_is_not_taken_back_with_another_order(int order, PageFlags flags)
    {
        Page page = PageAllocator.AllocPages(order, flags);
        for (int other = 0; other <= PageAllocator.MaxOrder; other++)
        {
            if (other == order) continue;
            int given = other;
            ShouldRefuse(() => PageAllocator.FreePages(page, given), $"Page {page.Index} ", $"of order {order};",
                $"order {given}.");
            if (page.Address != null) ShouldRefuse(() => PageAllocator.FreePages(page.Address, given),
                $"Page {page.Index} ", $"of order {order};", $"order {given}.");
        }
        if (order != 0)
            ShouldRefuse(() => PageAllocator.FreePage(page), $"Page {page.Index} ", $"of order {order};", "order 0.");
        PageAllocator.FreePages(page, order);
    }

    [Theory]
    [MemberData(nameof(Blocks))]
    public void A_block_is_not_taken_back_twice_whether_its_neighbour_is_free_or_not(int order, PageFlags flags)
    {
        foreach (bool alone in new[] { true, false })
        {
            NativeAllocator.Trim();
            Page page = PageAllocator.AllocPages(order, flags), neighbour = PageAllocator.AllocPages(order, flags);
            if (alone) PageAllocator.FreePages(neighbour, order);
            PageAllocator.FreePages(page, order);
            // A single page is in the thread's list first, and after that a part of a free block.
            for (int round = 0; round < 2; round++)
            {
                ShouldRefuse(() => PageAllocator.FreePages(page, order), $"Page {page.Index} ", "free already");
                if (order == 0) ShouldRefuse(() => PageAllocator.FreePage(page), $"Page {page.Index} ", "free already");
                if (page.Address != null)
                {
                    ShouldRefuse(() => PageAllocator.FreePages(page.Address, order), $"Page {page.Index} ",
                        "free already");
                    ShouldRefuse(() => PageAllocator.FreeExact(page.Address, (nuint)PageBytes << order),
                        $"Page {page.Index} ", "free already");
                    ShouldRefuse(() => NativeAllocator.Free(page.Address), $"0x{(nuint)page.Address:x} ");
                }
                NativeAllocator.ReleaseThreadCache();
            }
            if (!alone) PageAllocator.FreePages(neighbour, order);
        }
    }

    [Theory]
    [MemberData(nameof(Blocks))]
    public void A_page_inside_a_block_is_not_taken_back(int order, PageFlags flags)
    {
        Page page = PageAllocator.AllocPages(order, flags);
        foreach (int inside in new[] { 1, 2, 3, (1 << order) / 2, (1 << order) - 1 })
        {
            if (inside <= 0 || inside >= 1 << order) continue;
            Page inner = new(page.Index + (uint)inside);
            string[] named =
                [$"Page {inner.Index} lies {inside} pages inside", $"{1 << order} pages", $"page {page.Index}."];
            ShouldRefuse(() => PageAllocator.FreePage(inner), named);
            ShouldRefuse(() => PageAllocator.FreePages(inner, order), named);
            if (page.Address == null) continue;
            ShouldRefuse(() => PageAllocator.FreePage(inner.Address), named);
            ShouldRefuse(() => PageAllocator.FreeExact(inner.Address, PageBytes), named);
            ShouldRefuse(() => NativeAllocator.Free(inner.Address), $"0x{(nuint)inner.Address:x} ",
                $"0x{(nuint)page.Address:x}.");
        }
        PageAllocator.FreePages(page, order);
    }

    [Fact]
    public void An_address_inside_a_page_is_not_taken_back()
    {
        foreach (int order in new[] { 0, 1, 5 })
        {
            byte* block = (byte*)PageAllocator.GetFreePages(order);
            uint page = PageAllocator.PageOf(block).Index;
            foreach (int offset in new[] { 1, 16, 4096, PageBytes - 1 })
            {
                string[] named = [$"0x{(nuint)(block + offset):x} ", $"inside page {page};"];
                ShouldRefuse(() => PageAllocator.FreePages(block + offset, order), named);
                ShouldRefuse(() => PageAllocator.FreePage(block + offset), named);
                ShouldRefuse(() => PageAllocator.FreeExact(block + offset, (nuint)PageBytes << order), named);
            }
            PageAllocator.FreePages(block, order);
        }
    }

    [Fact]
    public void Nobody_elses_memory_is_taken_back()
    {
        long local = 0;
        ShouldRefuseAddress(&local);
        ShouldRefuseAddress((void*)8);
        ShouldRefuseAddress((void*)nuint.MaxValue);
        void* foreign = NativeMemory.AlignedAlloc(Sizes.MiB, PageBytes);
        ShouldRefuseAddress(foreign);
        NativeMemory.AlignedFree(foreign);
        void* huge = NativeAllocator.AlignedAlloc(100 * Sizes.MiB, PageBytes);
        ShouldRefuseAddress(huge);
        NativeAllocator.Free(huge);

        static void ShouldRefuseAddress(void* address)
        {
            string named = $"0x{(nuint)address:x} ";
            ShouldRefuse(() => PageAllocator.FreePage(address), named);
            ShouldRefuse(() => PageAllocator.FreePages(address, 3), named);
            ShouldRefuse(() => PageAllocator.FreeExact(address, PageBytes), named);
        }
    }

    [Fact]
    public void Pages_of_the_allocators_own_blocks_are_not_taken_back()
    {
        foreach (nuint bytes in new nuint[] { 16, 1000, 40_000, 300_000 })
        {
            void* block = NativeAllocator.Alloc(bytes);
            Pattern.Fill(block, bytes, 1);
            Page first = PageAllocator.PageOf(block), last = PageAllocator.PageOf((byte*)block + bytes - 1);
            foreach (Page page in new[] { first, last }) ShouldRefuseBlock(page, "'Slab'");
            Pattern.Check(block, bytes, 1);
            NativeAllocator.Free(block);
        }
        void* large = NativeAllocator.Alloc(Sizes.MiB);
        ShouldRefuseBlock(PageAllocator.PageOf(large), "'Large'");
        NativeAllocator.Free(large);

        static void ShouldRefuseBlock(Page page, string use)
        {
            ShouldRefuse(() => PageAllocator.FreePage(page), $"Page {page.Index} ", use);
            ShouldRefuse(() => PageAllocator.FreePages(page, 2), $"Page {page.Index} ", use);
            ShouldRefuse(() => PageAllocator.FreePages(page.Address, 2), $"Page {page.Index} ", use);
            if (use == "'Slab'")
                ShouldRefuse(() => PageAllocator.FreeExact(page.Address, PageBytes), $"Page {page.Index} ", use);
        }
    }

    [Fact]
    public void No_page_is_not_taken_back()
    {
        ShouldRefuse(() => PageAllocator.FreePage(default(Page)), "no page");
        ShouldRefuse(() => PageAllocator.FreePages(default(Page), 4), "no page");
        Assert.Equal("page", Assert.Throws<ArgumentException>(() => PageAllocator.FreePage(default(Page))).ParamName);
    }

    [Fact]
    public void Exact_pages_are_not_taken_back_as_another_number_or_as_a_block()
    {
        foreach (uint count in new uint[] { 1, 2, 3, 5, 8, 100 })
        {
            byte* exact = (byte*)PageAllocator.AllocExact(count * PageBytes);
            Page page = PageAllocator.PageOf(exact);
            foreach (uint other in new uint[] { count - 1, count + 1, 2 * count, 1024 })
            {
                if (other is 0 || other == count) continue;
                nuint bytes = other * PageBytes;
                ShouldRefuse(() => PageAllocator.FreeExact(exact, bytes), $"Page {page.Index} ", $"{count} pages",
                    $"{bytes} bytes");
            }
            for (int order = 0; order <= PageAllocator.MaxOrder; order++)
            {
                int given = order;
                ShouldRefuse(() => PageAllocator.FreePages(exact, given), $"Page {page.Index} ", "'Large'");
                ShouldRefuse(() => PageAllocator.FreePages(page, given), $"Page {page.Index} ", "'Large'");
            }
            if (count > 1)
            {
                byte* inside = exact + PageBytes;
                string[] named =
                    [$"Page {page.Index + 1} lies 1 pages inside", $"{count} pages", $"page {page.Index}."];
                ShouldRefuse(() => PageAllocator.FreeExact(inside, (count - 1) * PageBytes), named);
                ShouldRefuse(() => PageAllocator.FreePage(inside), named);
            }
            PageAllocator.FreeExact(exact, count * PageBytes);
            ShouldRefuse(() => PageAllocator.FreeExact(exact, count * PageBytes), $"Page {page.Index} ",
                "free already");
        }
    }

    [Fact]
    public void A_block_of_an_order_is_not_taken_back_as_exact_pages()
    {
        for (int order = 0; order <= PageAllocator.MaxOrder; order++)
        {
            void* block = PageAllocator.GetFreePages(order);
            nuint bytes = (nuint)PageBytes << order;
            ShouldRefuse(() => PageAllocator.FreeExact(block, bytes), $"Page {PageAllocator.PageOf(block).Index} ",
                $"of order {order},", "FreePages");
            PageAllocator.FreePages(block, order);
        }
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(11)]
    [InlineData(int.MinValue)]
    [InlineData(int.MaxValue)]
    public void An_order_that_does_not_exist_is_refused_by_every_member(int order)
    {
        Page page = PageAllocator.AllocPage();
        foreach (Action call in new Action[]
        {
            () => PageAllocator.AllocPages(order),
            () => PageAllocator.AllocPagesNode(0, order),
            () => PageAllocator.GetFreePages(order),
            () => PageAllocator.GetDmaPages(order),
            () => PageAllocator.FreePages(page, order),
            () => PageAllocator.FreePages(page.Address, order),
            () => PageAllocator.FreePages(null, order),
        })
        {
            ArgumentException error =
                ShouldRefuse(call, $"is {order.ToString(CultureInfo.InvariantCulture)};", "0 to 10");
            Assert.Equal("order", Assert.IsType<ArgumentOutOfRangeException>(error).ParamName);
        }
        PageAllocator.FreePage(page);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(64)]
    [InlineData(int.MinValue)]
    [InlineData(int.MaxValue)]
    public void A_node_that_does_not_exist_is_refused(int node)
    {
        ArgumentException error = ShouldRefuse(() => PageAllocator.AllocPagesNode(node, 0),
            $"is {node.ToString(CultureInfo.InvariantCulture)};");
        Assert.Equal("node", Assert.IsType<ArgumentOutOfRangeException>(error).ParamName);
    }

    [Theory]
    [InlineData((PageFlags)128, "128")]
    [InlineData((PageFlags)int.MinValue, "-2147483648")]
    [InlineData((PageFlags)(-1), "-128")]
    [InlineData(PageFlags.Reclaimable | PageFlags.Movable, "reclaimable or movable")]
    [InlineData(PageFlags.Dma | PageFlags.High, "DMA zone or a high one")]
    public void Flags_that_do_not_exist_or_do_not_go_together_are_refused_by_every_member(PageFlags flags, string why)
    {
        ShouldRefuseFlags(() => PageAllocator.AllocPage(flags));
        ShouldRefuseFlags(() => PageAllocator.AllocPages(3, flags));
        ShouldRefuseFlags(() => PageAllocator.AllocPagesNode(0, 3, flags));
        if ((flags & PageFlags.High) != 0) return; // which the others say first
        ShouldRefuseFlags(() => PageAllocator.GetFreePage(flags));
        ShouldRefuseFlags(() => PageAllocator.GetFreePages(3, flags));
        ShouldRefuseFlags(() => PageAllocator.GetZeroedPage(flags));
        ShouldRefuseFlags(() => PageAllocator.AllocExact(100_000, flags));

        void ShouldRefuseFlags(Action call) => Assert.Equal("flags", ShouldRefuse(call, why).ParamName);
    }

    [Fact]
    public void A_high_page_is_not_given_where_an_address_is_asked_for()
    {
        foreach (PageFlags flags in new[] { PageFlags.High, PageFlags.High | PageFlags.Movable,
            PageFlags.High | PageFlags.Zeroed })
        {
            foreach (Action call in new Action[]
            {
                () => PageAllocator.GetFreePage(flags),
                () => PageAllocator.GetFreePages(2, flags),
                () => PageAllocator.GetZeroedPage(flags),
                () => PageAllocator.AllocExact(1, flags),
            })
            {
                Assert.Equal("flags", ShouldRefuse(call, "no address", nameof(PageFlags.High)).ParamName);
            }
        }
    }

    [Fact]
    public void More_bytes_than_the_largest_block_has_are_refused()
    {
        void* exact = PageAllocator.AllocExact(1);
        foreach (nuint bytes in new nuint[] { Sizes.LargestPages + 1, (nuint)1 << 40, nuint.MaxValue })
        {
            foreach (Action call in new Action[] { () => PageAllocator.AllocExact(bytes),
                () => PageAllocator.FreeExact(exact, bytes) })
            {
                ArgumentException error = ShouldRefuse(call, bytes.ToString(CultureInfo.InvariantCulture),
                    Sizes.LargestPages.ToString(CultureInfo.InvariantCulture));
                Assert.Equal("byteCount", Assert.IsType<ArgumentOutOfRangeException>(error).ParamName);
            }
        }
        PageAllocator.FreeExact(exact, 1);
    }

    // The call throws, says what is to be said, and has changed nothing.
    private static ArgumentException ShouldRefuse(Action call, params string[] named)
    {
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        ArgumentException error = Assert.ThrowsAny<ArgumentException>(call);
        foreach (string each in named) Assert.Contains(each, error.Message, StringComparison.Ordinal);
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        Assert.Equal((before.LiveBytes, before.LiveBlocks), (after.LiveBytes, after.LiveBlocks));
        Assert.Equal((before.FreePageBytes, before.CachedBytes, before.CommittedBytes),
            (after.FreePageBytes, after.CachedBytes, after.CommittedBytes));
        NativeAllocator.Verify();
        return error;
    }
}
