using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Mapping;

/// <summary>
/// Shows that every area is whole pages of its own, is freed once, grows and shrinks without a copy, and that where the
/// system refuses, all stands as it was.
/// </summary>
public sealed unsafe class AreasTests : AreaCheckedTests
{
    [Theory]
    [InlineData(1, 16, 1)]
    [InlineData(65_537, 16, 2)]
    [InlineData((1 << 26) + 1, 16, 1025)]
    [InlineData(5000, 1 << 21, 1)]
    [InlineData(5000, 1 << 30, 1)]
    public void A_fresh_area_is_whole_zero_pages_at_its_alignment(int bytes, int alignment, int pages)
    {
        nuint live = Areas.LiveBytes, rounded = (nuint)pages * Page;
        long count = Areas.LiveCount;
        byte* block = (byte*)Alloc((nuint)bytes, (nuint)alignment, MemoryChoice.FreshOnly);
        Assert.Equal(0u, (nuint)block % (nuint)alignment);
        Assert.Equal((live + rounded, count + 1), (Areas.LiveBytes, Areas.LiveCount));
        Assert.Equal(rounded, Areas.UsableBytes(block));
        Assert.Equal(AddressSpace.Private, AddressSpace.PermissionsAt((nuint)block + rounded - 1));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt((nuint)block + rounded));
        Assert.Equal(0, block[0] | block[rounded - 1]);
        block[rounded - 1] = 1;
        Assert.True(Areas.TryFree(block));
        Assert.Equal((live, count), (Areas.LiveBytes, Areas.LiveCount));
    }

    [Fact]
    public void From_a_huge_page_on_an_area_begins_at_one_however_it_came_to_its_size()
    {
        byte* small = (byte*)Alloc(Page);
        byte* block = (byte*)Alloc(Page);
        for (nuint bytes = Page; bytes <= 64 * Sizes.MiB; bytes *= 2)
        {
            block = (byte*)Areas.Realloc(block, bytes, out _);
            if (bytes >= VirtualMemory.HugePageBytes) Assert.Equal(0u, (nuint)block % VirtualMemory.HugePageBytes);
            Assert.True(Areas.TryFree(block));
            block = (byte*)Alloc(bytes); // the one that was just kept
            if (bytes >= VirtualMemory.HugePageBytes) Assert.Equal(0u, (nuint)block % VirtualMemory.HugePageBytes);
        }
        Assert.True(Areas.TryFree(block));
        Assert.True(Areas.TryFree(small));
    }

    [Fact]
    public void A_freed_area_stays_mapped_until_a_trim_and_goes_to_the_next_of_its_size()
    {
        byte* block = (byte*)Alloc(5 * Page);
        *block = 1;
        Assert.True(Areas.TryFree(block));
        Assert.Equal(AddressSpace.Private, AddressSpace.PermissionsAt((nuint)block));
        long calls = Platform.Calls;
        Assert.True(Alloc(5 * Page) == block);
        Assert.Equal(calls, Platform.Calls);
        Assert.True(Areas.TryFree(block));
        Assert.True(NativeAllocator.Trim() >= 5 * Page);
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt((nuint)block));
    }

    [Fact]
    public void A_kept_area_that_is_to_be_zero_is_cleared_and_one_from_the_system_is_not_touched()
    {
        byte* block = (byte*)Alloc(40 * Page);
        Pattern.Fill(block, 40 * Page, 1);
        Assert.True(Areas.TryFree(block));
        Assert.True(Alloc(39 * Page, zeroed: true) == block);
        Pattern.CheckZero(block, 40 * Page); // all that may be used
        Assert.True(Areas.TryFree(block));
        NativeAllocator.Trim();
        byte* fresh = (byte*)Alloc(Sizes.GiB, zeroed: true);
        Assert.Equal(0u, ResidentMemory.PagesAt((nuint)fresh, Sizes.GiB));
        Pattern.CheckZero(fresh, Sizes.MiB);
        Assert.True(Areas.TryFree(fresh));
    }

    [Fact]
    public void A_size_beyond_any_address_space_gives_no_area()
    {
        foreach (nuint impossible in Sizes.Impossible)
        {
            Assert.True(Areas.Alloc(impossible, 16, out _) == null);
            byte* block = (byte*)Alloc(Page);
            Assert.True(Areas.Realloc(block, impossible, out _) == null);
            Assert.True(Areas.TryFree(block));
        }
        Assert.True(Areas.Alloc(Page, (nuint)1 << 60, out _) == null);
    }

    [Fact]
    public void A_second_free_and_an_inner_address_are_refused()
    {
        byte* block = (byte*)Alloc(3 * Page);
        foreach (nuint offset in (nuint[])[1, Page, 3 * Page])
        {
            Assert.False(Areas.TryFree(block + offset));
            Assert.True(Areas.Realloc(block + offset, 50 * Page, out _) == null);
            Assert.Equal((nuint)0, Areas.UsableBytes(block + offset));
        }
        Assert.True(Areas.TryFree(block));
        Assert.False(Areas.TryFree(block)); // kept
        NativeAllocator.Trim();
        Assert.False(Areas.TryFree(block)); // gone
        Assert.True(Areas.Realloc(block, Page, out _) == null);
        Assert.False(Areas.TryFree(null));
    }

    [Fact]
    public void An_area_is_found_by_any_address_in_it_and_by_none_beside_it()
    {
        byte* block = (byte*)Alloc(3 * Page);
        foreach (nuint offset in (nuint[])[0, 1, Page, 3 * Page - 1])
        {
            Assert.True(Areas.TryFind(block + offset, out void* found, out nuint bytes));
            Assert.True(found == block);
            Assert.Equal(3 * Page, bytes);
        }
        foreach (nint beside in (nint[])[(nint)block - 1, (nint)(block + 3 * Page)])
            Assert.False(Areas.TryFind((void*)beside, out _, out _));
        Assert.True(Areas.TryFree(block));
        Assert.False(Areas.TryFind(block, out void* none, out nuint noBytes)); // kept is nobody's
        Assert.True(none == null);
        Assert.Equal((nuint)0, noBytes);
    }

    [Fact]
    public void An_area_grows_where_it_stands_as_long_as_there_is_room_and_then_moves_its_pages()
    {
        SystemNeeds.Moves();
        const nuint Part = 4 * Sizes.MiB;
        byte* block = (byte*)Alloc(Part, choice: MemoryChoice.FreshOnly);
        byte* behind = (byte*)Alloc(Part, choice: MemoryChoice.FreshOnly); // may stand in the way
        // A hole that just fits leaves no room, and is not taken.
        byte* hole = (byte*)Alloc(3 * Part, choice: MemoryChoice.FreshOnly);
        byte* wall = (byte*)Alloc(Part, choice: MemoryChoice.FreshOnly);
        Assert.True(Areas.TryFree(hole));
        Areas.Release(keptBefore: long.MaxValue);
        Pattern.Fill(block, Part, 1);
        long moved = SystemCounters.MovedBytes;
        byte* grown = (byte*)Areas.Realloc(block, 3 * Part, out _);
        Assert.True(grown != block, "there was room, so nothing can be proved");
        Assert.Equal(moved + (long)Part, SystemCounters.MovedBytes);
        Assert.False(Areas.TryFree(block));
        Pattern.Check(grown, Part, 1);
        Pattern.Fill(grown, 3 * Part, 2);
        Assert.True(Areas.Realloc(grown, 5 * Part, out _) == grown, "room was left to grow into");
        Assert.Equal(moved + (long)Part, SystemCounters.MovedBytes);
        Pattern.Check(grown, 3 * Part, 2);
        Assert.Equal(5 * Part, Areas.UsableBytes(grown));
        Assert.True(Areas.TryFree(wall));
        Assert.True(Areas.Realloc(grown, Page, out _) == grown);
        Assert.Equal(Page, Areas.UsableBytes(grown));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt((nuint)grown + Page));
        Pattern.Check(grown, Page, 2);
        Assert.True(Areas.TryFree(grown));
        Assert.True(Areas.TryFree(behind));
    }

    [Fact]
    public void A_realloc_whose_move_fails_leaves_all_runs_where_they_were()
    {
        SystemNeeds.Moves();
        const int Parts = 10;
        nuint part = 3 * Page;
        for (int failing = 0; ; failing++)
        {
            // Each part is a run of its own. From a huge page on the area has to stand elsewhere.
            byte* block = (byte*)Alloc(part, choice: MemoryChoice.FreshOnly);
            for (nuint parts = 2; parts <= Parts; parts++)
                Assert.True(Areas.Realloc(block, parts * part, out _) == block);
            VmallocArea* area = AreaOf(block);
            uint runs = area->RunCount;
            Assert.Equal((uint)Parts, runs);
            Pattern.Fill(block, Parts * part, (ulong)failing);
            FaultPlan plan = new(OsCall.Move, failing, andAllLater: failing % 2 != 0);
            byte* moved = null;
            plan.Run(() => moved = (byte*)Areas.Realloc(block, 3 * Parts * part, out _));
            if (moved == null)
            {
                Assert.True(area == AreaOf(block) && area->RunCount == runs);
                Assert.Equal(Parts * part, Areas.UsableBytes(block));
                Assert.Equal(AddressSpace.Private, AddressSpace.PermissionsAt((nuint)block + Parts * part - 1));
            }
            Pattern.Check(moved == null ? block : moved, Parts * part, (ulong)failing);
            Assert.True(Areas.TryFree(moved == null ? block : moved));
            ShouldBeAsBefore();
            if (plan.Injected != 0) continue;
            Assert.True(moved != null && moved != block && failing == Parts, "each run is moved once");
            break;
        }
    }

    [Fact]
    public void Runs_go_back_by_copying_where_the_system_has_unmapped_the_target_of_a_move_that_it_refuses()
    {
        SystemNeeds.Moves();
        nuint part = 3 * Page;
        byte* block = (byte*)Alloc(part, choice: MemoryChoice.FreshOnly);
        for (nuint parts = 2; parts <= 3; parts++) Assert.True(Areas.Realloc(block, parts * part, out _) == block);
        Pattern.Fill(block, 3 * part, 1);
        int moves = 0;
        using (new InjectedFaults(call =>
        {
            if (call != OsCall.Move) return false;
            moves++;
            if (moves == 4) VirtualMemory.TryDecommit((nuint)block, part); // the first run is to come back
            return moves > 2;
        }))
        {
            Assert.True(Areas.Realloc(block, 1024 * part, out _) == null);
        }
        Assert.Equal(5, moves); // two that are done, one that is refused, two back
        Pattern.Check(block, 3 * part, 1);
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void Memory_that_the_system_did_not_give_is_neither_charged_nor_purged()
    {
        (nuint Charged, long Purged) before = (ResidentBudget.ChargedBytes, SystemCounters.PurgedBytes);
        using (new InjectedFaults(OsCall.Commit))
            Assert.True(Areas.Alloc(9 * Page, 1, out _, MemoryChoice.FreshOnly) == null);
        Assert.Equal(before, (ResidentBudget.ChargedBytes, SystemCounters.PurgedBytes));
    }

    [Theory]
    [InlineData(7)] // pages: beyond a huge page it would have to stand elsewhere
    [InlineData(64)] // these could grow where they stand
    public void An_area_that_cannot_grow_stands_as_it_was(int pages)
    {
        nuint bytes = (nuint)pages * Page;
        foreach (OsCall[] failing in (OsCall[][])[[OsCall.Commit], [OsCall.Commit, OsCall.Move],
            [OsCall.Commit, OsCall.Decommit], Enum.GetValues<OsCall>()])
        {
            byte* block = (byte*)Alloc(bytes, choice: MemoryChoice.FreshOnly);
            Pattern.Fill(block, bytes, 3);
            using (new InjectedFaults(failing))
            {
                Assert.True(Areas.Realloc(block, (nuint)1 << 36, out _) == null);
                Assert.True(Areas.Realloc(block, nuint.MaxValue, out _) == null);
            }
            Assert.Equal(bytes, Areas.UsableBytes(block));
            Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt((nuint)block + bytes));
            Pattern.Check(block, bytes, 3);
            Assert.True(Areas.TryFree(block));
            ShouldBeAsBefore();
        }
    }

    [Fact]
    public void An_area_that_the_system_refuses_to_unmap_has_no_memory_and_goes_at_the_next_trim()
    {
        byte* block = (byte*)Alloc(9 * Page);
        Pattern.Fill(block, 9 * Page, 1);
        Assert.True(Areas.TryFree(block));
        int areas = VmallocSpace.Count;
        using (new InjectedFaults(OsCall.Decommit))
        {
            NativeAllocator.Trim();
            Assert.Equal((areas, AreaState.Stale), (VmallocSpace.Count, AreaOf(block)->GetState()));
            NativeAllocator.Trim(); // refused once more
        }
        Assert.Equal((areas, AreaState.Stale), (VmallocSpace.Count, AreaOf(block)->GetState()));
        Assert.Equal(0u, ResidentMemory.PagesAt((nuint)block, 9 * Page));
        Assert.False(Areas.TryFree(block));
        Assert.False(Areas.TryFind(block, out _, out _));
        byte* other = (byte*)Alloc(9 * Page);
        Assert.True(other != block);
        Assert.True(Areas.TryFree(other));
        NativeAllocator.Trim();
        Assert.True(VmallocSpace.Starting(block) == null);
    }

    [Fact]
    public void Addresses_that_the_system_refused_to_unmap_read_as_zero_when_they_are_an_areas_again()
    {
        const nuint Bytes = 4 * Sizes.MiB;
        byte* block = (byte*)Alloc(Bytes, choice: MemoryChoice.FreshOnly);
        using Donor donor = new(Bytes);
        // The new part gets the donor's memory, and then the system has nothing for the rest, nor does it unmap
        // anything.
        using (new InjectedFaults([.. Enum.GetValues<OsCall>().Except([OsCall.Move])]))
            Assert.True(Areas.Realloc(block, 16 * Bytes, out _) == null);
        Assert.Equal(0u, donor.DirtyPages);
        Assert.Equal(Bytes, Areas.UsableBytes(block));
        Assert.True(Areas.Realloc(block, 8 * Bytes, out _) == block,
            "it did not grow where it stands, so nothing is proved");
        Pattern.CheckZero(block + Bytes, 7 * Bytes);
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void Addresses_that_the_system_purges_but_does_not_unmap_are_not_touched_afterwards()
    {
        const nuint Bytes = 4 * Sizes.MiB;
        byte* block = (byte*)Alloc(Bytes, choice: MemoryChoice.FreshOnly);
        using Donor donor = new(Bytes);
        List<uint> resident = []; // before each purge: of what was gathered in vain, and of the whole in one piece
        using (new InjectedFaults(call =>
        {
            if (call == OsCall.Purge) resident.Add(ResidentMemory.PagesAt((nuint)block + Bytes, Bytes));
            return call is not (OsCall.Move or OsCall.Purge);
        }))
        {
            Assert.True(Areas.Realloc(block, 16 * Bytes, out _) == null);
        }
        Assert.Equal(0u, donor.DirtyPages);
        Assert.Contains((uint)(Bytes / VirtualMemory.PageBytes), resident);
        Assert.Equal(0u, resident[^1]);
        Assert.True(Areas.TryFree(block));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_a_block_gave_up_in_vain_is_not_its_users_and_reads_as_zero_for_the_next(bool purgeIsRefused)
    {
        byte* block = (byte*)Alloc(64 * Page, choice: MemoryChoice.FreshOnly);
        Pattern.Fill(block, 64 * Page, 1);
        nuint charged = ResidentBudget.ChargedBytes;
        using (new InjectedFaults(OsCall.Decommit, purgeIsRefused ? OsCall.Purge : OsCall.Decommit))
            Assert.True(Areas.Realloc(block, 32 * Page, out _) == block);
        Assert.Equal(32 * Page, Areas.UsableBytes(block));
        nuint left = purgeIsRefused ? 0 : 32 * Page;
        Assert.Equal((64 * Page - left, charged - left), (AreaOf(block)->ChargedBytes, ResidentBudget.ChargedBytes));
        Assert.Equal(32 * Page - left, Areas.TailBytes);
        Pattern.Check(block, 32 * Page, 1);
        Assert.True(Areas.TryFree(block));
        byte* other = (byte*)Alloc(64 * Page, zeroed: true);
        Assert.True(other == block, "the area was not kept, so nothing is proved");
        Pattern.CheckZero(other, 64 * Page);
        Assert.True(Areas.TryFree(other));
    }

    [Fact]
    public void A_block_that_became_smaller_in_vain_is_charged_for_growing_again()
    {
        byte* block = (byte*)Alloc(64 * Page, choice: MemoryChoice.FreshOnly);
        Pattern.Fill(block, 64 * Page, 1);
        using (new InjectedFaults(OsCall.Decommit)) Assert.True(Areas.Realloc(block, 32 * Page, out _) == block);
        Assert.True(Areas.Realloc(block, 64 * Page, out _) == block);
        Assert.Equal((64 * Page, 64 * Page), (Areas.UsableBytes(block), AreaOf(block)->ChargedBytes));
        Pattern.Check(block, 32 * Page, 1);
        Assert.True(Areas.TryFree(block));
    }

    [Fact]
    public void Of_several_threads_that_free_the_same_area_exactly_one_does()
    {
        const int Rounds = 200, Threads = 3;
        nint[] blocks = new nint[Rounds];
        int[] freed = new int[Rounds];
        for (int i = 0; i < Rounds; i++) blocks[i] = (nint)Alloc(Page);
        TestThread.RunTogether(Threads, _ =>
        {
            for (int i = 0; i < Rounds; i++)
                if (Areas.TryFree((void*)blocks[i])) Interlocked.Increment(ref freed[i]);
        });
        Assert.All(freed, times => Assert.Equal(1, times));
    }
}
