using System.Globalization;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that DMA pages are locked into memory while they are held and no longer, and what happens where the system
/// locks no more.
/// </summary>
public sealed unsafe class PageDmaTests : LeakCheckedTests
{
    private const nuint PageBytes = PageAllocator.PageSize;

    // 2 MiB: with others at the same time still within what any process may lock, 8 MiB.
    private const int LargestOrder = 5;

    [Fact]
    public void What_is_locked_follows_what_is_held()
    {
        long before = ProcessMemory.LockedBytes();
        List<(nint Address, nuint Bytes)> held = [];
        long locked = before;
        for (int order = 0; order <= LargestOrder; order++) Hold(PageAllocator.GetDmaPages(order), PageBytes << order);
        for (int i = 0; i < 20; i++)
            Hold(PageAllocator.AllocPage(PageFlags.Dma | PageFlags.Movable).Address, PageBytes);
        foreach (nuint pages in new nuint[] { 1, 3, 7 })
            Hold(PageAllocator.AllocExact(pages * PageBytes, PageFlags.Dma), pages * PageBytes);
        for (int i = 0; held.Count != 0; i++)
        {
            (nint address, nuint bytes) = held[i * 7 % held.Count];
            held.Remove((address, bytes));
            NativeAllocator.Free((void*)address);
            locked -= (long)bytes;
            Assert.Equal(locked, ProcessMemory.LockedBytes());
        }
        Assert.Equal(before, ProcessMemory.LockedBytes());

        void Hold(void* address, nuint bytes)
        {
            locked += (long)bytes;
            Assert.Equal(locked, ProcessMemory.LockedBytes());
            held.Add(((nint)address, bytes));
        }
    }

    [Fact]
    public void Locked_pages_count_as_mappings_and_are_refused_where_these_are_used_up()
    {
        NativeAllocator.Trim(); // what other tests left would be given back at the refusal, and make room
        PageAllocator.FreePage(PageAllocator.AllocPage(PageFlags.Dma)); // an offline section has mappings, too
        int before = MappingBudget.InUse, limit = MappingBudget.Limit;
        void* block = PageAllocator.AllocExact(3 * PageBytes, PageFlags.Dma);
        Assert.Equal(before + 2, MappingBudget.InUse);
        Assert.True(LargeBlocks.TryResize((uint)LinearRegion.PageIndexOf(block), 2 * PageBytes));
        Assert.Equal(before + 2, MappingBudget.InUse);
        ulong locked = ResidentMemory.LockedBytes();
        MappingBudget.Limit = MappingBudget.InUse + 1;
        try
        {
            Assert.Throws<OutOfMemoryException>(() => PageAllocator.AllocPage(PageFlags.Dma));
        }
        finally
        {
            MappingBudget.Limit = limit;
        }
        Assert.Equal(locked, ResidentMemory.LockedBytes());
        NativeAllocator.Free(block);
        Assert.Equal(before, MappingBudget.InUse);
    }

    [Fact]
    public void Pages_that_the_system_does_not_unlock_are_given_to_nobody_until_it_does()
    {
        int mappings = Rest.Mappings;
        long before = ProcessMemory.LockedBytes();
        void* first = PageAllocator.AllocExact(3 * PageBytes, PageFlags.Dma);
        void* second = PageAllocator.AllocPage(PageFlags.Dma).Address, third;
        using (new InjectedFaults(OsCall.Unlock))
        {
            Assert.True(LargeBlocks.TryResize((uint)LinearRegion.PageIndexOf(first), 2 * PageBytes));
            NativeAllocator.Free(second);
            NativeAllocator.Trim();
            third = PageAllocator.AllocPage(PageFlags.Dma).Address;
            Assert.False(third == second, "the page is still locked");
        }
        Assert.Equal(before + 5 * (long)PageBytes, ProcessMemory.LockedBytes());
        NativeAllocator.Free(first);
        NativeAllocator.Free(third);
        Assert.Equal(before + 2 * (long)PageBytes, ProcessMemory.LockedBytes());
        NativeAllocator.Trim();
        Assert.Equal(before, ProcessMemory.LockedBytes());
        Assert.Equal(mappings, Rest.Mappings);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(LargestOrder)]
    public void Held_pages_are_in_memory_from_the_start_and_stay_there(int order)
    {
        nuint bytes = PageBytes << order;
        Page page = PageAllocator.AllocPages(order, PageFlags.Dma);
        Assert.Equal(PageZone.Dma, page.Zone);
        Assert.True(ProcessMemory.IsResident(page.Address, bytes));
        Pattern.Fill(page.Address, bytes, 4);
        NativeAllocator.Trim();
        Assert.True(ProcessMemory.IsResident(page.Address, bytes));
        Pattern.Check(page.Address, bytes, 4);
        PageAllocator.FreePages(page, order);
        NativeAllocator.Trim();
        // given back like any other, once nobody holds them
        Assert.False(ProcessMemory.IsResident(page.Address, bytes));
    }

