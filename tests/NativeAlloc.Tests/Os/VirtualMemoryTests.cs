using System.Runtime.Intrinsics.X86;
using NativeAlloc.Os;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>Shows that the system behind <see cref="VirtualMemory"/> keeps every promise made there.</summary>
public sealed unsafe class VirtualMemoryTests
{
    private const nuint Unit = SystemContract.FileUnitBytes;

    private const int Gap = 64 * 1024;

    private static nuint Page => VirtualMemory.PageBytes;

    [Fact]
    public void Reserved_addresses_are_inaccessible_until_committed_and_then_read_zero()
    {
        nuint bytes = 16 * Page;
        Assert.True(VirtualMemory.TryReserve(bytes, Page, out nuint address));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(address));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(address + bytes - 1));
        Assert.True(VirtualMemory.TryCommit(address + 4 * Page, 4 * Page));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(address + 4 * Page - 1));
        Assert.Equal(AddressSpace.Private, AddressSpace.PermissionsAt(address + 4 * Page));
        Assert.Equal(AddressSpace.Private, AddressSpace.PermissionsAt(address + 8 * Page - 1));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(address + 8 * Page));
        AssertZero(address + 4 * Page, 4 * Page);
        VirtualMemory.Release(address, bytes);
    }

    [Fact]
    public void A_second_commit_changes_nothing()
    {
        nuint address = Map(4 * Page);
        Fill(address, 4 * Page, 0xA5);
        Assert.True(VirtualMemory.TryCommit(address, 4 * Page));
        AssertFilled(address, 4 * Page, 0xA5);
        VirtualMemory.Release(address, 4 * Page);
    }

    [Theory]
    [InlineData(1 << 12)]
    [InlineData(1 << 16)]
    [InlineData(1 << 21)]
    [InlineData(1 << 26)]
    [InlineData(1 << 30)]
    public void Reservations_have_the_alignment_that_was_asked_for(int alignment)
    {
        Assert.True(VirtualMemory.TryReserve(3 * Page, (nuint)alignment, out nuint reserved));
        Assert.Equal(0u, reserved % (nuint)alignment);
        Assert.True(VirtualMemory.TryCommit(reserved, 3 * Page));
        AssertZero(reserved, 3 * Page);
        VirtualMemory.Release(reserved, 3 * Page);
    }

    [Fact]
    public void What_was_taken_for_the_sake_of_alignment_is_given_back()
    {
        nuint before = AddressSpace.MappedBytes();
        Assert.True(VirtualMemory.TryReserve(Page, 1 << 30, out nuint address));
        Assert.True(AddressSpace.ChangedBy((nint)Page + 2 * Gap, before));
        VirtualMemory.Release(address, Page);
        Assert.True(AddressSpace.ChangedBy(0, before));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Inaccessible_addresses_lie_before_and_behind_a_reservation(bool low)
    {
        SystemNeeds.Linux("addresses before a reservation");
        nuint address;
        if (low && Sse2.IsSupported)
            Assert.True(VirtualMemory.TryReserveLow(Page, out address));
        else Assert.True(VirtualMemory.TryReserve(Page, Page, out address));
        Assert.True(VirtualMemory.TryCommit(address, Page));
        for (nuint offset = Page; offset <= Gap; offset += Page)
        {
            Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(address - offset));
            Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(address + offset));
        }
        // The system would put the next mapping there, if the addresses were not taken.
        Assert.True(VirtualMemory.TryReserve(Page, Page, out nuint next));
        Assert.True(next + 2 * Gap <= address || next >= address + Page + 2 * Gap, "two gaps lie between them");
        VirtualMemory.Release(next, Page);
        VirtualMemory.Release(address, Page);
    }

    [Fact]
    public void Purged_pages_read_zero_stay_writable_and_their_neighbours_keep_their_contents()
    {
        nuint address = Map(6 * Page);
        Fill(address, 6 * Page, 0x5A);
        Assert.True(TryPurge(address + 2 * Page, 2 * Page));
        AssertFilled(address, 2 * Page, 0x5A);
        AssertZero(address + 2 * Page, 2 * Page);
        AssertFilled(address + 4 * Page, 2 * Page, 0x5A);
        Fill(address + 2 * Page, 2 * Page, 0x77);
        AssertFilled(address + 2 * Page, 2 * Page, 0x77);
        VirtualMemory.Release(address, 6 * Page);
    }

    [Fact]
    public void Protected_pages_are_inaccessible_and_keep_their_contents()
    {
        nuint address = Map(3 * Page);
        Fill(address, 3 * Page, 0x3C);
        Assert.True(VirtualMemory.TryProtect(address + Page, Page, accessible: false));
        Assert.Equal(AddressSpace.Private, AddressSpace.PermissionsAt(address));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(address + Page));
        Assert.Equal(AddressSpace.Private, AddressSpace.PermissionsAt(address + 2 * Page));
        Assert.True(VirtualMemory.TryProtect(address + Page, Page, accessible: true));
        AssertFilled(address, 3 * Page, 0x3C);
        VirtualMemory.Release(address, 3 * Page);
    }

    [Fact]
    public void Released_addresses_are_given_back()
    {
        const nuint Bytes = 1 << 30;
        nuint before = AddressSpace.MappedBytes();
        nuint address = Map(Bytes);
        Assert.True(AddressSpace.ChangedBy((nint)Bytes, before));
        VirtualMemory.Release(address, Bytes);
        Assert.True(AddressSpace.ChangedBy(0, before));
    }

    [Fact]
    public void Moved_memory_is_at_the_target_as_it_was_and_the_source_reads_zero()
    {
        SystemNeeds.Moves();
        nuint bytes = 6 * Page, source = Map(bytes), target = AddressSpace.Reserve(bytes);
        Fill(source + Page, 2 * Page, 0xC3); // some of it touched, some not
        Fill(source + 5 * Page, Page, 0xC4);
        Assert.True(VirtualMemory.TryMove(source + Page, 4 * Page, target));
        AssertFilled(target, 2 * Page, 0xC3);
        AssertZero(target + 2 * Page, 2 * Page);
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(target + 4 * Page));
        Assert.Equal(0u, ResidentMemory.PagesAt(source + Page, 4 * Page)); // given away, not copied
        AssertZero(source, 5 * Page);
        AssertFilled(source + 5 * Page, Page, 0xC4);
        Fill(source, bytes, 0xC5); // it is usable as before
        Fill(target, 4 * Page, 0xC6);
        AssertFilled(source, bytes, 0xC5);
        VirtualMemory.Release(source, bytes);
        VirtualMemory.Release(target, bytes);
    }

    [Fact]
    public void Memory_that_was_moved_can_be_moved_on_and_back()
    {
        SystemNeeds.Moves();
        nuint bytes = 4 * Page, one = Map(bytes), two = AddressSpace.Reserve(bytes);
        Fill(one, bytes, 0x11);
        for (int i = 0; i < 4; i++)
        {
            Assert.True(VirtualMemory.TryMove(one, bytes, two));
            (one, two) = (two, one);
            Assert.True(VirtualMemory.TryDecommit(two, bytes));
            AssertFilled(one, bytes, 0x11);
        }
        VirtualMemory.Release(one, bytes);
        VirtualMemory.Release(two, bytes);
    }

    [Fact]
    public void Where_a_move_fails_the_target_stays_reserved()
    {
        nuint target = AddressSpace.Reserve(2 * Page);
        Assert.False(VirtualMemory.TryMove((nuint)1 << 60, 2 * Page, target)); // beyond what any process can have
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(target));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(target + Page));
        VirtualMemory.Release(target, 2 * Page);
    }

    [Fact]
    public void Where_a_limit_refuses_a_move_the_target_stays_reserved_too()
    {
        SystemNeeds.Moves();
        ChildProcess.RunHost(DataLimit.Name).ShouldSucceed();
    }

    [Fact]
    public void Decommitted_addresses_are_inaccessible_have_no_memory_and_read_zero_once_committed_again()
    {
        nuint address = Map(4 * Page);
        Fill(address, 4 * Page, 0x66);
        Assert.True(VirtualMemory.TryDecommit(address + Page, 2 * Page));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(address + Page));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(address + 3 * Page - 1));
        Assert.Equal(0u, ResidentMemory.PagesAt(address + Page, 2 * Page));
        AssertFilled(address, Page, 0x66);
        AssertFilled(address + 3 * Page, Page, 0x66);
        Assert.True(VirtualMemory.TryCommit(address + Page, 2 * Page));
        AssertZero(address + Page, 2 * Page);
        VirtualMemory.Release(address, 4 * Page);
    }

    [Fact]
    public void The_advice_of_huge_pages_changes_nothing_but_how_much_comes_with_a_touch()
    {
        nuint bytes = 2 * VirtualMemory.HugePageBytes;
        Assert.True(VirtualMemory.TryReserve(bytes, VirtualMemory.HugePageBytes, out nuint address));
        Assert.True(VirtualMemory.TryCommit(address, bytes));
        Fill(address + VirtualMemory.HugePageBytes, Page, 0x44); // what has memory keeps it
        bool advised = VirtualMemory.TryAdviseHuge(address, bytes); // a kernel may be built without them
        TestContext.Current.SendDiagnosticMessage($"huge pages on advice: {advised}");
        AssertFilled(address + VirtualMemory.HugePageBytes, Page, 0x44);
        AssertZero(address, VirtualMemory.HugePageBytes);
        Assert.True(TryPurge(address, bytes));
        AssertZero(address, bytes);
        using (new InjectedFaults(OsCall.AdviseHuge)) Assert.False(VirtualMemory.TryAdviseHuge(address, bytes));
        VirtualMemory.Release(address, bytes);
    }

    [Fact]
    public void A_section_shows_the_same_bytes_at_two_addresses()
    {
        nuint bytes = 4 * Unit;
        Assert.True(VirtualMemory.TryCreateFile(bytes, out nint file));
        Assert.True(VirtualMemory.TryReserveForFiles(bytes, bytes, Unit, out nuint one));
        Assert.True(VirtualMemory.TryReserveForFiles(bytes, bytes, Unit, out nuint two));
        Assert.True(VirtualMemory.TryMapFile(file, 0, one, bytes));
        Assert.True(VirtualMemory.TryMapFile(file, Unit, two, 2 * Unit)); // pages 1 and 2 of the file
        Assert.Equal(AddressSpace.Shared, AddressSpace.PermissionsAt(one));
        Assert.Equal(AddressSpace.Shared, AddressSpace.PermissionsAt(two));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(two + 2 * Unit));
        AssertZero(one, bytes);
        Fill(one + Unit, Unit, 0x42);
        AssertFilled(two, Unit, 0x42);
        Fill(two + Unit, Unit, 0x43);
        AssertFilled(one + 2 * Unit, Unit, 0x43);
        AssertZero(one, Unit);
        VirtualMemory.CloseFile(file);
        AssertFilled(two, Unit, 0x42); // mapped parts outlive the handle
        VirtualMemory.Release(one, bytes);
        VirtualMemory.Release(two, bytes);
    }

    [Fact]
    public void An_unmapped_part_of_a_section_is_reserved_again_and_the_section_keeps_it()
    {
        nuint bytes = 2 * Unit;
        Assert.True(VirtualMemory.TryCreateFile(bytes, out nint file));
        Assert.True(VirtualMemory.TryReserveForFiles(bytes, bytes, Unit, out nuint address));
        Assert.True(VirtualMemory.TryMapFile(file, 0, address, bytes));
        Fill(address, bytes, 0x99);
        Assert.True(VirtualMemory.TryUnmapFile(address, Unit));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(address));
        Assert.Equal(AddressSpace.Shared, AddressSpace.PermissionsAt(address + Unit));
        Assert.True(VirtualMemory.TryMapFile(file, 0, address, Unit));
        AssertFilled(address, bytes, 0x99);
        VirtualMemory.CloseFile(file);
        VirtualMemory.Release(address, bytes);
    }

    [Fact]
    public void Locked_pages_are_in_memory_and_counted_until_they_are_unlocked_and_keep_their_contents()
    {
        SystemNeeds.Linux("a figure of what is locked");
        nuint address = Map(8 * Page);
        ulong before = ResidentMemory.LockedBytes();
        Assert.Equal(0u, ResidentMemory.PagesAt(address, 8 * Page));
        Assert.True(VirtualMemory.TryLock(address + 2 * Page, 4 * Page));
        Assert.Equal(before + 4 * Page, ResidentMemory.LockedBytes());
        Assert.Equal(4u, ResidentMemory.PagesAt(address + 2 * Page, 4 * Page)); // without a touch
        if (ResidentMemory.ComesInSystemPages) Assert.Equal(4u, ResidentMemory.PagesAt(address, 8 * Page));
        AssertZero(address + 2 * Page, 4 * Page);
        Fill(address + 2 * Page, 4 * Page, 0x31);
        Assert.True(VirtualMemory.TryUnlock(address + 2 * Page, Page));
        Assert.Equal(before + 3 * Page, ResidentMemory.LockedBytes());
        Assert.True(VirtualMemory.TryUnlock(address, 8 * Page)); // also of what is not locked
        Assert.Equal(before, ResidentMemory.LockedBytes());
        AssertFilled(address + 2 * Page, 4 * Page, 0x31);
        VirtualMemory.Release(address, 8 * Page);
    }

    [Fact]
    public void Memory_that_the_program_has_locked_is_purged_as_any_other()
    {
        nuint address = Map(4 * Page);
        Assert.True(VirtualMemory.TryLock(address, 4 * Page));
        Fill(address, 4 * Page, 0x32);
        Assert.True(VirtualMemory.TryPurge(address + Page, 2 * Page));
        Assert.Equal(0u, ResidentMemory.PagesAt(address + Page, 2 * Page));
        AssertZero(address + Page, 2 * Page);
        AssertFilled(address, Page, 0x32);
        VirtualMemory.Release(address, 4 * Page);
    }

    [Fact]
    public void A_refused_lock_locks_nothing()
    {
        SystemNeeds.Linux("a figure of what is locked");
        nuint address = Map(2 * Page);
        ulong before = ResidentMemory.LockedBytes();
        using (new InjectedFaults(OsCall.Lock)) Assert.False(VirtualMemory.TryLock(address, 2 * Page));
        Assert.Equal(before, ResidentMemory.LockedBytes());
        Assert.Equal(0u, ResidentMemory.PagesAt(address, 2 * Page));
        VirtualMemory.Release(address, 2 * Page);
        // what is inaccessible cannot be brought into memory
        Assert.True(VirtualMemory.TryReserve(Page, Page, out nuint reserved));
        Assert.False(VirtualMemory.TryLock(reserved, Page));
        VirtualMemory.Release(reserved, Page);
    }

    [Fact]
    public void A_lock_that_the_system_refuses_half_way_leaves_nothing_locked()
    {
        SystemNeeds.Linux("a figure of what is locked");
        Assert.True(VirtualMemory.TryReserve(4 * Page, Page, out nuint address));
        Assert.True(VirtualMemory.TryCommit(address, 2 * Page));
        ulong before = ResidentMemory.LockedBytes();
        Assert.False(VirtualMemory.TryLock(address, 4 * Page)); // the other half is inaccessible
        Assert.Equal(before, ResidentMemory.LockedBytes());
        VirtualMemory.Release(address, 4 * Page);
    }

    [Fact]
    public void Memory_that_was_bound_to_a_node_or_made_huge_is_memory_as_any_other()
    {
        nuint bytes = 4 << 20;
        nuint address = Map(bytes);
        // Each is a wish: what the answer is depends on the system, and what was there stays whatever it is.
        Fill(address, Page, 0x71);
        VirtualMemory.TryBind(address, bytes, NodeTopology.Current.SystemNodeOf(0));
        VirtualMemory.TryAdviseHuge(address, bytes);
        using (new InjectedFaults(OsCall.Bind, OsCall.AdviseHuge))
        {
            Assert.False(VirtualMemory.TryBind(address, bytes, NodeTopology.Current.SystemNodeOf(0)));
            Assert.False(VirtualMemory.TryAdviseHuge(address, bytes));
        }
        AssertFilled(address, Page, 0x71);
        AssertZero(address + Page, bytes - Page);
        Fill(address, bytes, 0x72);
        AssertFilled(address, bytes, 0x72);
        Assert.True(TryPurge(address, bytes));
        AssertZero(address, bytes);
        VirtualMemory.Release(address, bytes);
    }

    [Fact]
    public void A_node_that_there_is_not_is_refused()
    {
        nuint address = Map(Page);
        Assert.False(VirtualMemory.TryBind(address, Page, 1000));
        VirtualMemory.Release(address, Page);
    }

    [Fact]
    public void A_purged_part_of_a_section_is_zero_in_every_mapping_and_the_rest_stays()
    {
        nuint bytes = 6 * Unit;
        Assert.True(VirtualMemory.TryCreateFile(bytes, out nint file));
        nuint one = MapSection(file, 0, bytes), two = MapSection(file, 2 * Unit, 2 * Unit);
        Fill(one, bytes, 0x81);
        using (new InjectedFaults(OsCall.PurgeFile)) Assert.False(VirtualMemory.TryPurgeFile(file, 2 * Unit, 2 * Unit));
        AssertFilled(one, bytes, 0x81);
        Assert.True(VirtualMemory.TryPurgeFile(file, 2 * Unit, 2 * Unit));
        AssertFilled(one, 2 * Unit, 0x81);
        AssertZero(one + 2 * Unit, 2 * Unit);
        AssertZero(two, 2 * Unit);
        AssertFilled(one + 4 * Unit, 2 * Unit, 0x81);
        Fill(two, Unit, 0x82); // it can be written to again
        AssertFilled(one + 2 * Unit, Unit, 0x82);
        VirtualMemory.CloseFile(file);
        VirtualMemory.Release(one, bytes);
        VirtualMemory.Release(two, 2 * Unit);
    }

    [Fact]
    public void A_section_that_grows_keeps_what_it_has_and_its_new_part_reads_zero()
    {
        Assert.True(VirtualMemory.TryCreateFile(2 * Unit, out nint file));
        nuint old = MapSection(file, 0, 2 * Unit);
        Fill(old, 2 * Unit, 0x91);
        using (new InjectedFaults(OsCall.GrowFile)) Assert.False(VirtualMemory.TryGrowFile(file, 8 * Unit));
        Assert.True(VirtualMemory.TryGrowFile(file, 8 * Unit));
        nuint grown = MapSection(file, 0, 8 * Unit);
        AssertFilled(grown, 2 * Unit, 0x91);
        AssertZero(grown + 2 * Unit, 6 * Unit);
        Fill(grown, 8 * Unit, 0x92);
        AssertFilled(old, 2 * Unit, 0x92);
        VirtualMemory.CloseFile(file);
        VirtualMemory.Release(old, 2 * Unit);
        VirtualMemory.Release(grown, 8 * Unit);
    }

    [Fact]
    public void What_the_system_refuses_comes_back_as_false()
    {
        nuint tooMuch = nuint.MaxValue & ~(Page - 1);
        Assert.False(VirtualMemory.TryReserve(tooMuch, Page, out nuint reserved));
        Assert.False(VirtualMemory.TryReserve(tooMuch, 1 << 26, out nuint aligned));
        Assert.False(VirtualMemory.TryReserve((nuint)1 << 60, Page, out nuint beyond));
        Assert.Equal(0u, reserved | aligned | beyond);
        nuint nowhere = (nuint)1 << 60; // beyond what any process can have
        Assert.False(VirtualMemory.TryCommit(nowhere, Page));
        Assert.False(VirtualMemory.TryPurge(nowhere, Page));
        Assert.False(VirtualMemory.TryDecommit(nowhere, Page));
        Assert.False(VirtualMemory.TryAdviseHuge(nowhere, Page));
        Assert.False(VirtualMemory.TryMove(nowhere, Page, nowhere + Page));
        Assert.False(VirtualMemory.TryLock(nowhere, Page));
        Assert.False(VirtualMemory.TryBind(nowhere, Page, NodeTopology.Current.SystemNodeOf(0)));
        const nint NoSection = -1;
        Assert.False(VirtualMemory.TryGrowFile(NoSection, Page));
        Assert.False(VirtualMemory.TryPurgeFile(NoSection, 0, Page));
    }

    [Fact]
    public void Every_call_is_counted()
    {
        long before = Platform.Calls;
        Assert.True(VirtualMemory.TryReserve(Page, Page, out nuint address));
        Assert.True(VirtualMemory.TryCommit(address, Page));
        Assert.True(VirtualMemory.TryLock(address, Page));
        Assert.True(VirtualMemory.TryUnlock(address, Page));
        Assert.True(VirtualMemory.TryPurge(address, Page));
        VirtualMemory.Release(address, Page);
        Assert.Equal(before + 6, Platform.Calls);
    }

    private static nuint Map(nuint bytes) => AddressSpace.Map(bytes);

    // What was purged can be touched again as the contract says.
    private static bool TryPurge(nuint address, nuint bytes) =>
        VirtualMemory.TryPurge(address, bytes) && VirtualMemory.TryCommitToUse(address, bytes);

    private static nuint MapSection(nint file, nuint offset, nuint bytes)
    {
        Assert.True(VirtualMemory.TryReserveForFiles(bytes, bytes, Unit, out nuint address));
        Assert.True(VirtualMemory.TryMapFile(file, offset, address, bytes));
        return address;
    }

    private static void Fill(nuint address, nuint bytes, byte value) =>
        new Span<byte>((void*)address, (int)bytes).Fill(value);

    private static void AssertZero(nuint address, nuint bytes) => AssertFilled(address, bytes, 0);

    private static void AssertFilled(nuint address, nuint bytes, byte value) =>
        Assert.False(new ReadOnlySpan<byte>((void*)address, (int)bytes).ContainsAnyExcept(value),
            $"some byte is not {value}");
}
