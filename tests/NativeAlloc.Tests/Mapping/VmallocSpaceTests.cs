using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Mapping;

/// <summary>
/// Shows that areas never touch each other, that each is found by its addresses, and that holes are found as long as
/// there are any.
/// </summary>
public sealed unsafe class VmallocSpaceTests : AreaCheckedTests
{
    // As many as the space has records for, and one page for each is far less than it has pages.
    private const int MostRecords = 1 << 17;

    [Fact]
    public void Random_steps_leave_the_space_as_a_sorted_list_would_be() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("add", "add", "add", "remove", "extend", "shorten", "cut"),
            Values.Between(0, int.MaxValue)),
        150,
        steps =>
        {
            Model model = new();
            foreach ((string kind, int pick) in steps)
            {
                model.Do(kind, (uint)pick);
                VmallocSpace.Verify();
                model.Check((uint)pick);
            }
            model.RemoveAll();
        },
        runs: 25);

    [Fact]
    public void An_area_stands_at_its_alignment_between_guard_pages()
    {
        List<nint> areas = [];
        for (uint alignment = 1; alignment <= 1 << 14; alignment *= 4)
        {
            foreach (uint pages in (uint[])[1, 3, 100])
            {
                VmallocArea* area = VmallocSpace.Add(AreaKind.Vmalloc, pages, alignment);
                Assert.Equal(0u, VmallocSpace.AddressOf(area) % (alignment * Page));
                Assert.Equal(pages, area->Pages);
                byte* begin = (byte*)VmallocSpace.AddressOf(area), end = begin + pages * Page;
                Assert.False(VmallocSpace.TryFind(end, out _), "the guard page belongs to nobody");
                Assert.False(VmallocSpace.TryFind(begin - 1, out _),
                    "what is before the area is a guard page or a hole");
                areas.Add((nint)area);
            }
        }
        VmallocSpace.Verify();
        foreach (nint area in areas) VmallocSpace.Remove((VmallocArea*)area);
    }

    [Fact]
    public void An_area_with_room_can_grow_into_it_and_one_without_cannot_grow_into_its_neighbour()
    {
        VmallocArea* roomy = VmallocSpace.Add(AreaKind.Vmalloc, 10, roomPages: 500);
        uint first = roomy->FirstPage;
        Assert.True(VmallocSpace.TryExtend(roomy, 510));
        Assert.Equal((first, 510u), (roomy->FirstPage, roomy->Pages));
        VmallocArea* next = VmallocSpace.Add(AreaKind.Vmalloc, 1), last = VmallocSpace.Add(AreaKind.Vmalloc, 1);
        VmallocSpace.Verify();
        Assert.False(VmallocSpace.TryExtend(next, 2));
        Assert.Equal(1u, next->Pages);
        VmallocSpace.Remove(last);
        Assert.True(VmallocSpace.TryExtend(next, 2));
        VmallocSpace.Verify();
        VmallocSpace.Remove(roomy);
        VmallocSpace.Remove(next);
    }

    [Fact]
    public void The_space_has_room_for_two_thousand_areas_of_a_GiB()
    {
        Assert.SkipWhen(Options.VmallocReserveBytes != 0 || Platform.ChargesCommit, "the space is a smaller one");
        uint pages = (uint)((1UL << 30) / Page);
        VmallocArea*[] areas = new VmallocArea*[2000];
        for (int i = 0; i < areas.Length; i++) areas[i] = VmallocSpace.Add(AreaKind.Vmalloc, pages);
        int missing = 0;
        foreach (VmallocArea* area in areas)
        {
            if (area == null) missing++;
            else VmallocSpace.Remove(area);
        }
        Assert.Equal(0, missing);
    }

    [Fact]
    public void Where_there_is_no_hole_with_room_one_without_will_do()
    {
        uint all = (uint)(VmallocSpace.Bytes / Page);
        VmallocArea* most = VmallocSpace.Add(AreaKind.Vmalloc, all / 4 * 3);
        VmallocArea* area = VmallocSpace.Add(AreaKind.Vmalloc, 100, roomPages: all / 2);
        Assert.True(most != null && area != null);
        VmallocSpace.Remove(most);
        VmallocSpace.Remove(area);
    }

    [Fact]
    public void A_space_without_a_hole_gives_no_area_and_loses_nothing()
    {
        uint all = (uint)(VmallocSpace.Bytes / Page);
        Assert.True(VmallocSpace.Add(AreaKind.Vmalloc, all) == null, "a guard page has to be there too");
        Assert.True(VmallocSpace.Add(AreaKind.Vmalloc, uint.MaxValue / 2, 1 << 20, uint.MaxValue / 4) == null);
        List<nint> areas = [];
        for (uint pages = all; pages != 0;)
        {
            VmallocArea* area = VmallocSpace.Add(AreaKind.Vmalloc, pages);
            if (area == null) pages /= 2;
            else areas.Add((nint)area);
        }
        VmallocSpace.Verify();
        Assert.True(VmallocSpace.Add(AreaKind.Vmalloc, 1) == null);
        VmallocArea* any = (VmallocArea*)areas[^1];
        Assert.False(VmallocSpace.TryExtend(any, any->Pages + 2)); // less than an area and its guard page is left
        foreach (nint area in areas) VmallocSpace.Remove((VmallocArea*)area);
    }

    [Fact]
    public void When_all_records_are_in_use_there_is_no_area_until_one_is_removed()
    {
        List<nint> areas = [];
        for (VmallocArea* area; (area = VmallocSpace.Add(AreaKind.Vmalloc, 1)) != null;) areas.Add((nint)area);
        Assert.InRange(areas.Count, MostRecords / 2, MostRecords);
        VmallocSpace.Verify();
        VmallocSpace.Remove((VmallocArea*)areas[^1]);
        areas[^1] = (nint)VmallocSpace.Add(AreaKind.Vmalloc, 1);
        Assert.NotEqual(0, areas[^1]);
        Assert.True(VmallocSpace.Add(AreaKind.Vmalloc, 1) == null);
        foreach (nint area in areas) VmallocSpace.Remove((VmallocArea*)area);
    }

    [Fact]
    public void An_address_outside_of_all_areas_is_nobodys()
    {
        long local = 0;
        VmallocArea* area = VmallocSpace.Add(AreaKind.Map, 2);
        byte* begin = (byte*)VmallocSpace.AddressOf(area);
        foreach (nuint address in (nuint[])[0, (nuint)(&local), nuint.MaxValue, VmallocSpace.Base, VmallocSpace.Base
            - 1, VmallocSpace.Base + VmallocSpace.Bytes, VmallocSpace.Base + VmallocSpace.Bytes - Page])
        {
            Assert.False(VmallocSpace.TryFind((void*)address, out _));
            Assert.True(VmallocSpace.Starting((void*)address) == null);
        }
        Assert.True(VmallocSpace.Starting(begin) == area);
        foreach (nuint inside in (nuint[])[1, Page - 1, Page, 2 * Page - 1])
        {
            Assert.True(VmallocSpace.Starting(begin + inside) == null);
            Assert.True(VmallocSpace.TryFind(begin + inside, out VmallocArea found));
            Assert.Equal((area->FirstPage, AreaKind.Map), (found.FirstPage, found.Kind));
        }
        VmallocSpace.Remove(area);
        Assert.True(VmallocSpace.Starting(begin) == null);
        Assert.False(VmallocSpace.TryFind(begin, out _));
    }

    [Fact]
    public void Threads_that_add_and_remove_at_once_never_have_an_address_in_common()
    {
        TestThread.RunTogether(4, number =>
        {
            Random random = new(number);
            List<nint> mine = [];
            for (int i = 0; i < 3000; i++)
            {
                if (mine.Count < 20 && random.Next(2) == 0)
                {
                    VmallocArea* area = VmallocSpace.Add(AreaKind.Vmalloc, (uint)random.Next(1, 50),
                        1u << random.Next(5), (uint)random.Next(30));
                    area->ChargedBytes = (nuint)number; // whoever else had the record would write another number
                    mine.Add((nint)area);
                }
                else if (mine.Count != 0)
                {
                    int pick = random.Next(mine.Count);
                    VmallocArea* area = (VmallocArea*)mine[pick];
                    mine.RemoveAt(pick);
                    void* last = (void*)(VmallocSpace.AddressOf(area) + area->Pages * Page - 1);
                    if (!VmallocSpace.TryFind(last, out VmallocArea found) || found.FirstPage != area->FirstPage
                        || area->ChargedBytes != (nuint)number)
                        throw new InvalidOperationException("the area is not what it was");
                    VmallocSpace.Remove(area);
                }
            }
            foreach (nint area in mine) VmallocSpace.Remove((VmallocArea*)area);
        });
    }

    /// <summary>The areas that a test has added, by their first pages, and what was there before.</summary>
    private sealed class Model
    {
        private readonly SortedList<uint, nint> _mine = [];
        private readonly SortedList<uint, uint> _all = []; // pages by first page, also of others

        internal Model()
        {
            for (uint page = 0; VmallocSpace.TryNext(page, out VmallocArea found); page = found.FirstPage + found.Pages)
                _all.Add(found.FirstPage, found.Pages);
        }

        internal void Do(string kind, uint pick)
        {
            VmallocArea* area =
                _mine.Count == 0 ? null : (VmallocArea*)_mine.GetValueAtIndex((int)(pick % _mine.Count));
            uint pages = 1 + pick / 7 % 60;
            if (kind == "add")
            {
                uint alignment = 1u << (int)(pick / 3 % 8), room = pick / 11 % 3 * 40;
                area = VmallocSpace.Add(AreaKind.Vmalloc, pages, alignment, room);
                Assert.True(area != null, "there is no hole, and most of the space is one");
                Assert.Equal(0u, VmallocSpace.AddressOf(area) % (alignment * Page));
                Assert.True(HoleBehind(area->FirstPage, pages) >= room, "there is no room");
                _mine.Add(area->FirstPage, (nint)area);
                _all.Add(area->FirstPage, pages);
                return;
            }
            if (area == null) return;
            uint first = area->FirstPage, old = area->Pages;
            switch (kind)
            {
                case "remove":
                    VmallocSpace.Remove(area);
                    _mine.Remove(first);
                    _all.Remove(first);
                    return;
                case "extend":
                    uint hole = HoleBehind(first, old);
                    Assert.Equal(pages <= hole, VmallocSpace.TryExtend(area, old + pages));
                    if (pages <= hole) _all[first] += pages;
                    return;
                case "shorten":
                    VmallocSpace.Shorten(area, 1 + pages % old);
                    _all[first] = 1 + pages % old;
                    return;
                case "cut" when old > 1:
                    uint cut = 1 + pages % (old - 1);
                    Assert.True(VmallocSpace.TryCutFront(area, cut));
                    _mine.Remove(first);
                    _all.Remove(first);
                    _mine.Add(first + cut, (nint)area);
                    _all.Add(first + cut, old - cut);
                    return;
            }
        }

        internal void Check(uint pick)
        {
            Assert.Equal(_all.Count, VmallocSpace.Count);
            uint page = 0;
            foreach ((uint first, uint pages) in _all)
            {
                Assert.True(VmallocSpace.TryNext(page, out VmallocArea next));
                Assert.Equal((first, pages), (next.FirstPage, next.Pages));
                page = first + pages;
            }
            Assert.False(VmallocSpace.TryNext(page, out _));
            foreach ((uint first, nint area) in _mine)
            {
                byte* begin = (byte*)(VmallocSpace.Base + first * Page);
                Assert.True(VmallocSpace.Starting(begin) == (VmallocArea*)area);
                uint pages = _all[first];
                Assert.True(VmallocSpace.TryFind(begin + pick % (pages * Page), out VmallocArea found));
                Assert.Equal((first, pages), (found.FirstPage, found.Pages));
                Assert.False(VmallocSpace.TryFind(begin + pages * Page, out _));
            }
        }

        internal void RemoveAll()
        {
            foreach (nint area in _mine.Values) VmallocSpace.Remove((VmallocArea*)area);
        }

        // Pages that are free behind an area and its guard.
        private uint HoleBehind(uint first, uint pages)
        {
            uint next = _all.Keys.FirstOrDefault(key => key > first, (uint)(VmallocSpace.Bytes / Page));
            return next - first - pages - VmallocArea.GuardPages;
        }
    }
}