    [Fact]
    public void A_zeroed_DMA_block_is_zero_though_its_memory_was_used_before()
    {
        const int Order = 2;
        void* dirty = PageAllocator.GetDmaPages(Order);
        new Span<byte>(dirty, (int)(PageBytes << Order)).Fill(0xFF);
        PageAllocator.FreePages(dirty, Order);
        void* zeroed = PageAllocator.GetFreePages(Order, PageFlags.Dma | PageFlags.Zeroed);
        Assert.True(zeroed == dirty, "the block was not used again, so nothing is proved");
        Pattern.CheckZero(zeroed, PageBytes << Order);
        PageAllocator.FreePages(zeroed, Order);
    }

    [Fact]
    public void A_DMA_block_that_is_resized_keeps_its_contents_and_leaves_nothing_locked()
    {
        long before = ProcessMemory.LockedBytes();
        foreach (nuint from in new nuint[] { 1, 5, 8 })
        {
            foreach (nuint to in new nuint[] { 100, 3 * PageBytes, 20 * PageBytes, 40 * PageBytes })
            {
                foreach (bool isExact in new[] { true, false })
                {
                    nuint bytes = isExact ? from * PageBytes : PageBytes << 3;
                    void* block =
                        isExact ? PageAllocator.AllocExact(bytes, PageFlags.Dma) : PageAllocator.GetDmaPages(3);
                    Pattern.Fill(block, bytes, from);
                    block = NativeAllocator.Realloc(block, to);
                    Pattern.Check(block, Math.Min(bytes, to), from);
                    NativeAllocator.Free(block);
                    Assert.Equal(before, ProcessMemory.LockedBytes());
                }
            }
        }
    }

    [Fact]
    public void Where_the_system_locks_no_more_the_message_says_why_and_how_to_change_it_and_nothing_is_lost()
    {
        Zones.Prepare(PageZone.Dma);
        long locked = ProcessMemory.LockedBytes();
        long[] free = Zones.FreeBlocks(PageZone.Dma);
        foreach ((Action take, nuint bytes) in new (Action, nuint)[]
        {
            (() => PageAllocator.AllocPage(PageFlags.Dma), PageBytes),
            (() => PageAllocator.AllocPages(4, PageFlags.Dma), PageBytes << 4),
            (() => PageAllocator.GetDmaPages(2), PageBytes << 2),
            (() => PageAllocator.GetZeroedPage(PageFlags.Dma), PageBytes),
            (() => PageAllocator.AllocExact(5 * PageBytes, PageFlags.Dma), 5 * PageBytes),
        })
        {
            using (new InjectedFaults(OsCall.Lock))
            {
                OutOfMemoryException error = Assert.Throws<OutOfMemoryException>(take);
                // The limit would have let it pass.
                bool isLimit = Machine.LockLimitBytes is { } limit && (nuint)locked + bytes > limit;
                string[] names = isLimit ? ["ulimit -l", "LimitMEMLOCK", "CAP_IPC_LOCK"] : ["vm.max_map_count"];
                foreach (string named in (string[])
                    [.. names, $" {bytes.ToString(CultureInfo.InvariantCulture)} bytes", "RLIMIT_MEMLOCK"])
                    Assert.Contains(named, error.Message, StringComparison.Ordinal);
            }
            Assert.Equal(locked, ProcessMemory.LockedBytes());
            Rest.GiveBack(); // a page that was to be cleared is known to be clean again
            Assert.Equal(free, Zones.FreeBlocks(PageZone.Dma));
            NativeAllocator.Verify();
        }
        PageAllocator.FreePages(PageAllocator.AllocPages(4, PageFlags.Dma), 4);
    }

    [Fact]
    public void A_process_that_may_lock_little_is_told_so_when_it_has_locked_that()
    {
        const long Limit = 1 << 20;
        ChildProcess child =
            ChildProcess.RunHost(LockLimit.Name, Limit.ToString(CultureInfo.InvariantCulture)).ShouldSucceed();
        string[] lines = child.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        // The runtime may have locked a page for itself.
        Assert.InRange(long.Parse(lines[0], CultureInfo.InvariantCulture), Limit - (long)PageBytes, Limit);
        Assert.Contains($"may lock {Limit.ToString(CultureInfo.InvariantCulture)} bytes in all (RLIMIT_MEMLOCK)",
            lines[1], StringComparison.Ordinal);
        foreach (string named in (string[])["ulimit -l", "LimitMEMLOCK", "CAP_IPC_LOCK", "and has locked"])
            Assert.Contains(named, lines[1], StringComparison.Ordinal);
        Assert.Equal("0", lines[2]);
    }
}
