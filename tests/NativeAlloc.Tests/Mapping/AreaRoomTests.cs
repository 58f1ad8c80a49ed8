using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Mapping;

/// <summary>
/// Shows that an area grows within its room, serves others after it was freed, and is cleared, all without a system
/// call, and that what it holds beyond its used part is charged, found and given back.
/// </summary>
public sealed unsafe class AreaRoomTests : AreaCheckedTests
{
    [Fact]
    public void A_block_that_grows_is_copied_once_and_then_grows_without_a_system_call()
    {
        SystemNeeds.FreeCommit();
        byte* block = (byte*)NativeAllocator.Alloc(200 * Sizes.KiB);
        Pattern.Fill(block, 200 * Sizes.KiB, 1);
        block = (byte*)NativeAllocator.Realloc(block, 300 * Sizes.KiB);
        Pattern.Check(block, 200 * Sizes.KiB, 1);
        nuint copied = NativeAllocator.GetStatistics().ReallocCopiedBytes;
        long calls = Platform.Calls;
        for (nuint bytes = 300 * Sizes.KiB; bytes <= 4 * Sizes.MiB; bytes += 100 * Sizes.KiB)
        {
            Assert.True(NativeAllocator.Realloc(block, bytes) == block);
            Assert.Equal(AreaOf(block)->UsedBytes, AreaOf(block)->ChargedBytes);
        }
        Assert.Equal(calls, Platform.Calls);
        Assert.Equal(copied, NativeAllocator.GetStatistics().ReallocCopiedBytes);
        Pattern.Check(block, 200 * Sizes.KiB, 1);
        NativeAllocator.Free(block);
    }

