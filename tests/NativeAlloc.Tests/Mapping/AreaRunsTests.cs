using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Mapping;

/// <summary>
/// Shows that an area's runs are what was added less what was cut, that each counts as a mapping, and that a refusal
/// changes nothing.
/// </summary>
public sealed unsafe class AreaRunsTests : AreaCheckedTests
{
    private static nuint SystemPage => VirtualMemory.PageBytes;

    [Fact]
    public void An_area_of_one_run_needs_no_array()
    {
        VmallocArea* area = AddBusy(5);
        int mappings = Rest.Mappings;
        Assert.True(AreaRuns.TryAdd(area, 5 * Page, isWhole: true));
        Assert.Equal((0, 1u, 5 * Page), (area->Runs, AreaRuns.Count(area), AreaRuns.BytesOf(area, 0)));
        Assert.Equal(mappings, Rest.Mappings);
        AreaRuns.CutBack(area, 2 * Page);
        AreaRuns.CutFront(area, Page);
        Assert.Equal(0, area->Runs);
        Assert.True(AreaRuns.TryBegin(area, 5 * Page, out _)); // another is to follow
        Assert.Equal((1u, 5 * Page, mappings + 1), (area->RunCount, AreaRuns.BytesOf(area, 0), Rest.Mappings));
        Assert.True(AreaRuns.TryBegin(area, 5 * Page, out _));
        Assert.Equal(1u, area->RunCount);
        Teardown.Destroy(area);
    }

    [Theory]
    [InlineData(65, 300)] // MiB: an area that begins and goes on with huge pages, no multiple of one
    [InlineData(5, 300)] // one that comes to them
    public void To_the_system_each_run_is_one_mapping_so_that_it_can_be_moved(int mebibytes, int grownMebibytes)
    {
        SystemNeeds.Linux("a list of mappings");
        nuint bytes = (nuint)mebibytes * Sizes.MiB + Page, grownBytes = (nuint)grownMebibytes * Sizes.MiB;
        foreach (AreaEnd end in Enum.GetValues<AreaEnd>())
        {
            byte* block = (byte*)Areas.Alloc(bytes, 1, out _, MemoryChoice.FreshOnly, end: end);
            byte* wall = (byte*)Alloc(Page, choice: MemoryChoice.FreshOnly);
            for (nuint more = bytes; more <= grownBytes; more += more / 3 & ~(Page - 1))
            {
                block = (byte*)Areas.Realloc(block, more, out _, end: end);
                block[more - 1] = 1;
                ShouldBeOfWholeMappings(AreaOf(block));
            }
            Assert.True(AreaOf(block)->Huge || !Options.HugePages);
            Assert.True(Areas.TryFree(block) && Areas.TryFree(wall));
        }
    }

