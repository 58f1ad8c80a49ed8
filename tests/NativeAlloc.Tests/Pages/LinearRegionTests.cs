using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows that addresses and pages belong to each other, that the tables hold what was put there and nothing beside it,
/// and how sections come.
/// </summary>
public sealed unsafe class LinearRegionTests
{
    public LinearRegionTests() => TestZone.CompleteSection();

    [Fact]
    public void The_region_is_whole_sections_and_begins_at_one()
    {
        Assert.Equal(0u, LinearRegion.Base % PageGeometry.SectionBytes);
        Assert.NotEqual(0u, LinearRegion.PageCount);
        Assert.Equal(0u, LinearRegion.PageCount % PageGeometry.SectionPages);
        Assert.Equal((nuint)LinearRegion.PageCount * PageGeometry.PageBytes, LinearRegion.Bytes);
        Assert.InRange(LinearRegion.OnlinePages, 0u, LinearRegion.PageCount);
    }

    [Fact]
    public void Every_address_in_a_page_leads_to_the_page() => Properties.Check(
        Values.Pairs(Values.Between(0, (int)LinearRegion.PageCount - 1),
            Values.Between(0, (int)PageGeometry.PageBytes - 1)),
        at =>
        {
            nuint address = LinearRegion.AddressOf((uint)at.First);
            Assert.Equal(0u, address % PageGeometry.PageBytes);
            Assert.Equal((nuint)at.First, LinearRegion.PageIndexOf((void*)(address + (nuint)at.Second)));
            Assert.Equal((nuint)at.First, LinearRegion.PageIndexOf((void*)address));
            Assert.Equal((nuint)at.First, LinearRegion.PageIndexOf((void*)(address + PageGeometry.PageBytes - 1)));
        },
        runs: 2000);

    [Fact]
    public void Addresses_outside_the_region_have_no_page_in_it()
    {
        int local;
        nuint end = LinearRegion.Base + LinearRegion.Bytes;
        foreach (nuint address in (nuint[])[0, 1, LinearRegion.Base - 1, end, end + 1, (nuint)(&local), nuint.MaxValue])
            Assert.True(LinearRegion.PageIndexOf((void*)address) >= LinearRegion.PageCount,
                $"0x{address:x} is no address of the region");
        Assert.Equal(LinearRegion.PageCount - 1, LinearRegion.PageIndexOf((void*)(end - 1)));
    }

    [Fact]
    public void The_tables_lie_outside_the_memory_that_is_handed_out_and_apart_from_each_other()
    {
        uint last = LinearRegion.PageCount - 1;
        (nuint Begin, nuint End)[] tables =
        [
            (LinearRegion.Base, LinearRegion.Base + LinearRegion.Bytes),
            ((nuint)LinearRegion.Frames, (nuint)(LinearRegion.Frames + LinearRegion.EndPage)),
            ((nuint)LinearRegion.BitmapOf(0), (nuint)(LinearRegion.BitmapOf(last) + LinearRegion.BitmapWords)),
        ];
        Array.Sort(tables);
        for (int i = 1; i < tables.Length; i++) Assert.True(tables[i - 1].End <= tables[i].Begin, "two tables overlap");
        Assert.Equal(LinearRegion.BitmapWords, (int)(LinearRegion.BitmapOf(1) - LinearRegion.BitmapOf(0)));
    }

    [Fact]
    public void Dirty_bits_are_those_of_the_pages_and_of_no_others()
    {
        using TestZone zone = new(); // for its section, which is clean
        uint first = zone.First;
        Properties.ForAllSequences(
            Values.Pairs(Values.OneOf("mark", "clean", "ask"),
                Values.Pairs(Values.Between(0, (int)PageGeometry.SectionPages - 1), Values.Between(1, 200))),
            80,
            operations =>
            {
                bool[] oracle = new bool[PageGeometry.SectionPages];
                LinearRegion.Dirty.Clear(first, PageGeometry.SectionPages);
                foreach ((string kind, (int page, int wanted)) in operations)
                {
                    int count = Math.Min(wanted, oracle.Length - page);
                    if (kind == "mark") LinearRegion.Dirty.Set(first + (uint)page, (uint)count);
                    if (kind == "clean") LinearRegion.Dirty.Clear(first + (uint)page, (uint)count);
                    if (kind != "ask") oracle.AsSpan(page, count).Fill(kind == "mark");
                    Assert.Equal(oracle.AsSpan(page, count).Contains(true),
                        LinearRegion.Dirty.Any(first + (uint)page, (uint)count));
                    Assert.Equal((uint)oracle.AsSpan(page, count).Count(true),
                        LinearRegion.Dirty.Count(first + (uint)page, (uint)count));
                    Assert.Equal(oracle[page], LinearRegion.Dirty.IsSet(first + (uint)page));
                }
                for (uint page = 0; page < oracle.Length; page++)
                    if (oracle[page] != LinearRegion.Dirty.IsSet(first + page)) Assert.Fail($"page {page} is wrong");
                Assert.Equal((uint)oracle.Count(dirty => dirty),
                    LinearRegion.Dirty.Count(first, PageGeometry.SectionPages));
            },
            runs: 60);
        LinearRegion.Dirty.Clear(first, PageGeometry.SectionPages);
        Assert.Equal(0u, LinearRegion.Dirty.Count(first, PageGeometry.SectionPages));
    }

