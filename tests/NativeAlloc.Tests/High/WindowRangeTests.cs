using NativeAlloc.High;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.High;

/// <summary>
/// Shows that a range of windows is reserved once, whoever comes first, is counted, and can be had later where the
/// system refuses at first.
/// </summary>
public sealed unsafe class WindowRangeTests : IDisposable
{
    private const int Windows = 6;

    private readonly int _limit = MappingBudget.Limit, _inUse;
    private WindowRange _range = new(Windows);

    public WindowRangeTests()
    {
        KeptAreas.Release(); // they would go, and their mappings with them
        _inUse = MappingBudget.InUse;
    }

    public void Dispose()
    {
        MappingBudget.Limit = _limit;
        if (_range.TryReserve(out nuint address)) VirtualMemory.Release(address, Windows * PageGeometry.PageBytes);
        MappingBudget.Give(Windows);
        Assert.Equal(_inUse, MappingBudget.InUse);
    }

    [Fact]
    public void It_is_reserved_once_and_counted_once()
    {
        Assert.True(_range.TryReserve(out nuint first));
        Assert.True(_range.TryReserve(out nuint again));
        Assert.Equal(first, again);
        Assert.Equal((nuint)0, first % PageGeometry.PageBytes);
        Assert.Equal(AddressSpace.Inaccessible,
            AddressSpace.PermissionsAt(first + (Windows - 1) * PageGeometry.PageBytes));
        Assert.Equal(_inUse + Windows, MappingBudget.InUse);
    }

    [Fact]
    public void Where_the_system_has_no_addresses_nothing_is_counted_and_the_next_call_tries_again()
    {
        using (new InjectedFaults(OsCall.Reserve)) Assert.False(_range.TryReserve(out _));
        Assert.Equal(_inUse, MappingBudget.InUse);
        Assert.True(_range.TryReserve(out _));
    }

    [Fact]
    public void Where_its_mappings_would_be_too_many_it_is_refused()
    {
        MappingBudget.Limit = _inUse + Windows - 1;
        Assert.False(_range.TryReserve(out nuint address));
        Assert.Equal((nuint)0, address);
        MappingBudget.Limit = _inUse + Windows;
        Assert.True(_range.TryReserve(out _));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Where_its_mappings_would_be_too_many_kept_areas_go_for_it(bool withoutMemory)
    {
        KeepAreas(Windows, withoutMemory);
        MappingBudget.Limit = MappingBudget.InUse;
        Assert.True(_range.TryReserve(out _));
        Assert.Equal((0, _inUse + Windows), (KeptAreas.Count, MappingBudget.InUse));
    }

    [Fact]
    public void A_ring_takes_the_mappings_of_kept_areas_that_have_no_memory_any_more()
    {
        new MirroredBuffer(1).Dispose(); // what high pages need as long as the process lives
        KeepAreas(4, withoutMemory: true);
        MappingBudget.Limit = MappingBudget.InUse;
        using (MirroredBuffer ring = new(1)) ring.Pointer[0] = 1;
        Assert.Equal(0, KeptAreas.Count);
    }

    private static void KeepAreas(int count, bool withoutMemory)
    {
        nint[] areas = new nint[count];
        for (int i = 0; i < count; i++)
            areas[i] = (nint)Areas.Alloc(2 * Sizes.MiB, 1, out _, MemoryChoice.FreshOnly);
        foreach (nint area in areas) Assert.True(Areas.TryFree((void*)area));
        if (withoutMemory) Areas.Purge(nuint.MaxValue);
        Assert.Equal(count, KeptAreas.Count);
    }

    [Fact]
    public void Threads_that_come_first_together_get_the_same_range()
    {
        nuint[] addresses = new nuint[4];
        TestThread.RunTogether(addresses.Length, number => Assert.True(_range.TryReserve(out addresses[number])));
        Assert.Single(addresses.Distinct());
        Assert.Equal(_inUse + Windows, MappingBudget.InUse);
    }
}
