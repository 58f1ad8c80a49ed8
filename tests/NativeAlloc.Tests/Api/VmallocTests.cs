using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Mapping;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that blocks of <c>Vmalloc</c> hold what was written to them whatever is done to them and to others, and that
/// wrong pointers are refused.
/// </summary>
public sealed unsafe class VmallocTests : AreaCheckedTests
{
    private const nuint HugePage = 2 * Sizes.MiB;

    [Fact]
    public void Every_size_gives_whole_pages_at_a_multiple_of_their_size()
    {
        for (nuint bytes = 0; bytes <= Sizes.GiB; bytes = bytes * 3 + 1)
        {
            foreach (bool zeroed in (bool[])[true, false])
            {
                byte* block = (byte*)(zeroed ? Vmalloc.AllocZeroed(bytes) : Vmalloc.Alloc(bytes));
                nuint usable = NativeAllocator.UsableSize(block);
                Assert.True(usable >= bytes && usable >= Page && usable % Page == 0);
                Assert.Equal(0u, (nuint)block % (bytes >= HugePage ? HugePage : Page));
                if (zeroed) SparseBlock.CheckZero(block, usable);
                block[0] = block[usable - 1] = 1;
                Vmalloc.Free(block);
            }
            if (bytes >= Sizes.LargestPages) NativeAllocator.Trim(); // clearing a kept one of this size takes long
        }
    }

