using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Mapping;

/// <summary>
/// Shows that memory which is used again and is to read as zero does not become resident where nobody wrote it, and
/// that what was written densely is cleared without asking the system each time.
/// </summary>
public sealed unsafe class AreaZeroedTests : AreaCheckedTests
{
    private const nuint Bytes = 48 * Sizes.MiB; // without huge pages, as long as nobody writes densely

    private const ulong Id = 5;

    public AreaZeroedTests()
    {
        SystemNeeds.FreeCommit();
        Assert.SkipUnless(ResidentMemory.ComesInSystemPages, "Each touch brings a huge page here.");
        AreaDensity.Credit = 0;
    }

    [Fact]
    public void A_sparse_area_has_no_memory_when_it_is_zeroed_for_the_next()
    {
        byte* block = (byte*)Alloc(Bytes, choice: MemoryChoice.FreshOnly);
        for (int round = 0; round < 3; round++)
        {
            foreach (nuint at in (nuint[])[0, Bytes / 2 + Page, Bytes - VirtualMemory.PageBytes])
                Pattern.Fill(block + at, VirtualMemory.PageBytes, Id);
            Assert.True(Areas.TryFree(block));
            Assert.True(Alloc(Bytes, zeroed: true) == block);
            Assert.Equal(0u, ResidentMemory.PagesAt((nuint)block, Bytes));
            Assert.Equal(Bytes, AreaOf(block)->ChargedBytes);
        }
        Pattern.CheckZero(block, Bytes);
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void A_dense_area_is_looked_at_once_and_cleared_from_then_on_without_a_system_call()
    {
        byte* block = (byte*)Alloc(Bytes, choice: MemoryChoice.FreshOnly);
        for (int round = 0; round < 3; round++)
        {
            Pattern.Fill(block, Bytes, Id);
            Assert.True(Areas.TryFree(block));
            long calls = Platform.Calls;
            Assert.True(Alloc(Bytes - Page, zeroed: true) == block);
            if (round != 0) Assert.Equal(calls, Platform.Calls);
            Assert.Equal(Bytes / VirtualMemory.PageBytes, ResidentMemory.PagesAt((nuint)block, Bytes));
            Pattern.CheckZero(block, Bytes);
        }
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void Of_an_area_that_is_dense_in_parts_the_others_are_purged()
    {
        const nuint Part = Bytes / 3;
        byte* block = (byte*)Alloc(Bytes, choice: MemoryChoice.FreshOnly);
        Pattern.Fill(block + Part, Part, Id);
        Pattern.Fill(block + 2 * Part, VirtualMemory.PageBytes, Id);
        Assert.True(Areas.TryFree(block));
        Assert.True(Alloc(Bytes, zeroed: true) == block);
        Assert.Equal(0u, ResidentMemory.PagesAt((nuint)block, Part));
        Assert.Equal(Part / VirtualMemory.PageBytes, ResidentMemory.PagesAt((nuint)block + Part, Part));
        Assert.Equal(0u, ResidentMemory.PagesAt((nuint)block + 2 * Part, Part));
        Pattern.CheckZero(block, Bytes);
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void What_is_behind_the_part_to_be_cleared_is_looked_at_up_to_the_first_place_that_is_sparse()
    {
        byte* block = (byte*)Alloc(Bytes, choice: MemoryChoice.FreshOnly);
        foreach (nuint at in (nuint[])[0, Bytes * 2 / 3]) Pattern.Fill(block + at, Bytes / 3, Id);
        long calls = Platform.Calls;
        Assert.False(SparseClearing.Clear((nuint)block, 8 * Sizes.MiB, Bytes));
        nuint lookBytes = 4096 * VirtualMemory.PageBytes;
        Assert.Equal((long)(Bytes / 3 / lookBytes) + 1, Platform.Calls - calls);
        Pattern.CheckZero(block, 8 * Sizes.MiB);
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void An_area_that_was_dense_is_looked_at_again_when_more_of_it_is_charged()
    {
        byte* block = (byte*)Alloc(Bytes, choice: MemoryChoice.FreshOnly);
        Pattern.Fill(block, Bytes, Id);
        Assert.True(Areas.TryFree(block));
        Assert.True(Alloc(Bytes, zeroed: true) == block && AreaOf(block)->IsDense);
        Assert.True(Areas.TryFree(block));
        Assert.Equal(Bytes / 2, Areas.Purge(Bytes / 2));
        Assert.True(Alloc(Bytes) == block); // charged again, and not touched
        Assert.True(Areas.TryFree(block));
        Assert.True(Alloc(Bytes, zeroed: true) == block);
        Assert.Equal(0u, ResidentMemory.PagesAt((nuint)block + Bytes / 2, Bytes / 2));
        Assert.True(Areas.TryFree(block));
    }

    [Theory]
    [InlineData(nameof(OsCall.ReadFigure))]
    [InlineData(nameof(OsCall.Purge))]
    public void Where_the_system_does_not_say_what_has_memory_or_does_not_take_it_all_is_cleared(string refused)
    {
        byte* block = (byte*)Alloc(Bytes, choice: MemoryChoice.FreshOnly);
        Pattern.Fill(block + 3 * Page, Page, Id);
        Assert.True(Areas.TryFree(block));
        using (new InjectedFaults(Enum.Parse<OsCall>(refused))) Assert.True(Alloc(Bytes, zeroed: true) == block);
        Pattern.CheckZero(block, Bytes);
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void Pages_that_were_handed_out_and_hardly_touched_have_no_memory_when_they_are_zeroed()
    {
        nuint bytes = PageAllocator.PageSize * (nuint)PageGeometry.SectionPages;
        byte* pages = (byte*)PageAllocator.GetFreePages(PageAllocator.MaxOrder);
        Pattern.Fill(pages + 7 * Page, Page, Id);
        PageAllocator.FreePages(pages, PageAllocator.MaxOrder);
        byte* zeroed = (byte*)PageAllocator.GetFreePages(PageAllocator.MaxOrder, PageFlags.Zeroed);
        Assert.True(zeroed == pages, "others were handed out, so nothing is proved");
        Assert.Equal(0u, ResidentMemory.PagesAt((nuint)zeroed, bytes));
        Pattern.CheckZero(zeroed, bytes);
        PageAllocator.FreePages(zeroed, PageAllocator.MaxOrder);
    }
}