    [Fact]
    public void A_copy_of_the_dirty_bits_says_of_each_page_what_the_region_says_and_nothing_of_others()
    {
        using TestZone zone = new();
        uint first = zone.First;
        Properties.ForAllSequences(
            Values.Pairs(Values.Between(0, (int)PageGeometry.SectionPages - 1), Values.Between(1, 300)),
            20,
            runs =>
            {
                const ulong Untouched = 0xDEAD_BEEF_DEAD_BEEF;
                ulong* words = stackalloc ulong[(int)PageGeometry.SectionPages / 64 + 1];
                LinearRegion.Dirty.Clear(first, PageGeometry.SectionPages);
                foreach ((int at, int wanted) in runs)
                {
                    uint page = first + (uint)at, count = Math.Min((uint)wanted, PageGeometry.SectionPages - (uint)at);
                    LinearRegion.Dirty.Set(page, count / 2); // every other half stays as it is
                    int wordCount = (int)(((page & 63) + count + 63) / 64);
                    new Span<ulong>(words, wordCount + 1).Fill(Untouched);
                    LinearRegion.Dirty.Copy(page, count, words);
                    Assert.Equal(Untouched, words[wordCount]);
                    for (uint i = 0; i < (uint)wordCount * 64; i++)
                    {
                        uint which = (page & ~63u) + i;
                        bool expected = which >= page && which < page + count && LinearRegion.Dirty.IsSet(which);
                        if ((words[i / 64] >> (int)(i % 64) & 1) != 0 != expected)
                            Assert.Fail($"the bit of page {which} is wrong in a copy of {count} from {page}");
                    }
                }
            },
            runs: 60);
        LinearRegion.Dirty.Clear(first, PageGeometry.SectionPages);
    }

    [Fact]
    public void A_type_is_set_for_whole_pageblocks_and_for_no_others()
    {
        using TestZone zone = new();
        uint first = zone.First, blocks = PageGeometry.SectionPages / Pageblock.Pages;
        MigrateType[] oracle = new MigrateType[blocks];
        LinearRegion.SetType(first, PageGeometry.SectionPages, MigrateType.Unmovable);
        Random random = new(7);
        for (int step = 0; step < 200; step++)
        {
            int at = random.Next((int)blocks), count = random.Next(1, (int)blocks - at + 1);
            MigrateType type = (MigrateType)random.Next(Pageblock.TypeCount);
            LinearRegion.SetType(first + (uint)at * Pageblock.Pages, (uint)count * Pageblock.Pages, type);
            oracle.AsSpan(at, count).Fill(type);
            for (uint page = 0; page < PageGeometry.SectionPages; page += 1 + page % 5)
                if (LinearRegion.TypeOf(first + page) != oracle[page / Pageblock.Pages])
                    Assert.Fail($"page {page} is of the wrong type");
        }
        LinearRegion.SetType(first, PageGeometry.SectionPages, MigrateType.Unmovable);
    }

    [Fact]
    public void Every_number_has_the_zone_of_its_section_or_none()
    {
        for (uint section = 0; section < LinearRegion.EndPage; section += PageGeometry.SectionPages)
        {
            bool online = section < LinearRegion.OnlinePages || (section >= LinearRegion.HighFirstPage
                && section - LinearRegion.HighFirstPage < HighRegion.OnlinePages);
            int zone = LinearRegion.ZoneIndexOf(section);
            Assert.Equal(online, zone >= 0);
            Assert.True(zone < PageLayer.ZoneCount);
            foreach (uint inside in (uint[])[1, 77, PageGeometry.SectionPages - 1])
                Assert.Equal(zone, LinearRegion.ZoneIndexOf(section + inside));
        }
        foreach (uint none in (uint[])[LinearRegion.PageCount, LinearRegion.HighFirstPage - 1, LinearRegion.EndPage - 1,
            LinearRegion.EndPage, LinearRegion.EndPage + 1, int.MaxValue, PageFrame.None])
            if (none < LinearRegion.HighFirstPage || none - LinearRegion.HighFirstPage >= HighRegion.OnlinePages)
                Assert.Equal(-1, LinearRegion.ZoneIndexOf(none));
    }

