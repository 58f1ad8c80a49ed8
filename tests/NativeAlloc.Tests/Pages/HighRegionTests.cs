using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows that high pages are memory without an address: apart from the linear region, the same wherever they are
/// mapped, and zero after a purge.
/// </summary>
public sealed unsafe class HighRegionTests : IDisposable
{
    private static readonly int s_index = Zone.IndexOf(0, ZoneKind.High);

    public void Dispose() => PageLayer.ZoneAt(s_index)->Verify();

    [Fact]
    public void High_pages_begin_behind_the_linear_region_and_are_whole_sections()
    {
        Assert.True(LinearRegion.HighFirstPage >= LinearRegion.PageCount);
        Assert.Equal(0u, LinearRegion.HighFirstPage % PageGeometry.SectionPages);
        Assert.Equal(0u, LinearRegion.EndPage % PageGeometry.SectionPages);
        Assert.True(LinearRegion.EndPage - LinearRegion.HighFirstPage >= PageGeometry.SectionPages);
        Assert.True(HighRegion.Contains(LinearRegion.HighFirstPage) && HighRegion.Contains(LinearRegion.EndPage - 1));
        foreach (uint page in (uint[])[0, LinearRegion.PageCount - 1, LinearRegion.HighFirstPage - 1,
            LinearRegion.EndPage, uint.MaxValue]) Assert.False(HighRegion.Contains(page));
    }

    [Fact]
    public void Sections_come_one_after_the_other_with_frames_and_without_memory()
    {
        uint online = HighRegion.OnlinePages, linear = LinearRegion.OnlinePages;
        Assert.True(HighRegion.TryBringSectionOnline(s_index, -1, out uint first));
        Assert.Equal(LinearRegion.HighFirstPage + online, first);
        Assert.Equal(online + PageGeometry.SectionPages, HighRegion.OnlinePages);
        Assert.Equal(linear, LinearRegion.OnlinePages);
        Assert.True(HighRegion.File >= 0);
        Assert.Equal((nuint)online * PageGeometry.PageBytes, HighRegion.OffsetOf(first));
        Assert.Equal(s_index, LinearRegion.ZoneIndexOf(first));
        Assert.Equal(s_index, LinearRegion.ZoneIndexOf(first + PageGeometry.SectionPages - 1));
        Assert.Equal(-1, LinearRegion.ZoneIndexOf(first + PageGeometry.SectionPages));
        Assert.Equal(PageState.Inner, LinearRegion.Frames[first + PageGeometry.SectionPages - 1].State);
        Assert.False(LinearRegion.Dirty.Any(first, PageGeometry.SectionPages));
        GiveToAllocator(first);
    }

    [Theory]
    [InlineData((int)OsCall.Bind)]
    [InlineData((int)OsCall.Reserve)]
    [InlineData((int)OsCall.MapFile)]
    public void Where_its_memory_comes_from_is_a_wish_that_may_be_refused(int failing)
    {
        int node = NodeTopology.Current.SystemNodeOf(0);
        using (new InjectedFaults((OsCall)failing))
        {
            Assert.True(HighRegion.TryBringSectionOnline(s_index, node, out uint first));
            GiveToAllocator(first);
        }
    }

    [Fact]
    public void A_wish_for_a_node_leaves_no_window_behind()
    {
        nuint before = AddressSpace.MappedBytes();
        for (int i = 0; i < 4; i++) // 256 MiB of windows would show
        {
            Assert.True(HighRegion.TryBringSectionOnline(s_index, NodeTopology.Current.SystemNodeOf(0),
                out uint first));
            GiveToAllocator(first);
        }
        Assert.InRange((nint)AddressSpace.MappedBytes() - (nint)before, nint.MinValue, (nint)PageGeometry.SectionBytes);
    }