    [Fact]
    public void The_last_huge_page_of_what_is_used_is_charged_as_a_whole()
    {
        SystemNeeds.FreeCommit();
        Assert.SkipUnless(Options.HugePages, "There are no huge pages.");
        const nuint Bytes = 65 * Sizes.MiB;
        byte* block = (byte*)Areas.Alloc(Bytes, 1, out _, MemoryChoice.FreshOnly, end: AreaEnd.Room);
        Assert.Equal((Bytes, 66 * Sizes.MiB), (Areas.UsableBytes(block), AreaOf(block)->ChargedBytes));
        Areas.Purge(nuint.MaxValue); // of tails, to which what the system may bring in does not belong
        Assert.Equal(66 * Sizes.MiB, AreaOf(block)->ChargedBytes);
        for (nuint at = 0; at < Bytes; at += SystemPage) block[at] = 1;
        nuint resident = ResidentMemory.PagesAt((nuint)block, AreaOf(block)->SizeBytes) * SystemPage;
        Assert.True(resident <= AreaOf(block)->ChargedBytes, $"{resident} bytes are resident");
        Assert.True(Areas.TryFree(block));
        // What has its huge pages is not asked for them again.
        long calls = Platform.Calls;
        Assert.True(Areas.Alloc(64 * Sizes.MiB + Page, 1, out _, end: AreaEnd.Open) == block);
        Assert.Equal((calls, 66 * Sizes.MiB), (Platform.Calls, AreaOf(block)->ChargedBytes));
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void A_run_that_was_asked_for_is_charged_by_huge_pages_when_no_more_are_asked_for()
    {
        SystemNeeds.FreeCommit();
        Assert.SkipUnless(Options.HugePages, "There are no huge pages.");
        nuint credit = AreaDensity.Credit;
        AreaDensity.Credit = nuint.MaxValue;
        void* block = Areas.Alloc(32 * Sizes.MiB, 1, out _, MemoryChoice.FreshOnly, end: AreaEnd.Room);
        AreaDensity.Credit = 0;
        Assert.True(Areas.Realloc(block, 32 * Sizes.MiB + Page, out _, 1, AreaEnd.Room) == block);
        AreaDensity.Credit = credit;
        Assert.Equal(34 * Sizes.MiB, AreaOf(block)->ChargedBytes);
        Assert.True(Areas.TryFree(block));
    }

    private static void ShouldBeOfWholeMappings(VmallocArea* area)
    {
        nuint address = VmallocSpace.AddressOf(area);
        for (uint run = 0; run < AreaRuns.Count(area); address += AreaRuns.BytesOf(area, run++))
        {
            nuint bytes = AreaRuns.BytesOf(area, run);
            (nuint from, nuint to) = AddressSpace.MappingAt(address);
            Assert.True(from <= address && to >= address + bytes, $"run {run} of {bytes} bytes is several mappings");
        }
    }

    [Fact]
    public void Random_steps_leave_the_runs_as_a_list_would_be() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("add", "add", "add", "back", "front"), Values.Between(0, int.MaxValue)),
        200,
        steps =>
        {
            VmallocArea* area = AddBusy(1);
            int mappings = Rest.Mappings;
            List<nuint> runs = [];
            foreach ((string kind, int pick) in steps)
            {
                nuint all = runs.Aggregate((nuint)0, (sum, run) => sum + run),
                    some = all == 0 ? 0 : (nuint)pick % (all / SystemPage) * SystemPage;
                if (kind == "add")
                {
                    runs.Add((nuint)(1 + pick % 50) * SystemPage);
                    Assert.True(AreaRuns.TryAdd(area, runs[^1]));
                }
                else if (kind == "back")
                {
                    AreaRuns.CutBack(area, all - some);
                    Cut(runs, some, last: true);
                }
                else if (some != 0)
                {
                    AreaRuns.CutFront(area, some);
                    Cut(runs, some, last: false);
                }
                Assert.Equal((uint)runs.Count, area->RunCount);
                for (int run = 0; run < runs.Count; run++) Assert.Equal(runs[run], AreaRuns.BytesOf(area, (uint)run));
                Assert.Equal(mappings + runs.Count, Rest.Mappings);
            }
            Teardown.Destroy(area);
        },
        runs: 25);

    [Fact]
    public void An_array_longer_than_any_slab_has_room_for_is_a_large_block()
    {
        const uint Runs = 200_000; // of four bytes each, beyond 512 KiB
        VmallocArea* area = AddBusy(1);
        (int areas, long blocks, int limit) = (VmallocSpace.Count, LargeBlocks.Count, MappingBudget.Limit);
        MappingBudget.Limit = int.MaxValue / 2;
        for (uint run = 0; run < Runs; run++) Assert.True(AreaRuns.TryAdd(area, (1 + run % 7) * SystemPage));
        Assert.Equal((areas, blocks + 1), (VmallocSpace.Count, LargeBlocks.Count));
        for (uint run = 0; run < Runs; run++) Assert.Equal((1 + run % 7) * SystemPage, AreaRuns.BytesOf(area, run));
        Assert.Equal(1, AreaRuns.Arrays);
        Teardown.Destroy(area);
        MappingBudget.Limit = limit;
        Assert.Equal((0, 0u, blocks), (AreaRuns.Arrays, AreaRuns.ArrayBytes, LargeBlocks.Count));
    }

    [Fact]
    public void An_array_that_cannot_grow_stands_as_it_was()
    {
        VmallocArea* area = AddBusy(1);
        // No page may get memory that has none, and those that have some are taken.
        List<nint> taken = [];
        for (int run = 0; run < 1000; run++) Assert.True(AreaRuns.TryAdd(area, SystemPage));
        ResidentBudget.SetLimit(1);
        while (LargeBlocks.Alloc(Page, 1, zeroed: false, out _) is var page && page != null) taken.Add((nint)page);
        while (AreaRuns.TryAdd(area, SystemPage)) { }
        ResidentBudget.SetLimit(Options.ResidentLimitBytes);
        foreach (nint page in taken) NativeAllocator.Free((void*)page);
        uint count = area->RunCount;
        Assert.InRange(count, 1000u, (uint)MappingBudget.Limit - 1); // up to where a slab had to be made
        int mappings = Rest.Mappings;
        for (uint run = 0; run < count; run++) Assert.Equal(SystemPage, AreaRuns.BytesOf(area, run));
        Assert.True(AreaRuns.TryAdd(area, 2 * SystemPage)); // well again
        Assert.Equal((count + 1, 2 * SystemPage), (area->RunCount, AreaRuns.BytesOf(area, count)));
        Assert.True(Rest.Mappings >= mappings + 1);
        Teardown.Destroy(area);
    }

    [Fact]
    public void A_run_beyond_the_mappings_that_are_ours_is_refused()
    {
        VmallocArea* area = AddBusy(1);
        // For the array; a section that came back for it below would give mappings back.
        NativeAllocator.Free(NativeAllocator.Alloc(8));
        using (new MappingLimit(3))
        {
            for (int run = 0; run < 3; run++) Assert.True(AreaRuns.TryAdd(area, SystemPage));
            Assert.False(AreaRuns.TryAdd(area, SystemPage));
            Assert.Equal(3u, area->RunCount);
            AreaRuns.CutBack(area, SystemPage);
            Assert.True(AreaRuns.TryAdd(area, SystemPage));
        }
        Teardown.Destroy(area);
    }

    private static void Cut(List<nuint> runs, nuint bytes, bool last)
    {
        while (bytes != 0)
        {
            int at = last ? runs.Count - 1 : 0;
            nuint cut = Math.Min(bytes, runs[at]);
            runs[at] -= cut;
            bytes -= cut;
            if (runs[at] == 0) runs.RemoveAt(at);
        }
    }
}
