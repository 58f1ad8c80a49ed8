using NativeAlloc.Os;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>
/// Shows that a table's region grows where it stands, never beyond its end, and stays as it was when the system
/// refuses.
/// </summary>
public sealed unsafe class MetadataRegionTests
{
    private const nuint MiB = 1 << 20;

    [Fact]
    public void A_new_region_has_addresses_and_no_memory()
    {
        MetadataRegion region = MetadataRegion.Reserve(10 * MiB);
        Assert.NotEqual(0u, region.Address);
        Assert.Equal(10 * MiB, region.Bytes);
        Assert.Equal(0u, region.CommittedBytes);
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(region.Address));
        region.Release();
    }

    [Fact]
    public void Growing_moves_nothing_and_keeps_what_was_written()
    {
        MetadataRegion region = MetadataRegion.Reserve(8 * MiB);
        nuint address = region.Address;
        for (nuint end = MiB / 2; end <= region.Bytes; end += MiB / 2)
        {
            Assert.True(region.TryCommitTo(end));
            Assert.InRange(region.CommittedBytes, end, region.Bytes);
            Assert.Equal(0, *(long*)(address + end - sizeof(long)));
            *(long*)(address + end - sizeof(long)) = (long)end;
        }
        Assert.Equal(address, region.Address);
        for (nuint end = MiB / 2; end <= region.Bytes; end += MiB / 2)
            Assert.Equal((long)end, *(long*)(address + end - sizeof(long)));
        region.Release();
    }

    [Fact]
    public void What_is_committed_already_costs_no_call()
    {
        MetadataRegion region = MetadataRegion.Reserve(4 * MiB);
        Assert.True(region.TryCommitTo(1));
        long calls = Platform.Calls;
        Assert.True(region.TryCommitTo(1));
        Assert.True(region.TryCommitTo(4096));
        Assert.True(region.TryCommitTo(region.CommittedBytes));
        Assert.Equal(calls, Platform.Calls);
        region.Release();
    }

    [Fact]
    public void A_region_ends_where_it_was_said_to()
    {
        MetadataRegion region = MetadataRegion.Reserve(2 * MiB - 5); // reserved in whole steps
        Assert.Equal(2 * MiB, region.Bytes);
        Assert.True(region.TryCommitTo(region.Bytes));
        Assert.False(region.TryCommitTo(region.Bytes + 1));
        Assert.Equal(region.Bytes, region.CommittedBytes);
        region.Release();
    }

    [Fact]
    public void A_region_that_can_be_short_is_what_the_system_has_and_ends_there()
    {
        MetadataRegion region;
        int refused = 0;
        using (new InjectedFaults(call => call == OsCall.Reserve && refused++ < 2))
            region = MetadataRegion.ReserveUpTo(8 * MiB);
        Assert.NotEqual(0u, region.Address);
        Assert.Equal(2 * MiB, region.Bytes);
        Assert.True(region.TryCommitTo(2 * MiB));
        Assert.False(region.TryCommitTo(2 * MiB + 1));
        region.Release();
    }

    [Fact]
    public void A_region_that_can_be_short_is_asked_for_again_where_there_was_nothing()
    {
        MetadataRegion region;
        using (new InjectedFaults(OsCall.Reserve)) region = MetadataRegion.ReserveUpTo(8 * MiB);
        Assert.Equal((0u, 8 * MiB), (region.Address, region.Bytes));
        Assert.True(region.TryCommitTo(8 * MiB));
        region.Release();
    }

    [Fact]
    public void A_refused_commit_leaves_the_region_as_it_was()
    {
        MetadataRegion region = MetadataRegion.Reserve(4 * MiB);
        Assert.True(region.TryCommitTo(MiB));
        *(long*)region.Address = 7;
        using (new InjectedFaults(OsCall.Commit)) Assert.False(region.TryCommitTo(2 * MiB));
        Assert.Equal(MiB, region.CommittedBytes);
        Assert.Equal(7, *(long*)region.Address);
        Assert.True(region.TryCommitTo(2 * MiB));
        region.Release();
    }

    [Fact]
    public void A_refused_reservation_is_tried_again_when_the_region_is_used()
    {
        MetadataRegion region;
        using (new InjectedFaults(OsCall.Reserve))
        {
            region = MetadataRegion.Reserve(MiB);
            Assert.Equal(0u, region.Address);
            Assert.False(region.TryCommitTo(1));
            Assert.Equal(0u, region.CommittedBytes);
        }
        Assert.True(region.TryCommitTo(1));
        Assert.NotEqual(0u, region.Address);
        region.Release();
    }

    [Fact]
    public void A_part_of_a_region_grows_by_itself_and_the_rest_stays_as_it_was()
    {
        MetadataRegion whole = MetadataRegion.Reserve(8 * MiB);
        // it need not be whole steps
        MetadataRegion part = MetadataRegion.Within(whole.Address + 4 * MiB, 3 * MiB - 4096);
        long calls = Platform.Calls;
        Assert.Equal(0u, part.CommittedBytes);
        Assert.True(part.TryCommitTo(0));
        Assert.Equal(calls, Platform.Calls);
        Assert.True(part.TryCommitTo(1));
        Assert.Equal(MiB, part.CommittedBytes);
        *(long*)part.Address = 3;
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(part.Address - 1));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(part.Address + MiB));
        Assert.True(part.TryCommitTo(3 * MiB - 4096));
        Assert.Equal(part.Bytes, part.CommittedBytes); // not a byte beyond its end
        Assert.Equal(AddressSpace.Private, AddressSpace.PermissionsAt(part.Address + part.Bytes - 1));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(part.Address + part.Bytes));
        Assert.False(part.TryCommitTo(part.Bytes + 1));
        Assert.True(whole.TryCommitTo(MiB)); // its own beginning
        Assert.Equal((MiB, 3L), (whole.CommittedBytes, *(long*)part.Address));
        whole.Release();
    }

    [Fact]
    public void A_released_region_is_empty_and_its_addresses_are_given_back()
    {
        const nuint GiB = 1 << 30;
        nuint before = AddressSpace.MappedBytes();
        MetadataRegion region = MetadataRegion.Reserve(GiB);
        Assert.True(region.TryCommitTo(MiB));
        Assert.True(AddressSpace.ChangedBy((nint)GiB, before));
        region.Release();
        Assert.True(AddressSpace.ChangedBy(0, before));
        Assert.Equal(0u, region.Address);
        Assert.Equal(0u, region.CommittedBytes);
        Assert.False(region.TryCommitTo(1));
    }
}
