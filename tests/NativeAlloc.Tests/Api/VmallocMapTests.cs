using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that <see cref="Vmalloc.Map"/> shows pages side by side in any order, that what goes wrong leaves nothing
/// mapped, and that <see cref="Vmalloc.Unmap"/> takes nothing but a map.
/// </summary>
public sealed unsafe class VmallocMapTests : LeakCheckedTests
{
    private const nuint PageBytes = PageAllocator.PageSize;

    [Fact]
    public void Pages_are_side_by_side_in_the_order_asked_for_and_several_times_if_wanted()
    {
        using HighPages pages = new(4);
        int[] order = [3, 0, 0, 2, 1, 3];
        byte* map = (byte*)Vmalloc.Map([.. order.Select(i => pages[i])]);
        for (int at = 0; at < order.Length; at++)
            Pattern.Fill(map + (nuint)at * PageBytes, PageBytes, (ulong)order[at]);
        for (int at = 0; at < order.Length; at++)
            Pattern.Check(map + (nuint)at * PageBytes, PageBytes, (ulong)order[at]);
        map[PageBytes + 5] = 200; // page 0, which is there twice
        Assert.Equal(200, map[2 * PageBytes + 5]);
        byte* window = (byte*)PersistentMap.Map(pages[0]);
        Assert.Equal(200, window[5]);
        PersistentMap.Unmap(pages[0]);
        Vmalloc.Unmap(map);
    }

    [Fact]
    public void Pages_that_are_neighbours_are_mapped_by_one_call_and_counted_as_one_mapping()
    {
        using HighPages pages = new(40);
        Page[] sorted = [.. pages.AsSpan().ToArray().OrderBy(page => page.Index)];
        int runs = 1 + Enumerable.Range(1, sorted.Length - 1).Count(i => sorted[i].Index != sorted[i - 1].Index + 1);
        Assert.True(runs < sorted.Length, "no two pages are neighbours");
        CheckCost(sorted, runs);
        CheckCost([.. sorted.Reverse()], sorted.Length);
        CheckCost([sorted[0], sorted[0], sorted[0]], 3);
    }