    [Fact]
    public void A_wish_for_a_node_may_be_refused_and_the_section_comes_all_the_same()
    {
        int node = NodeTopology.Current.SystemNodeOf(0);
        Assert.True(LinearRegion.TryBringSectionOnline(Zone.IndexOf(0, ZoneKind.Normal), node, out uint first, out _));
        GiveToAllocator(first);
        bool asked = false;
        using (new InjectedFaults(call => asked |= call == OsCall.Bind)) // from then on everything
        {
            Assert.True(LinearRegion.TryBringSectionOnline(Zone.IndexOf(0, ZoneKind.Normal), node, out first, out _));
        }
        Assert.True(asked);
        GiveToAllocator(first);
    }

    [Fact]
    public void A_class_is_set_for_the_pages_of_a_block_and_for_no_others()
    {
        using TestZone zone = new();
        uint first = zone.First;
        for (uint count = 1; count <= 16; count *= 2)
        {
            LinearRegion.SetClass(first + 16, count, 250);
            for (uint page = 0; page < 64; page++)
                Assert.Equal(page >= 16 && page < 16 + count ? 250 : 0, LinearRegion.ClassOf(first + page));
            LinearRegion.SetClass(first + 16, count, 0);
            Assert.Equal(0, LinearRegion.ClassOf(first + 16));
        }
    }

    [Fact]
    public void A_page_that_was_never_online_can_be_looked_up_and_is_no_slab()
    {
        uint last = LinearRegion.PageCount - 1;
        Assert.True(LinearRegion.OnlinePages < last);
        Assert.Equal(0, LinearRegion.ClassOf(last));
        Assert.False(LinearRegion.Dirty.IsSet(last));
    }

    [Fact]
    public void A_page_has_a_bitmap_of_its_own()
    {
        using TestZone zone = new();
        ulong* bitmap = LinearRegion.BitmapOf(zone.First + 1);
        Span<ulong> mine = new(bitmap, LinearRegion.BitmapWords);
        Span<ulong> neighbours = new(bitmap - LinearRegion.BitmapWords, 3 * LinearRegion.BitmapWords);
        neighbours.Clear();
        mine.Fill(ulong.MaxValue);
        Assert.False(neighbours[..LinearRegion.BitmapWords].ContainsAnyExcept(0UL));
        Assert.False(neighbours[(2 * LinearRegion.BitmapWords)..].ContainsAnyExcept(0UL));
    }

    [Fact]
    public void Sections_come_one_after_the_other_and_are_zero()
    {
        uint before = LinearRegion.OnlinePages;
        Assert.True(LinearRegion.TryBringSectionOnline(Zone.IndexOf(0, ZoneKind.Normal), -1, out uint first, out _));
        Assert.Equal(before, first);
        Assert.Equal(before + PageGeometry.SectionPages, LinearRegion.OnlinePages);
        // Where commit is charged, pages are committed when they are taken.
        Assert.True(VirtualMemory.TryCommitToUse(LinearRegion.AddressOf(first), PageGeometry.SectionBytes));
        Assert.Equal(AddressSpace.Private, AddressSpace.PermissionsAt(LinearRegion.AddressOf(first)));
        uint last = first + PageGeometry.SectionPages - 1;
        Assert.Equal(0, *(long*)LinearRegion.AddressOf(first));
        Assert.Equal(0, *(long*)(LinearRegion.AddressOf(last) + PageGeometry.PageBytes - sizeof(long)));
        Assert.Equal(PageState.Inner, LinearRegion.Frames[last].State);
        Assert.False(LinearRegion.Dirty.Any(first, PageGeometry.SectionPages));
        Assert.Equal(0UL, LinearRegion.BitmapOf(last)[LinearRegion.BitmapWords - 1]);
        GiveToAllocator(first);
    }

    [Fact]
    public void A_refused_section_leaves_the_region_as_it_was()
    {
        SystemNeeds.FreeCommit();
        uint before = LinearRegion.OnlinePages;
        using (new InjectedFaults(OsCall.Commit))
            Assert.False(LinearRegion.TryBringSectionOnline(Zone.IndexOf(0, ZoneKind.Normal), -1, out _, out _));
        Assert.Equal(before, LinearRegion.OnlinePages);
        Assert.True(LinearRegion.TryBringSectionOnline(Zone.IndexOf(0, ZoneKind.Normal), -1, out uint first, out _));
        Assert.Equal(before, first);
        GiveToAllocator(first);
    }

    // Nothing brings a section offline: the allocator can have it.
    private static void GiveToAllocator(uint section)
    {
        Zone* zone = TestZone.Normal;
        zone->Lock.Acquire();
        zone->AddSection(section);
        zone->Lock.Release();
        zone->Verify();
    }
}
