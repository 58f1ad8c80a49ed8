using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Mapping;

/// <summary>
/// Shows where an area's memory comes from: kept areas and free pages, whose memory is moved and leaves nothing behind,
/// down to single pages, and within the mappings that are ours.
/// </summary>
public sealed unsafe class AreaGatherTests : AreaCheckedTests
{
    private const nuint PageblockBytes = 2 * Sizes.MiB;

    public AreaGatherTests() => SystemNeeds.Moves();

    [Fact]
    public void The_memory_of_free_pages_is_moved_and_their_frames_are_clean()
    {
        using Donor donor = new(16 * Sizes.MiB);
        long moved = SystemCounters.MovedBytes;
        byte* block = AllocGathered(20 * Sizes.MiB);
        Assert.True(SystemCounters.MovedBytes - moved >= (long)(16 * Sizes.MiB));
        // it came along
        Assert.Equal(16 * Sizes.MiB, ResidentMemory.PagesAt((nuint)block, 20 * Sizes.MiB) * VirtualMemory.PageBytes);
        Assert.Equal(0u, donor.DirtyPages);
        Assert.True(donor.ReadsAsZero, "the old contents are still where they were");
        Pattern.Fill(block, 20 * Sizes.MiB, 1);
        Pattern.Check(block, 20 * Sizes.MiB, 1);
        Assert.True(donor.ReadsAsZero, "the area and the pages have memory in common");
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void Free_pages_that_the_buddy_is_to_keep_are_left_to_it_where_the_system_has_memory_after_all()
    {
        using Donor donor = new(16 * Sizes.MiB);
        AreaMemory.BuddysPages = 1u << 30;
        byte* block = AllocGathered(20 * Sizes.MiB);
        Assert.Equal(donor.Pages, donor.DirtyPages);
        Assert.Equal(0u, AreaOf(block)->RunCount); // all of it from the system
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void Moved_memory_reads_as_zero_where_that_is_asked_for()
    {
        using Donor donor = new(16 * Sizes.MiB);
        byte* block = AllocGathered(40 * Sizes.MiB, zeroed: true);
        Assert.Equal(0u, donor.DirtyPages);
        Pattern.CheckZero(block, 40 * Sizes.MiB);
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void Pages_whose_memory_cannot_be_moved_stay_dirty_and_free()
    {
        using Donor donor = new(16 * Sizes.MiB);
        nuint free = NativeAllocator.GetStatistics().FreePageBytes;
        byte* block = AllocGathered(20 * Sizes.MiB, failing: OsCall.Move);
        Assert.Equal(donor.Pages, donor.DirtyPages);
        Assert.Equal(free, NativeAllocator.GetStatistics().FreePageBytes);
        Assert.Equal(0u, AreaOf(block)->RunCount); // all of it from the system
        Pattern.CheckZero(block, 20 * Sizes.MiB);
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void Smaller_kept_areas_become_part_of_a_larger_one()
    {
        byte* one = (byte*)Alloc(6 * Sizes.MiB), other = (byte*)Alloc(4 * Sizes.MiB);
        Pattern.Fill(one, 6 * Sizes.MiB, 1);
        Pattern.Fill(other, 4 * Sizes.MiB, 2);
        Assert.True(Areas.TryFree(one) && Areas.TryFree(other));
        int areas = VmallocSpace.Count;
        byte* block = AllocGathered(16 * Sizes.MiB);
        Assert.Equal((0, areas - 1), (KeptAreas.Count, VmallocSpace.Count));
        Assert.Equal(3u, AreaOf(block)->RunCount);
        Pattern.Check(block, 6 * Sizes.MiB, 1); // the largest first
        Pattern.Check(block + 6 * Sizes.MiB, 4 * Sizes.MiB, 2);
        Pattern.CheckZero(block + 10 * Sizes.MiB, 6 * Sizes.MiB);
        Assert.True(Areas.TryFree(block));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_area_that_was_written_densely_may_not_be_so_with_what_was_gathered(bool kept)
    {
        using ScatteredBlocks? scattered = kept ? null : new ScatteredBlocks(4);
        void* small = kept ? Alloc(6 * Sizes.MiB) : null;
        VmallocArea* area = AddCharged(64);
        Areas.TryFree(small);
        area->IsDense = true;
        ResidentBudget.SetLimit(ResidentBudget.ChargedBytes + 2 * Sizes.MiB); // too little, so memory is gathered
        bool used = AreaMemory.TryUse(area, area->Pages + 64, 0, MemoryChoice.FreshFirst, out _);
        ResidentBudget.SetLimit(Options.ResidentLimitBytes);
        Assert.True(used, "the area has become longer");
        Assert.Equal(kept ? 2 * Sizes.MiB : 0, KeptAreas.Bytes);
        Assert.False(area->IsDense);
        Teardown.Destroy(area);
    }

    [Fact]
    public void What_is_left_of_a_larger_kept_area_is_kept()
    {
        byte* large = (byte*)Alloc(10 * Sizes.MiB);
        Pattern.Fill(large, 10 * Sizes.MiB, 1);
        Assert.True(Areas.TryFree(large));
        byte* block = AllocGathered(4 * Sizes.MiB);
        Assert.Equal((1, 6 * Sizes.MiB), (KeptAreas.Count, KeptAreas.Bytes));
        Pattern.Check(block, 4 * Sizes.MiB, 1);
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt((nuint)large));
        Assert.True(Alloc(6 * Sizes.MiB) == large + 4 * Sizes.MiB);
        Assert.True(Areas.TryFree(large + 4 * Sizes.MiB));
        Assert.True(Areas.TryFree(block));
    }

    [Theory]
    [InlineData(nameof(OsCall.Move))]
    [InlineData(nameof(OsCall.Decommit))]
    public void A_kept_area_that_cannot_be_divided_is_lost_to_nobody(string failing)
    {
        byte* large = (byte*)Alloc(10 * Sizes.MiB);
        Pattern.Fill(large, 10 * Sizes.MiB, 1);
        Assert.True(Areas.TryFree(large));
        byte* block = AllocGathered(4 * Sizes.MiB, zeroed: true, failing: Enum.Parse<OsCall>(failing));
        Pattern.CheckZero(block, 4 * Sizes.MiB);
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void A_kept_area_that_was_divided_within_a_page_is_not_kept_again()
    {
        // Its first run is a few system pages, and the move of the second fails.
        void* pages = NativeAllocator.Alloc(Sizes.MiB);
        Pattern.Fill(pages, 9 * VirtualMemory.PageBytes, 1);
        byte* kept = (byte*)Areas.AllocFrom(pages, 9 * VirtualMemory.PageBytes, 3 * Sizes.MiB, out _);
        NativeAllocator.Free(pages);
        Pattern.Check(kept, 9 * VirtualMemory.PageBytes, 1);
        Pattern.Fill(kept, 3 * Sizes.MiB, 2);
        Assert.True(Areas.TryFree(kept));
        NativeAllocator.Verify();
        byte* block = AllocGathered(2 * Sizes.MiB, zeroed: true, failing: OsCall.Move, succeeding: 1);
        Assert.Equal(0, KeptAreas.Count);
        Assert.Equal(2u, AreaOf(block)->RunCount);
        Pattern.CheckZero(block, 2 * Sizes.MiB);
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void Where_mappings_run_short_an_area_comes_in_fewer_runs_or_not_at_all()
    {
        foreach (int more in (int[])[2 + 3, 2 + 1, 2]) // the area's own and some runs
        {
            using ScatteredBlocks scattered = new(8);
            byte* block;
            using (new MappingLimit(more)) block = AllocGathered(32 * Sizes.MiB, zeroed: true);
            Assert.InRange(AreaRuns.Count(AreaOf(block)), 1u, (uint)more - 1);
            Pattern.CheckZero(block, 32 * Sizes.MiB);
            Assert.True(Areas.TryFree(block));
            NativeAllocator.Trim();
        }
        using (new MappingLimit(1)) Assert.True(Areas.Alloc(32 * Sizes.MiB, 1, out _) == null);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void At_the_limit_of_mappings_a_kept_area_goes_for_a_new_one(bool withoutMemory)
    {
        Assert.True(Areas.TryFree(Alloc(5 * Page)));
        if (withoutMemory) Areas.Purge(nuint.MaxValue);
        using (new MappingLimit(0)) Assert.True(Areas.TryFree(Alloc(50 * Page)));
        Assert.Equal(1, KeptAreas.Count);
    }

    [Fact]
    public void A_block_that_cannot_grow_for_want_of_mappings_stands_as_it_was()
    {
        byte* block = (byte*)Alloc(5 * Page, choice: MemoryChoice.FreshOnly);
        Pattern.Fill(block, 5 * Page, 4);
        using (new MappingLimit(0)) Assert.True(Areas.Realloc(block, 64 * Sizes.MiB, out _) == null);
        Assert.Equal(5 * Page, Areas.UsableBytes(block));
        Pattern.Check(block, 5 * Page, 4);
        Assert.True(Areas.TryFree(block));
    }

    [Theory]
    [InlineData(PageFlags.None)]
    [InlineData(PageFlags.Movable)] // of whatever type they are
    public void An_area_of_64_MiB_is_made_of_scattered_single_pages_where_there_is_nothing_else(PageFlags type)
    {
        const uint Wanted = 1024, Spare = 40; // for the array of runs
        List<nint> held = [], scattered = [], ballast = [];
        HashSet<nuint> indexes = [];
        while (scattered.Count < Wanted + Spare)
        {
            byte* page = (byte*)PageAllocator.GetFreePage(type);
            Pattern.Fill(page, Page, LinearRegion.PageIndexOf(page));
            nuint index = LinearRegion.PageIndexOf(page);
            indexes.Add(index);
            // Freed later: odd pages whose even buddy stays.
            if (index % 2 != 0 && indexes.Contains(index - 1)) scattered.Add((nint)page);
            else held.Add((nint)page);
        }
        NativeAllocator.Trim();
        long moved = SystemCounters.MovedBytes;
        using (new InjectedFaults(OsCall.Commit))
        {
            for (int order = PageAllocator.MaxOrder; order >= 0; order--)
                while (LargeBlocks.Alloc(Page << order, 1, zeroed: false, out _) is var block && block != null)
                    ballast.Add((nint)block);
            foreach (nint page in scattered) PageAllocator.FreePage((void*)page);
            PageLayer.DrainThreads();
            long[] free = Zones.FreeBlocks();
            Assert.Equal((long)(Wanted + Spare), free[0]);
            Assert.All(free.Skip(1), count => Assert.Equal(0, count));

            byte* area = (byte*)Vmalloc.Alloc(Wanted * Page);
            uint runs = AreaRuns.Count(AreaOf(area));
            TestContext.Current.SendDiagnosticMessage(
                $"64 MiB from {runs} runs, {SystemCounters.MovedBytes - moved} bytes moved, {MappingBudget.InUse} " +
                $"mappings in use of {MappingBudget.Limit}");
            uint single =
                (uint)Enumerable.Range(0, (int)runs).Count(run => AreaRuns.BytesOf(AreaOf(area), (uint)run) == Page);
            Assert.Equal(Wanted, single);
            Assert.Equal((long)(Wanted * Page), SystemCounters.MovedBytes - moved);
            Pattern.Fill(area, Wanted * Page, 5);
            Pattern.Check(area, Wanted * Page, 5);
            nint[] clean =
                [.. scattered.Where(page => !LinearRegion.Dirty.IsSet((uint)LinearRegion.PageIndexOf((void*)page)))];
            Assert.InRange(clean.Length, (int)(Wanted - Spare), (int)Wanted); // the array has used some since
            Assert.All(clean, page => Assert.Equal(Pattern.None, Pattern.FindNonZero((void*)page, Page)));
            Vmalloc.Free(area);
        }
        foreach (nint page in held)
        {
            Pattern.Check((void*)page, Page, LinearRegion.PageIndexOf((void*)page));
            PageAllocator.FreePage((void*)page);
        }
        foreach (nint block in ballast) NativeAllocator.Free((void*)block);
    }

    [Fact]
    public void An_area_that_was_shortened_in_vain_gives_no_more_than_it_is_charged_with()
    {
        byte* large = (byte*)Alloc(10 * Sizes.MiB);
        Pattern.Fill(large, 10 * Sizes.MiB, 1);
        nuint charged = ResidentBudget.ChargedBytes;
        using (new InjectedFaults(OsCall.Decommit)) Assert.True(Areas.Realloc(large, 2 * Sizes.MiB, out _) == large);
        Assert.Equal(charged - 8 * Sizes.MiB, ResidentBudget.ChargedBytes); // its memory is gone, its length is not
        Assert.True(Areas.TryFree(large));
        Assert.Equal(2 * Sizes.MiB, KeptAreas.Bytes);
        byte* block = AllocGathered(6 * Sizes.MiB);
        Assert.Equal(6 * Sizes.MiB, AreaOf(block)->ChargedBytes);
        Assert.True(Areas.TryFree(block));
        NativeAllocator.Trim(); // also the array of its runs
        Assert.Equal(charged - 10 * Sizes.MiB, ResidentBudget.ChargedBytes);
    }

    // An area that is not a kept one, when the system has first said that it has no memory.
    private static byte* AllocGathered(
        nuint bytes, bool zeroed = false, OsCall failing = OsCall.Commit, int succeeding = int.MaxValue)
    {
        bool isRefused = false;
        if (failing != OsCall.Commit && succeeding == int.MaxValue) succeeding = 0;
        using InjectedFaults faults = new(call =>
        {
            bool isFirstCommit = call == OsCall.Commit && !isRefused;
            isRefused |= isFirstCommit;
            return isFirstCommit || (call == failing && failing != OsCall.Commit && succeeding-- <= 0);
        });
        return (byte*)Alloc(bytes, choice: MemoryChoice.FreshFirst, zeroed: zeroed);
    }

    /// <summary>Pageblocks that are free and hold memory, none beside another.</summary>
    private sealed class ScatteredBlocks : IDisposable
    {
        private readonly nint[] _held;

        internal ScatteredBlocks(int count)
        {
            nint[] all = new nint[2 * count];
            for (int i = 0; i < all.Length; i++)
            {
                all[i] = (nint)PageAllocator.GetFreePages(Pageblock.Order);
                Pattern.Fill((void*)all[i], PageblockBytes, Donor.Id);
            }
            Array.Sort(all);
            _held = [.. all.Where((_, i) => i % 2 == 0)];
            NativeAllocator.Trim();
            foreach (nint block in all.Where((_, i) => i % 2 != 0)) NativeAllocator.Free((void*)block);
        }

        public void Dispose()
        {
            foreach (nint block in _held) NativeAllocator.Free((void*)block);
        }
    }
}
