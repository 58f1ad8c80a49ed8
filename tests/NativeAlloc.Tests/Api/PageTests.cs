using System.Runtime.InteropServices;
using NativeAlloc.Pages;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves what a <see cref="Page"/> says of itself, and that <c>PageOf</c> finds the page of any address at all.
/// </summary>
public sealed unsafe class PageTests : LeakCheckedTests
{
    private const int PageBytes = PageAllocator.PageSize;

    [Fact]
    public void The_default_is_no_page()
    {
        Page none = default;
        Assert.True(none.IsNone);
        Assert.True(none.Address == null);
        Assert.Equal("no page", none.ToString());
        Assert.Throws<InvalidOperationException>(() => none.Node);
        Assert.Throws<InvalidOperationException>(() => none.Zone);
        Assert.Equal(none, default);
    }

    [Fact]
    public void A_page_is_equal_to_itself_and_to_no_other()
    {
        Page page = PageAllocator.AllocPage(), other = PageAllocator.AllocPage(),
            same = PageAllocator.PageOf(page.Address);
        Assert.False(page.IsNone);
        Assert.True(page == same && page.Equals(same) && page.Equals((object)same) && !(page != same));
        Assert.Equal(page.GetHashCode(), same.GetHashCode());
        Assert.True(page != other && !page.Equals(other) && !page.Equals((object)other) && !(page == other));
        Assert.True(page != default);
        Assert.False(page.Equals(null));
        Assert.False(page.Equals("page"));
        Assert.Equal(2, new HashSet<Page> { page, other, same }.Count);
        PageAllocator.FreePage(page);
        PageAllocator.FreePage(other);
    }

    [Fact]
    public void A_page_tells_people_which_it_is()
    {
        Page normal = PageAllocator.AllocPage(), high = PageAllocator.AllocPage(PageFlags.High);
        Assert.Equal($"page {normal.Index} (node 0, Normal, 0x{(nuint)normal.Address:x})", normal.ToString());
        Assert.Equal($"page {high.Index} (node 0, High)", high.ToString());
        PageAllocator.FreePage(normal);
        PageAllocator.FreePage(high);
    }

    [Fact]
    public void Every_byte_of_a_block_lies_in_one_of_its_pages()
    {
        const int Order = 3;
        byte* block = (byte*)PageAllocator.GetFreePages(Order);
        for (int page = 0; page < 1 << Order; page++)
        {
            Page first = PageAllocator.PageOf(block + page * PageBytes);
            Assert.True(first.Address == block + page * PageBytes);
            foreach (int offset in new[] { 1, 4096, PageBytes / 2 + 3, PageBytes - 1 })
                Assert.Equal(first, PageAllocator.PageOf(block + page * PageBytes + offset));
            Assert.Equal(PageZone.Normal, first.Zone);
        }
        PageAllocator.FreePages(block, Order);
    }

    [Fact]
    public void Blocks_of_the_allocator_lie_in_pages_too()
    {
        foreach (nuint bytes in new nuint[] { 1, 100, 5000, Sizes.LargestSlab, Sizes.LargestSlab + 1, Sizes.MiB })
        {
            byte* block = (byte*)NativeAllocator.Alloc(bytes);
            Page page = PageAllocator.PageOf(block);
            Assert.False(page.IsNone);
            Assert.InRange((nuint)block, (nuint)page.Address, (nuint)page.Address + PageBytes - 1);
            NativeAllocator.Free(block);
        }
    }

    [Fact]
    public void Nobody_elses_memory_lies_in_a_page()
    {
        int local = 0;
        Assert.True(PageAllocator.PageOf(null).IsNone);
        Assert.True(PageAllocator.PageOf(&local).IsNone);
        byte[] managed = GC.AllocateArray<byte>(1000, pinned: true);
        fixed (byte* pointer = managed) Assert.True(PageAllocator.PageOf(pointer).IsNone);
        void* foreign = NativeMemory.AlignedAlloc(Sizes.MiB, PageBytes);
        Assert.True(PageAllocator.PageOf(foreign).IsNone);
        NativeMemory.AlignedFree(foreign);
        void* huge = NativeAllocator.Alloc(100 * Sizes.MiB); // a mapping of its own
        Assert.True(PageAllocator.PageOf(huge).IsNone);
        NativeAllocator.Free(huge);
        // reserved, and not in use yet
        Assert.True(PageAllocator.PageOf((void*)(LinearRegion.Base + LinearRegion.Bytes - 1)).IsNone);
    }

    [Fact]
    public void Any_address_at_all_can_be_asked_for()
    {
        Random random = new(1);
        nuint online = (nuint)LinearRegion.OnlinePages * PageBytes;
        foreach (nuint edge in new[] { (nuint)0, LinearRegion.Base, LinearRegion.Base + online,
            LinearRegion.Base + LinearRegion.Bytes, (nuint)1 << 47, nuint.MaxValue })
            for (nint near = -200_000; near <= 200_000; near += 97) Ask(unchecked(edge + (nuint)near));
        for (int i = 0; i < 100_000; i++)
            Ask((nuint)(unchecked((ulong)random.NextInt64(long.MinValue, long.MaxValue)) >> random.Next(64)));

        void Ask(nuint address)
        {
            bool ours = address >= LinearRegion.Base && address < LinearRegion.Base + online;
            Page page = PageAllocator.PageOf((void*)address);
            if (page.IsNone == ours || (ours && (nuint)page.Address != address / PageBytes * PageBytes))
                Assert.Fail($"0x{address:x} is said to lie in {page}");
        }
    }
}