    [Fact]
    public void Random_steps_leave_every_block_as_it_was_written() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("alloc", "zeroed", "realloc", "realloc", "free", "other", "trim"),
            Values.Between(0, int.MaxValue)),
        120,
        steps =>
        {
            List<SparseBlock> live = [];
            ulong id = 0;
            foreach ((string kind, int pick) in steps)
            {
                nuint bytes = RandomSize((uint)pick);
                int at = live.Count == 0 ? -1 : pick % live.Count;
                if (kind is "alloc" or "zeroed" && live.Count < 12)
                {
                    void* block = kind == "alloc" ? Vmalloc.Alloc(bytes) : Vmalloc.AllocZeroed(bytes);
                    if (kind == "zeroed") SparseBlock.CheckZero(block, bytes);
                    live.Add(new SparseBlock(block, bytes, ++id << 40));
                }
                else if (kind == "realloc" && at >= 0)
                {
                    live[at].Resized(pick % 5 == 0
                        ? NativeAllocator.Realloc(live[at].Address, bytes + Sizes.MiB)
                        : Vmalloc.Realloc(live[at].Address, bytes), pick % 5 == 0 ? bytes + Sizes.MiB : bytes);
                }
                else if (kind == "free" && at >= 0)
                {
                    live[at].Check();
                    if (pick % 3 == 0) NativeAllocator.Free(live[at].Address);
                    else Vmalloc.Free(live[at].Address);
                    live.RemoveAt(at);
                }
                else if (kind == "other")
                {
                    // Leaves free pages that hold something: the next area may get their memory.
                    void* pages = PageAllocator.AllocExact(Sizes.MiB + bytes % (16 * Sizes.MiB));
                    Pattern.Fill(pages, Sizes.MiB, 99);
                    NativeAllocator.Free(pages);
                }
                else if (kind == "trim")
                {
                    NativeAllocator.Trim();
                }
                VmallocSpace.Verify();
                foreach (SparseBlock block in live) block.Check();
            }
            foreach (SparseBlock block in live) Vmalloc.Free(block.Address);
        },
        runs: 12);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Blocks_grow_from_1_MiB_to_16_GiB_by_moving_pages_and_without_touching_any(bool asAnySize)
    {
        nuint last = (nuint)1 << 34;
        long resident = ProcessMemory.ResidentBytes(), moved = SystemCounters.MovedBytes;
        nuint copied = NativeAllocator.GetStatistics().ReallocCopiedBytes;
        // Two that stand in each other's way, and more in all than the machine may have memory for.
        SparseBlock[] blocks =
            [new(Vmalloc.Alloc(Sizes.MiB), Sizes.MiB, 1), new(Vmalloc.Alloc(Sizes.MiB), Sizes.MiB, 2)];
        while (blocks[^1].Bytes < last)
        {
            foreach (SparseBlock block in blocks) Resize(block, 2 * block.Bytes);
        }
        Assert.True(SystemCounters.MovedBytes - moved >= (long)Sizes.GiB,
            "the blocks stood where they were nearly all the time, so nothing can be proved");
        Assert.Equal(copied, NativeAllocator.GetStatistics().ReallocCopiedBytes);
        Assert.InRange(ProcessMemory.ResidentBytes() - resident, long.MinValue, (long)Sizes.GiB);
        foreach (SparseBlock block in blocks)
        {
            while (block.Bytes > Sizes.MiB) Resize(block, block.Bytes / 4);
            Vmalloc.Free(block.Address);
        }

        void Resize(SparseBlock block, nuint bytes) =>
            block.Resized(asAnySize
                ? NativeAllocator.Realloc(block.Address, bytes)
                : Vmalloc.Realloc(block.Address, bytes), bytes);
    }

    [Fact]
    public void Null_allocates_and_frees_nothing()
    {
        void* block = Vmalloc.Realloc(null, 100);
        Assert.Equal(Page, NativeAllocator.UsableSize(block));
        block = Vmalloc.Realloc(block, 0);
        Assert.Equal(Page, NativeAllocator.UsableSize(block));
        Vmalloc.Free(block);
        Vmalloc.Free(null);
    }

    [Fact]
    public void The_allocator_of_any_size_takes_its_blocks_too()
    {
        byte* block = (byte*)Vmalloc.Alloc(3 * Sizes.MiB);
        Pattern.Fill(block, 3 * Sizes.MiB, 1);
        Assert.Equal(3 * Sizes.MiB, NativeAllocator.UsableSize(block));
        Assert.True(NativeAllocator.Owns(block + Sizes.MiB));
        block = (byte*)NativeAllocator.Realloc(block, 9 * Sizes.MiB);
        Pattern.Check(block, 3 * Sizes.MiB, 1);
        block = (byte*)NativeAllocator.Realloc(block, 1000); // a slab's object now
        Pattern.Check(block, 1000, 1);
        Assert.Contains("Vmalloc.Alloc", Assert.Throws<ArgumentException>(() => Vmalloc.Free(block)).Message,
            StringComparison.Ordinal);
        NativeAllocator.Free(block);
        NativeAllocator.Free(Vmalloc.Alloc(Sizes.MiB));
    }

    [Fact]
    public void Sizes_that_no_system_has_are_out_of_memory_and_the_block_stands()
    {
        SparseBlock block = new(Vmalloc.Alloc(5 * Sizes.MiB), 5 * Sizes.MiB, 1);
        foreach (nuint impossible in Sizes.Impossible)
        {
            Assert.Throws<OutOfMemoryException>(() => { Vmalloc.Alloc(impossible); });
            Assert.Throws<OutOfMemoryException>(() => { Vmalloc.AllocZeroed(impossible); });
            Assert.Throws<OutOfMemoryException>(() => { Vmalloc.Realloc(block.Address, impossible); });
            block.Check();
        }
        Vmalloc.Free(block.Address);
    }

    [Fact]
    public void A_pointer_that_is_no_block_is_refused_and_nothing_is_changed()
    {
        long local = 0;
        void* small = NativeAllocator.Alloc(100), large = NativeAllocator.Alloc(Sizes.MiB),
            freed = Vmalloc.Alloc(7 * Sizes.MiB), gone = Vmalloc.Alloc(50 * Sizes.MiB);
        Vmalloc.Free(gone);
        NativeAllocator.Trim();
        Vmalloc.Free(freed); // kept
        SparseBlock block = new(Vmalloc.Alloc(2 * Page), 2 * Page, 1);
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        foreach (nint wrong in (nint[])[(nint)(&local), 0x10000, (nint)small, (nint)large, (nint)freed, (nint)gone,
            (nint)(block.Address + 2 * Page)])
        {
            foreach (Action call in CallsOn(wrong))
            {
                string message = Assert.Throws<ArgumentException>(call).Message;
                Assert.Contains($"0x{wrong:x} is no block of Vmalloc.Alloc, or was freed before", message,
                    StringComparison.Ordinal);
            }
        }
        foreach (nuint inside in (nuint[])[1, 16, Page, 2 * Page - 1])
        {
            foreach (Action call in CallsOn((nint)(block.Address + inside)))
            {
                string message = Assert.Throws<ArgumentException>(call).Message;
                Assert.Contains($"0x{(nuint)block.Address + inside:x} is not the beginning", message,
                    StringComparison.Ordinal);
                Assert.Contains($"{inside} bytes inside the block of {2 * Page} bytes at 0x{(nuint)block.Address:x}.",
                    message, StringComparison.Ordinal);
            }
        }
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        Assert.Equal((before.LiveBytes, before.LiveBlocks, before.CachedBytes),
            (after.LiveBytes, after.LiveBlocks, after.CachedBytes));
        block.Check();
        Vmalloc.Free(block.Address);
        NativeAllocator.Free(small);
        NativeAllocator.Free(large);
    }

    [Fact]
    public void Threads_that_exchange_blocks_find_in_each_what_was_written_to_it()
    {
        const int Shared = 6, Rounds = 1500;
        SparseBlock?[] shared = new SparseBlock?[Shared];
        TestThread.RunTogether(4, number =>
        {
            Random random = new(number);
            for (int round = 0; round < Rounds; round++)
            {
                ref SparseBlock? slot = ref shared[random.Next(Shared)];
                SparseBlock? block = Interlocked.Exchange(ref slot, null);
                block?.Check();
                nuint bytes = RandomSize((uint)random.Next()) / 16;
                switch (random.Next(4))
                {
                    case 0 when block != null:
                        Vmalloc.Free(block.Address);
                        block = null;
                        break;
                    case 1 when block == null:
                        void* zeroed = Vmalloc.AllocZeroed(bytes);
                        SparseBlock.CheckZero(zeroed, bytes);
                        block = new SparseBlock(zeroed, bytes, (ulong)(number * Rounds + round) << 40);
                        break;
                    default:
                        if (block == null) block =
                            new SparseBlock(Vmalloc.Alloc(bytes), bytes, (ulong)(number * Rounds + round) << 40);
                        else block.Resized(Vmalloc.Realloc(block.Address, bytes), bytes);
                        break;
                }
                if (block != null && Interlocked.CompareExchange(ref slot, block, null) != null)
                    Vmalloc.Free(block.Address);
            }
        });
        foreach (SparseBlock? block in shared)
        {
            if (block == null) continue;
            block.Check();
            Vmalloc.Free(block.Address);
        }
        NativeAllocator.Verify();
    }

    [Fact]
    public void What_stays_in_bounds_ends_well()
    {
        ChildProcess child = ChildProcess.RunHost(VmallocAccess.Name, VmallocAccess.Inside).ShouldSucceed();
        Assert.Equal("", child.Errors);
    }

    [Fact]
    public void A_block_of_a_heap_or_a_sample_that_is_no_area_stays_one_when_it_is_refused()
    {
        using NativeHeap heap = new("of-another-member");
        nint block = (nint)heap.Alloc(700 << 10);
        nuint live = heap.LiveBytes;
        Assert.Throws<ArgumentException>(() => Vmalloc.Free((void*)block));
        Assert.Equal(live, heap.LiveBytes);
        heap.Free((void*)block);
        Assert.Equal((nuint)0, heap.LiveBytes);
    }

    [Fact]
    public void A_space_that_is_set_smaller_than_any_is_the_smallest_and_not_none() =>
        ChildProcess.RunHost([("NATIVEALLOC_VMALLOC_RESERVE_BYTES", "64K")], VmallocAccess.Name, VmallocAccess.Inside)
            .ShouldSucceed();

    [Theory]
    [InlineData(VmallocAccess.Overrun)]
    [InlineData(VmallocAccess.OverrunAfterGrowth)]
    [InlineData(VmallocAccess.AfterShrink)]
    [InlineData(VmallocAccess.AfterTrim)]
    public void An_access_out_of_bounds_or_to_what_was_given_back_ends_the_process(string mistake)
    {
        ChildProcess child = ChildProcess.RunHost(VmallocAccess.Name, mistake);
        Assert.Contains(VmallocAccess.Touching, child.Output, StringComparison.Ordinal);
        Assert.DoesNotContain(VmallocAccess.Survived, child.Output, StringComparison.Ordinal);
        Assert.NotEqual(0, child.ExitCode);
        Assert.Contains("AccessViolationException", child.Errors, StringComparison.Ordinal);
    }

    private static Action[] CallsOn(nint pointer) =>
        [() => Vmalloc.Free((void*)pointer), () => { Vmalloc.Realloc((void*)pointer, 5 * Page); }];

    // From nothing to 1 GiB, by its logarithm.
    private static nuint RandomSize(uint random) => ((nuint)1 << (int)(random % 30)) + random % 12_345;
}
