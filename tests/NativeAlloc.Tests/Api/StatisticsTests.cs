using NativeAlloc.Os;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that <c>GetStatistics</c> tells where memory is: to the byte what is live, and without contradiction all
/// else.
/// </summary>
public sealed unsafe class StatisticsTests : LeakCheckedTests
{
    [Fact]
    public void Live_bytes_and_blocks_go_up_and_down_by_exactly_what_is_allocated_and_freed()
    {
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            AllocatorStatistics before = NativeAllocator.GetStatistics();
            void* block = NativeAllocator.Alloc(bytes);
            AllocatorStatistics during = NativeAllocator.GetStatistics();
            Assert.Equal(before.LiveBytes + NativeAllocator.UsableSize(block), during.LiveBytes);
            Assert.Equal(before.LiveBlocks + 1, during.LiveBlocks);
            NativeAllocator.Free(block);
            AllocatorStatistics after = NativeAllocator.GetStatistics();
            Assert.Equal(before.LiveBytes, after.LiveBytes);
            Assert.Equal(before.LiveBlocks, after.LiveBlocks);
        }
    }

    [Fact]
    public void Live_bytes_follow_a_block_that_is_resized()
    {
        nuint before = NativeAllocator.GetStatistics().LiveBytes;
        void* block = NativeAllocator.Alloc(1);
        foreach (nuint bytes in new nuint[] { 100, 5000, 100_000, Sizes.MiB, 20 * Sizes.MiB, 3 * Sizes.MiB,
            70 * Sizes.MiB, 120 * Sizes.MiB, 66 * Sizes.MiB, 50, 7 })
        {
            block = NativeAllocator.Realloc(block, bytes);
            Assert.Equal(before + NativeAllocator.UsableSize(block), NativeAllocator.GetStatistics().LiveBytes);
        }
        NativeAllocator.Free(block);
        Assert.Equal(before, NativeAllocator.GetStatistics().LiveBytes);
    }

    [Fact]
    public void Live_bytes_count_what_one_thread_allocated_and_another_freed()
    {
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        nint[] blocks = new nint[10_000];
        TestThread.RunOnNew(() =>
        {
            for (int i = 0; i < blocks.Length; i++) blocks[i] = (nint)NativeAllocator.Alloc((nuint)(i % 700));
        });
        AllocatorStatistics during = NativeAllocator.GetStatistics();
        nuint sum = 0;
        foreach (nint block in blocks) sum += NativeAllocator.UsableSize((void*)block);
        Assert.Equal(before.LiveBytes + sum, during.LiveBytes);
        Assert.Equal(before.LiveBlocks + blocks.Length, during.LiveBlocks);
        TestThread.RunOnNew(() =>
        {
            foreach (nint block in blocks) NativeAllocator.Free((void*)block);
        });
        Assert.Equal(before.LiveBytes, NativeAllocator.GetStatistics().LiveBytes);
    }

    [Fact]
    public void What_is_live_cached_and_free_is_part_of_what_is_committed()
    {
        List<nint> blocks = [];
        for (int i = 0; i < 40_000; i++)
        {
            blocks.Add((nint)NativeAllocator.Alloc((nuint)(i % 3000)));
            if (i % 3 == 0)
            {
                NativeAllocator.Free((void*)blocks[i / 3]);
                blocks[i / 3] = 0;
            }
            if (i % 5000 == 0) CheckWhole();
        }
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
        CheckWhole();

        static void CheckWhole()
        {
            AllocatorStatistics figures = NativeAllocator.GetStatistics();
            nuint parts = figures.LiveBytes + figures.CachedBytes + figures.SlabFreeBytes + figures.FreePageBytes;
            Assert.True(parts <= figures.CommittedBytes, $"the parts are {parts} in all: {figures}");
            // What is missing is magazines in use, the ends of slabs, and pages on their way: little.
            Assert.True(figures.CommittedBytes - parts <= figures.CommittedBytes / 8,
                $"the parts are {parts} in all: {figures}");
            Assert.True(figures.CommittedBytes <= figures.ReservedBytes);
            Assert.True(figures.ResidentEstimateBytes <= figures.CommittedBytes);
        }
    }

    [Fact]
    public void A_huge_block_is_committed_and_counted_as_resident_and_kept_until_a_trim()
    {
        NativeAllocator.Free(NativeAllocator.Alloc(100 * Sizes.MiB)); // the first one needs a table as well
        Rest.GiveBack();
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        void* block = NativeAllocator.Alloc(100 * Sizes.MiB);
        AllocatorStatistics during = NativeAllocator.GetStatistics();
        NativeAllocator.Free(block);
        AllocatorStatistics freed = NativeAllocator.GetStatistics();
        Rest.GiveBack(); // as a trim, but that asks what is resident
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        Assert.Equal(before.ReservedBytes, during.ReservedBytes);
        Assert.Equal(before.CommittedBytes + 100 * Sizes.MiB, during.CommittedBytes);
        Assert.Equal(before.ResidentEstimateBytes + 100 * Sizes.MiB, during.ResidentEstimateBytes);
        Assert.Equal((during.CommittedBytes, during.ResidentEstimateBytes, during.OsCalls),
            (freed.CommittedBytes, freed.ResidentEstimateBytes, freed.OsCalls));
        Assert.Equal(during.CachedBytes + 100 * Sizes.MiB, freed.CachedBytes);
        Assert.Equal((before.CommittedBytes, before.ResidentEstimateBytes, before.CachedBytes),
            (after.CommittedBytes, after.ResidentEstimateBytes, after.CachedBytes));
        Assert.Equal(before.OsCalls + 2, during.OsCalls); // one to commit, one to ask for huge pages
        Assert.Equal(before.OsCalls + 3, after.OsCalls); // and one to unmap
    }

    [Fact]
    public void Freed_small_blocks_are_cached_and_freed_pages_are_free()
    {
        NativeAllocator.Trim();
        void* small = NativeAllocator.Alloc(1000);
        nuint bytes = NativeAllocator.UsableSize(small);
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        NativeAllocator.Free(small);
        Assert.Equal(before.CachedBytes + bytes, NativeAllocator.GetStatistics().CachedBytes);

        void* large = NativeAllocator.Alloc(Sizes.MiB);
        before = NativeAllocator.GetStatistics();
        NativeAllocator.Free(large);
        Assert.Equal(before.FreePageBytes + Sizes.MiB, NativeAllocator.GetStatistics().FreePageBytes);
    }

    [Fact]
    public void Locks_are_counted_and_the_fast_paths_take_none()
    {
        NativeAllocator.Free(NativeAllocator.Alloc(100));
        // Reading the figures takes locks itself, always the same number.
        long first = NativeAllocator.GetStatistics().LockAcquisitions;
        long own = NativeAllocator.GetStatistics().LockAcquisitions - first;
        for (int i = 0; i < 10_000; i++) NativeAllocator.Free(NativeAllocator.Alloc(100));
        long fast = NativeAllocator.GetStatistics().LockAcquisitions;
        Assert.Equal(first + 2 * own, fast);
        NativeAllocator.Free(NativeAllocator.Alloc(Sizes.MiB));
        Assert.True(NativeAllocator.GetStatistics().LockAcquisitions > fast + own);
    }

    [Fact]
    public void A_thread_that_takes_over_a_dead_threads_cache_is_counted()
    {
        NativeAllocator.Trim(); // so that no block is left to take
        TestThread.RunOnNew(() => NativeAllocator.Free(NativeAllocator.Alloc(100)));
        long before = NativeAllocator.GetStatistics().Adoptions;
        TestThread.RunOnNew(() => NativeAllocator.Free(NativeAllocator.Alloc(100)));
        Assert.Equal(before + 1, NativeAllocator.GetStatistics().Adoptions);
    }

    [Fact]
    public void A_trim_adopts_nothing()
    {
        NativeAllocator.Trim();
        TestThread.RunOnNew(() => NativeAllocator.Free(NativeAllocator.Alloc(100)));
        long before = NativeAllocator.GetStatistics().Adoptions;
        NativeAllocator.Trim();
        Assert.Equal(before, NativeAllocator.GetStatistics().Adoptions);
    }

    [Fact]
    public void What_is_cached_is_told_layer_by_layer()
    {
        NativeAllocator.Trim();
        void* page = PageAllocator.GetFreePage(), small = NativeAllocator.Alloc(1000);
        nuint bytes = NativeAllocator.UsableSize(small);
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        NativeAllocator.Free(small);
        PageAllocator.FreePage(page);
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        Assert.Equal(before.MagazineBytes + bytes, after.MagazineBytes);
        Assert.Equal(before.HotPageBytes + PageAllocator.PageSize, after.HotPageBytes);
        Assert.Equal(after.MagazineBytes + after.HotPageBytes, after.CachedBytes);
    }

    [Fact]
    public void Free_pages_are_dirty_until_they_are_purged()
    {
        NativeAllocator.Trim();
        Assert.Equal((nuint)0, NativeAllocator.GetStatistics().DirtyFreeBytes);
        void* large = NativeAllocator.Alloc(Sizes.MiB);
        Assert.Equal((nuint)0, NativeAllocator.GetStatistics().DirtyFreeBytes); // what is taken is not free
        NativeAllocator.Free(large);
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        Assert.Equal(Sizes.MiB, before.DirtyFreeBytes);
        NativeAllocator.Trim();
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        Assert.Equal((nuint)0, after.DirtyFreeBytes);
        Assert.InRange(after.PurgedBytes - before.PurgedBytes, Sizes.MiB, nuint.MaxValue);
    }

    [Theory]
    [InlineData(100, 1000)]
    [InlineData(1000, 100)]
    [InlineData(1000, 100_000)]
    [InlineData(100_000, 200_000)]
    [InlineData(200_000, 500)]
    public void What_realloc_copies_is_counted(uint from, uint to)
    {
        void* block = NativeAllocator.Alloc(from);
        nuint bytes = NativeAllocator.UsableSize(block), before = NativeAllocator.GetStatistics().ReallocCopiedBytes;
        block = NativeAllocator.Realloc(block, bytes); // stays where it is
        Assert.Equal(before, NativeAllocator.GetStatistics().ReallocCopiedBytes);
        block = NativeAllocator.Realloc(block, to);
        NativeAllocator.Free(block);
        Assert.Equal(before + Math.Min(bytes, to), NativeAllocator.GetStatistics().ReallocCopiedBytes);
    }

    [Fact]
    public void Memory_that_realloc_moves_is_counted_as_moved_and_where_the_system_moves_none_as_copied()
    {
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        NativeAllocator.Free(NativeAllocator.Realloc(PageAllocator.AllocExact(4 * Sizes.MiB), 70 * Sizes.MiB));
        AllocatorStatistics moved = NativeAllocator.GetStatistics();
        Assert.Equal(before.MovedBytes + 4 * Sizes.MiB, moved.MovedBytes);
        Assert.Equal(before.ReallocCopiedBytes, moved.ReallocCopiedBytes);

        void* pages = PageAllocator.AllocExact(4 * Sizes.MiB);
        NativeAllocator.ReleaseThreadCache(); // a thread that has no block to count in
        using (new InjectedFaults(OsCall.Move))
            NativeAllocator.Free(NativeAllocator.Realloc(pages, 70 * Sizes.MiB));
        Assert.True(CurrentThread.t_block == null);
        AllocatorStatistics copied = NativeAllocator.GetStatistics();
        Assert.Equal(moved.MovedBytes, copied.MovedBytes);
        Assert.Equal(moved.ReallocCopiedBytes + 4 * Sizes.MiB, copied.ReallocCopiedBytes);
    }

    [Fact]
    public void What_a_thread_copied_stays_counted_when_it_has_ended()
    {
        nuint before = NativeAllocator.GetStatistics().ReallocCopiedBytes, bytes = 0;
        for (int i = 0; i < 3; i++)
        {
            TestThread.RunOnNew(() =>
            {
                void* block = NativeAllocator.Alloc(1000);
                bytes += NativeAllocator.UsableSize(block);
                NativeAllocator.Free(NativeAllocator.Realloc(block, 5000));
            });
        }
        NativeAllocator.Trim();
        Assert.Equal(before + bytes, NativeAllocator.GetStatistics().ReallocCopiedBytes);
    }
}