    [Fact]
    public void A_refused_section_leaves_the_region_as_it_was()
    {
        uint before = HighRegion.OnlinePages;
        nint section = HighRegion.File;
        using (new InjectedFaults(OsCall.GrowFile, OsCall.CreateFile))
            Assert.False(HighRegion.TryBringSectionOnline(s_index, -1, out _));
        Assert.Equal(before, HighRegion.OnlinePages);
        Assert.Equal(section, HighRegion.File);
        Assert.Equal(-1, LinearRegion.ZoneIndexOf(LinearRegion.HighFirstPage + before));
        Assert.True(HighRegion.TryBringSectionOnline(s_index, -1, out uint first));
        Assert.Equal(LinearRegion.HighFirstPage + before, first);
        GiveToAllocator(first);
    }

    [Fact]
    public void A_high_page_shows_the_same_bytes_in_every_mapping_and_is_zero_after_a_purge_while_its_neighbours_stay()
    {
        const uint Count = 4;
        PageRequest request = new(2, Count) { Kind = ZoneKind.High };
        Assert.True(PageLayer.TryTake(null, request, out uint page, out _));
        Assert.True(HighRegion.Contains(page));
        using Window one = new(page, Count), two = new(page + 1, 2);
        for (uint i = 0; i < Count; i++) one.Page(i).Fill((byte)(i + 1));
        Assert.False(two.Page(0).ContainsAnyExcept((byte)2));
        two.Page(1)[77] = 99;
        Assert.Equal(99, one.Page(2)[77]);
        Assert.True(HighRegion.TryPurge(page + 1, 2));
        Assert.False(one.Page(1).ContainsAnyExcept((byte)0) || two.Page(1).ContainsAnyExcept((byte)0),
            "a purged page is not zero");
        Assert.False(one.Page(0).ContainsAnyExcept((byte)1) || one.Page(3).ContainsAnyExcept((byte)4),
            "a page beside was purged");
        two.Page(0)[0] = 5; // usable as before
        Assert.Equal(5, one.Page(1)[0]);
        PageLayer.GivePages(page, Count);
    }

    [Fact]
    public void A_refused_purge_changes_nothing()
    {
        Assert.True(PageLayer.TryTake(null, PageRequest.Block(0) with { Kind = ZoneKind.High }, out uint page, out _));
        using Window window = new(page, 1);
        window.Page(0).Fill(6);
        using (new InjectedFaults(OsCall.PurgeFile)) Assert.False(HighRegion.TryPurge(page, 1));
        Assert.False(window.Page(0).ContainsAnyExcept((byte)6));
        PageLayer.GivePages(page, 1);
    }

    [Fact]
    public void Free_high_pages_give_their_memory_back_and_those_in_use_keep_theirs()
    {
        PageRequest request = new(1, 2) { Kind = ZoneKind.High };
        Zone* zone = PageLayer.ZoneAt(s_index);
        PageLayer.Purge();
        uint dirty = zone->DirtyPages;
        Assert.True(PageLayer.TryTake(null, request, out uint kept, out _));
        Assert.True(PageLayer.TryTake(null, request, out uint freed, out _));
        Assert.Equal(dirty + 4, zone->DirtyPages);
        using Window keptWindow = new(kept, 2), freedWindow = new(freed, 2);
        for (uint i = 0; i < 2; i++)
        {
            keptWindow.Page(i).Fill(7);
            freedWindow.Page(i).Fill(8);
        }
        PageLayer.GivePages(freed, 2);
        using (new InjectedFaults(OsCall.PurgeFile)) PageLayer.Purge();
        Assert.Equal(dirty + 4, zone->DirtyPages); // refused: what may have memory is known to
        Assert.True(PageLayer.Purge() >= 2 * PageGeometry.PageBytes);
        Assert.Equal(dirty + 2, zone->DirtyPages);
        for (uint i = 0; i < 2; i++)
        {
            Assert.False(keptWindow.Page(i).ContainsAnyExcept((byte)7), "a page in use was purged");
            Assert.False(freedWindow.Page(i).ContainsAnyExcept((byte)0), "a free page was not purged");
        }
        PageLayer.GivePages(kept, 2);
    }

    // Nothing brings a section offline: the allocator can have it.
    private static void GiveToAllocator(uint section)
    {
        Zone* zone = PageLayer.ZoneAt(s_index);
        zone->Lock.Acquire();
        zone->AddSection(section);
        zone->Lock.Release();
        zone->Verify();
    }
}