    [Fact]
    public void Room_is_neither_charged_nor_found_nor_resident()
    {
        nuint charged = ResidentBudget.ChargedBytes;
        byte* block = AllocRoomy(5 * Page);
        Assert.Equal(charged + 5 * Page, ResidentBudget.ChargedBytes);
        Assert.Equal(5 * Page, Areas.UsableBytes(block));
        Assert.True(Areas.TryFind(block + 5 * Page - 1, out _, out _));
        Assert.False(Areas.TryFind(block + 5 * Page, out _, out _));
        Assert.True(AreaOf(block)->Pages >= 64);
        Assert.Equal(0u, ResidentMemory.PagesAt((nuint)block, AreaOf(block)->SizeBytes));
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void Where_the_system_gives_no_room_an_area_is_as_long_as_it_was_asked_to_be()
    {
        byte* block = null;
        FaultPlan plan = new(OsCall.Commit, 0, andAllLater: false);
        plan.Run(() => block = AllocRoomy(5 * Page));
        Assert.Equal(1, plan.Injected);
        Assert.Equal((5u, 5u), (AreaOf(block)->Pages, AreaOf(block)->UsedPages));
        Pattern.Fill(block, 5 * Page, 1);
        byte* grown = (byte*)Areas.Realloc(block, 90 * Page, out _, end: AreaEnd.Room);
        Pattern.Check(grown, 5 * Page, 1);
        Assert.True(Areas.TryFree(grown));
    }

    [Fact]
    public void Where_commit_is_charged_the_room_of_a_block_that_cannot_grow_is_not_left_committed()
    {
        if (OperatingSystem.IsLinux()) ChildProcess.RunHost(CommitCharged.Name).ShouldSucceed();
    }

    [Fact]
    public void A_block_that_becomes_smaller_gives_its_memory_back_at_once_and_keeps_the_addresses()
    {
        SystemNeeds.FreeCommit();
        byte* block = AllocRoomy(64 * Page);
        Pattern.Fill(block, 64 * Page, 1);
        nuint charged = ResidentBudget.ChargedBytes;
        Assert.True(NativeAllocator.Realloc(block, 33 * Page) == block);
        Assert.Equal(charged - 31 * Page, ResidentBudget.ChargedBytes);
        Assert.Equal(0u, ResidentMemory.PagesAt((nuint)block + 33 * Page, 31 * Page));
        Pattern.Check(block, 33 * Page, 1);
        long calls = Platform.Calls;
        Assert.True(NativeAllocator.Realloc(block, 64 * Page) == block);
        Assert.Equal(calls, Platform.Calls);
        Pattern.CheckZero(block + 33 * Page, 31 * Page);
        Assert.True(Areas.TryFree(block));
    }

    [Theory]
    [InlineData(20)]
    [InlineData(64)]
    [InlineData(90)]
    public void A_freed_area_serves_smaller_and_larger_requests_without_a_system_call(int pages)
    {
        SystemNeeds.FreeCommit();
        byte* block = AllocRoomy(64 * Page); // with room for four times as much
        Pattern.Fill(block, 64 * Page, 1);
        Assert.True(Areas.TryFree(block));
        long calls = Platform.Calls;
        nuint bytes = (nuint)pages * Page;
        byte* other = (byte*)Areas.Alloc(bytes, 1, out _, zeroed: true, end: AreaEnd.Open);
        Assert.True(other == block);
        Assert.Equal((calls, 0), (Platform.Calls, KeptAreas.Count));
        Pattern.CheckZero(other, bytes);
        if (pages > 64) Pattern.Fill(other, bytes, 2);
        Assert.Equal(Math.Max(bytes, 64 * Page), AreaOf(other)->ChargedBytes);
        Assert.Equal(AreaOf(other)->TailBytes, Areas.TailBytes);
        Assert.True(Areas.TryFree(other));
        Assert.Equal(0u, Areas.TailBytes);
    }

    [Fact]
    public void What_was_never_touched_is_not_cleared()
    {
        byte* block = AllocRoomy(5 * Page);
        Pattern.Fill(block, 5 * Page, 1);
        Assert.True(Areas.TryFree(block));
        byte* other = (byte*)Areas.Alloc(60 * Page, 1, out _, zeroed: true, end: AreaEnd.Open);
        Assert.True(other == block);
        Assert.Equal(0u, ResidentMemory.PagesAt((nuint)other + 5 * Page, 55 * Page));
        Pattern.CheckZero(other, 60 * Page);
        Assert.True(Areas.TryFree(other));
    }

    [Fact]
    public void A_small_request_gets_no_very_large_area()
    {
        byte* block = AllocRoomy(400 * Page);
        Assert.True(Areas.TryFree(block));
        byte* small = (byte*)Areas.Alloc(20 * Page, 1, out _, end: AreaEnd.Open);
        Assert.True(small != block);
        byte* half = (byte*)Areas.Alloc(200 * Page, 1, out _, end: AreaEnd.Open);
        Assert.True(half == block);
        Assert.True(Areas.TryFree(small) && Areas.TryFree(half));
    }

    [Fact]
    public void What_a_live_area_holds_behind_its_used_part_goes_when_it_was_idle_for_a_period()
    {
        byte* block = AllocWithTail();
        nuint charged = ResidentBudget.ChargedBytes;
        Assert.Equal(0u, Areas.Release(keptBefore: 0));
        Assert.Equal(44 * Page, Areas.TailBytes); // noted
        Assert.Equal(44 * Page, Areas.Release(keptBefore: 0));
        Assert.Equal((0u, charged - 44 * Page), (Areas.TailBytes, ResidentBudget.ChargedBytes));
        Pattern.Check(block, 20 * Page, 1);
        Assert.Equal(0u, ResidentMemory.PagesAt((nuint)block + 20 * Page, 44 * Page));
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void What_a_live_area_holds_behind_its_used_part_goes_at_once_where_memory_is_wanted()
    {
        byte* block = AllocWithTail();
        Assert.Equal(44 * Page, NativeAllocator.GetStatistics().KeptAreaBytes);
        using (new InjectedFaults(OsCall.Purge)) Areas.Purge(Page);
        Assert.Equal(44 * Page, Areas.TailBytes);
        Assert.Equal(44 * Page, Areas.Purge(Page));
        Assert.Equal(0u, Areas.TailBytes);
        Pattern.Check(block, 20 * Page, 1);
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void Kept_areas_give_back_as_much_as_is_wanted_and_stay()
    {
        byte* block = AllocRoomy(64 * Page);
        Pattern.Fill(block, 64 * Page, 1);
        Assert.True(Areas.TryFree(block));
        Assert.Equal(20 * Page, Areas.Purge(20 * Page));
        Assert.Equal((1, 44 * Page), (KeptAreas.Count, KeptAreas.Bytes));
        Assert.Equal(0u, ResidentMemory.PagesAt((nuint)block + 44 * Page, 20 * Page));
        Assert.Equal(44 * Page, Areas.Purge(nuint.MaxValue));
        Assert.Equal((1, 0u), (KeptAreas.Count, KeptAreas.Bytes));
        Assert.Equal(0u, Areas.Purge(nuint.MaxValue));
    }

    [Fact]
    public void An_area_whose_tail_is_being_given_back_can_be_freed()
    {
        byte* block = AllocWithTail();
        VmallocArea* area = AreaOf(block);
        Assert.True(area->TryChange(AreaState.Live, AreaState.Trimmed));
        Assert.Equal(20 * Page, Areas.UsableBytes(block));
        bool isFreed = false;
        Thread thread = new(() => isFreed = Areas.TryFree(block));
        thread.Start();
        Assert.False(thread.Join(0) && !isFreed, "it did not wait");
        area->SetState(AreaState.Live);
        thread.Join();
        Assert.True(isFreed);
    }

    private static byte* AllocRoomy(nuint bytes)
    {
        void* block = Areas.Alloc(bytes, 1, out _, MemoryChoice.FreshFirst, zeroed: false, AreaEnd.Room);
        Assert.True(block != null, "there is no memory for an area");
        return (byte*)block;
    }

    // 20 pages are used, and 44 more hold something.
    private static byte* AllocWithTail()
    {
        byte* block = AllocRoomy(64 * Page);
        Pattern.Fill(block, 64 * Page, 3);
        Assert.True(Areas.TryFree(block));
        byte* other = (byte*)Areas.Alloc(20 * Page, 1, out _, end: AreaEnd.Open);
        Assert.True(other == block && Areas.TailBytes == 44 * Page);
        Pattern.Fill(other, 20 * Page, 1);
        return other;
    }
}