    [Fact]
    public void Unmapping_leaves_nothing_at_the_addresses_and_the_pages_as_they_are()
    {
        using HighPages pages = new(3);
        int areas = VmallocSpace.Count;
        byte* map = (byte*)Vmalloc.Map(pages.AsSpan());
        Pattern.Fill(map, 3 * PageBytes, 9);
        Assert.Equal(AddressSpace.Shared, AddressSpace.PermissionsAt((nuint)map + 3 * PageBytes - 1));
        // an overrun is an access violation
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt((nuint)map + 3 * PageBytes));
        Vmalloc.Unmap(map);
        for (nuint page = 0; page < 3; page++)
            Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt((nuint)map + page * PageBytes));
        Assert.Equal(areas, VmallocSpace.Count);
        map = (byte*)Vmalloc.Map(pages.AsSpan());
        Pattern.Check(map, 3 * PageBytes, 9);
        Vmalloc.Unmap(map);
    }

    [Fact]
    public void Mapping_and_unmapping_take_no_managed_memory()
    {
        using HighPages pages = new(8);
        Vmalloc.Unmap(Vmalloc.Map(pages.AsSpan()));
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 20; i++) Vmalloc.Unmap(Vmalloc.Map(pages.AsSpan()));
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void A_page_that_cannot_be_mapped_is_named_and_nothing_is_mapped()
    {
        using HighPages pages = new(2);
        int areas = VmallocSpace.Count;
        Page normal = PageAllocator.AllocPage(), freed = PageAllocator.AllocPage(PageFlags.High);
        PageAllocator.FreePage(freed);
        Assert.Contains("pages[1] is no page", FailureOf(pages[0], default), StringComparison.Ordinal);
        Assert.Contains($"{normal} (pages[2])", FailureOf(pages[0], pages[1], normal), StringComparison.Ordinal);
        Assert.Contains($"Page {freed.Index} (pages[0]) is free", FailureOf(freed, pages[0]), StringComparison.Ordinal);
        Assert.Contains("at least one", FailureOf(), StringComparison.Ordinal);
        Assert.Equal(areas, VmallocSpace.Count);
        PageAllocator.FreePage(normal);
    }

    [Fact]
    public void Only_the_address_of_a_map_can_be_unmapped_and_only_once()
    {
        using HighPages pages = new(2);
        Page normal = PageAllocator.AllocPage();
        byte* map = (byte*)Vmalloc.Map(pages.AsSpan());
        void* block = NativeAllocator.Alloc(100), window = PersistentMap.Map(pages[0]);
        int local = 0;
        foreach (nint inside in (nint[])[1, 4096, (nint)PageBytes, 2 * (nint)PageBytes - 1])
            Assert.Contains($"lies {inside} bytes inside the map of 2 pages", FailureOfUnmap(map + inside),
                StringComparison.Ordinal);
        foreach (nuint foreign in (nuint[])[(nuint)(map + 2 * PageBytes), (nuint)block, (nuint)window,
            (nuint)normal.Address, (nuint)(&local), 1, PageBytes, nuint.MaxValue])
            Assert.Contains("No map", FailureOfUnmap((void*)foreign), StringComparison.Ordinal);
        Vmalloc.Unmap(null);
        Pattern.Fill(map, 2 * PageBytes, 1); // it is still there
        Vmalloc.Unmap(map);
        Assert.Contains("unmapped before", FailureOfUnmap(map), StringComparison.Ordinal);
        PersistentMap.Unmap(pages[0]);
        NativeAllocator.Free(block);
        PageAllocator.FreePage(normal);
    }

    [Fact]
    public void Memory_of_another_kind_in_the_same_space_is_not_unmapped()
    {
        VmallocArea* area = VmallocSpace.Add(AreaKind.Vmalloc, 3);
        void* address = (void*)VmallocSpace.AddressOf(area);
        Assert.Contains("No map", FailureOfUnmap(address), StringComparison.Ordinal); // somebody is making it
        area->SetState(AreaState.Live);
        Assert.Contains("Vmalloc.Free", FailureOfUnmap(address), StringComparison.Ordinal);
        Assert.Contains("Vmalloc.Free", FailureOfUnmap((byte*)address + PageBytes), StringComparison.Ordinal);
        Assert.Equal(AreaState.Live, area->GetState());
        area->SetState(AreaState.Busy);
        VmallocSpace.Remove(area);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Where_the_system_refuses_half_way_nothing_stays_mapped(bool andAllLater)
    {
        using HighPages pages = new(5);
        Page[] reversed = [.. pages.AsSpan().ToArray().OrderByDescending(page => page.Index)]; // a call each
        (int areas, int mappings) = (VmallocSpace.Count, Rest.Mappings);
        for (int failing = 0; failing < reversed.Length; failing++)
        {
            int which = failing;
            using (new MemoryFileCalls(number => andAllLater ? number >= which : number == which))
                Assert.Throws<OutOfMemoryException>(() => { Vmalloc.Map(reversed); });
            // Where unmapping was refused, too, the addresses are nobody's until the next call.
            byte* map = (byte*)Vmalloc.Map(reversed);
            Assert.Equal((areas + 1, mappings + reversed.Length + 1), (VmallocSpace.Count, Rest.Mappings));
            Vmalloc.Unmap(map);
            Assert.Equal((areas, mappings), (VmallocSpace.Count, Rest.Mappings));
            VmallocSpace.Verify();
        }
    }

    [Fact]
    public void A_map_that_the_system_does_not_unmap_is_gone_for_its_owner_and_unmapped_later()
    {
        using HighPages pages = new(3);
        (int areas, int mappings) = (VmallocSpace.Count, Rest.Mappings);
        nint[] maps = [(nint)Vmalloc.Map(pages.AsSpan()), (nint)Vmalloc.Map([pages[2]]), (nint)Vmalloc.Map([pages[0]])];
        using (new InjectedFaults(OsCall.MapFile))
        {
            Vmalloc.Unmap((void*)maps[0]);
            Vmalloc.Unmap((void*)maps[1]);
        }
        Assert.Equal(areas + 3, VmallocSpace.Count);
        Assert.Contains("No map", FailureOfUnmap((void*)maps[0]), StringComparison.Ordinal);
        Vmalloc.Unmap((void*)maps[2]); // and the others
        Assert.Equal((areas, mappings), (VmallocSpace.Count, Rest.Mappings));
        foreach (nint map in maps) Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt((nuint)map));
    }

    [Fact]
    public void Areas_and_maps_that_the_system_refused_to_unmap_go_together()
    {
        using HighPages pages = new(1);
        NativeAllocator.Trim();
        (int areas, int mappings) = (VmallocSpace.Count, Rest.Mappings);
        void* block = Vmalloc.Alloc(9 * PageBytes);
        void* map = Vmalloc.Map(pages.AsSpan());
        using (new InjectedFaults(OsCall.MapFile, OsCall.Decommit))
        {
            Vmalloc.Unmap(map);
            Vmalloc.Free(block);
            NativeAllocator.Trim();
            Assert.Equal(areas + 2, VmallocSpace.Count);
            Assert.Equal(AreaState.Stale, VmallocSpace.Starting(map)->GetState());
            Assert.Equal(AreaState.Stale, VmallocSpace.Starting(block)->GetState());
        }
        Vmalloc.Unmap(Vmalloc.Map(pages.AsSpan())); // the next map tries both again
        Assert.Equal((areas, mappings), (VmallocSpace.Count, Rest.Mappings));
    }

    [Fact]
    public void Where_the_mappings_would_be_too_many_nothing_is_mapped()
    {
        using HighPages pages = new(1);
        Page[] same = [pages[0], pages[0], pages[0]];
        NativeAllocator.Trim(); // no kept area whose mappings could be had
        (int areas, int limit) = (VmallocSpace.Count, MappingBudget.Limit);
        try
        {
            MappingBudget.Limit = MappingBudget.InUse + same.Length; // and one is needed for the addresses behind
            Assert.Throws<OutOfMemoryException>(() => { Vmalloc.Map(same); });
            Assert.Equal(areas, VmallocSpace.Count);
            MappingBudget.Limit++;
            Vmalloc.Unmap(Vmalloc.Map(same));
        }
        finally
        {
            MappingBudget.Limit = limit;
        }
    }

    [Fact]
    public void Threads_that_map_the_same_pages_see_the_same_memory()
    {
        const int Threads = 4, Rounds = 100, Pages = 16;
        using HighPages pages = new(Pages);
        int areas = VmallocSpace.Count;
        Page[] all = pages.AsSpan().ToArray();
        byte* first = (byte*)Vmalloc.Map(all);
        for (int i = 0; i < Pages; i++) *(int*)(first + (nuint)i * PageBytes) = i;
        TestThread.RunTogether(Threads, number =>
        {
            Random random = new(number);
            for (int round = 1; round <= Rounds; round++)
            {
                int[] order = [.. Enumerable.Range(0, 1 + random.Next(2 * Pages)).Select(_ => random.Next(Pages))];
                byte* map = (byte*)Vmalloc.Map([.. order.Select(i => all[i])]);
                for (int at = 0; at < order.Length; at++)
                {
                    byte* page = map + (nuint)at * PageBytes;
                    if (*(int*)page != order[at]) Assert.Fail($"page {order[at]} says it is {*(int*)page}");
                    *(int*)(page + 64 * (number + 1)) = round;
                    if (*(int*)(first + (nuint)order[at] * PageBytes + 64 * (number + 1)) != round)
                        Assert.Fail($"page {order[at]} is not the same in another map");
                }
                Vmalloc.Unmap(map);
            }
        });
        Vmalloc.Unmap(first);
        Assert.Equal(areas, VmallocSpace.Count);
        VmallocSpace.Verify();
    }

    [Fact]
    public void Of_threads_that_unmap_the_same_map_one_succeeds()
    {
        using HighPages pages = new(1);
        for (int round = 0; round < 100; round++)
        {
            nint map = (nint)Vmalloc.Map(pages.AsSpan());
            int done = 0, failed = 0;
            TestThread.RunTogether(2, _ =>
            {
                try
                {
                    Vmalloc.Unmap((void*)map);
                    Interlocked.Increment(ref done);
                }
                catch (ArgumentException)
                {
                    Interlocked.Increment(ref failed);
                }
            });
            Assert.Equal((1, 1), (done, failed));
        }
    }

    private static void CheckCost(Page[] pages, int runs)
    {
        int mappings = Rest.Mappings;
        void* map;
        using (MemoryFileCalls calls = new())
        {
            map = Vmalloc.Map(pages);
            Assert.Equal(runs, calls.Count);
        }
        Assert.Equal(mappings + runs + 1, Rest.Mappings);
        Assert.True(VmallocSpace.TryFind(map, out VmallocArea area));
        Assert.Equal((AreaKind.Map, (uint)pages.Length, (uint)runs), (area.Kind, area.Pages, area.RunCount));
        Vmalloc.Unmap(map);
        Assert.Equal(mappings, Rest.Mappings);
    }

    private static string FailureOf(params Page[] pages) =>
        Assert.Throws<ArgumentException>(nameof(pages), () => { Vmalloc.Map(pages); }).Message;

    private static string FailureOfUnmap(void* address) =>
        Assert.Throws<ArgumentException>(nameof(address), () => Vmalloc.Unmap(address)).Message;
}
