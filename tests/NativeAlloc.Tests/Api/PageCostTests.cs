using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves what taking and freeing pages does not cost: single pages no lock, and none of them managed memory.
/// </summary>
public sealed unsafe class PageCostTests : LeakCheckedTests
{
    private const int Pairs = 1_000;

    [Fact]
    public void Warm_pairs_of_a_single_page_take_no_lock_and_make_no_system_call()
    {
        foreach (Action pair in new Action[]
        {
            static () => PageAllocator.FreePage(PageAllocator.AllocPage()),
            static () => PageAllocator.FreePage(PageAllocator.GetFreePage()),
            static () => PageAllocator.FreePages(PageAllocator.AllocPages(0), 0),
            static () => PageAllocator.FreePages(PageAllocator.GetFreePages(0), 0),
            static () => PageAllocator.FreePage(PageAllocator.AllocPagesNode(0, 0)),
            static () => PageAllocator.FreePage(PageAllocator.AllocPage(PageFlags.Movable)),
            static () => PageAllocator.FreePage(PageAllocator.AllocPage(PageFlags.Reclaimable | PageFlags.Cold)),
            static () => PageAllocator.FreePage(PageAllocator.GetZeroedPage()),
            static () => NativeAllocator.Free(PageAllocator.GetFreePage()),
        })
        {
            pair();
            AllocatorStatistics first = NativeAllocator.GetStatistics();
            // reading takes some, always the same number
            long own = NativeAllocator.GetStatistics().LockAcquisitions - first.LockAcquisitions;
            for (int i = 0; i < Pairs; i++) pair();
            AllocatorStatistics after = NativeAllocator.GetStatistics();
            Assert.Equal(first.LockAcquisitions + 2 * own, after.LockAcquisitions);
            Assert.Equal(first.OsCalls, after.OsCalls);
        }
    }

    [Fact]
    public void Many_single_pages_cost_a_lock_for_each_batch()
    {
        const int Count = 1_024, Batch = 16;
        Page[] pages = new Page[Count];
        Fill(); // so that there is used memory to be had
        AllocatorStatistics first = NativeAllocator.GetStatistics();
        long own = NativeAllocator.GetStatistics().LockAcquisitions - first.LockAcquisitions;
        Fill();
        long locks = NativeAllocator.GetStatistics().LockAcquisitions - first.LockAcquisitions - 2 * own;
        Assert.InRange(locks, Count / Batch, 2 * Count / Batch + 8);

        void Fill()
        {
            for (int i = 0; i < Count; i++) pages[i] = PageAllocator.AllocPage();
            foreach (Page page in pages) PageAllocator.FreePage(page);
        }
    }

    [Fact]
    public void Every_request_is_a_hit_of_its_zone_whichever_way_it_goes()
    {
        Zones.Prepare();
        Zones.Prepare(PageZone.Dma);
        foreach ((PageFlags flags, PageZone zone) in new[] { (PageFlags.None, PageZone.Normal),
            (PageFlags.Movable, PageZone.Normal), (PageFlags.Dma, PageZone.Dma) })
        {
            ZoneStatistics before = Zones.Read(zone);
            for (int i = 0; i < 100; i++) PageAllocator.FreePage(PageAllocator.AllocPage(flags));
            PageAllocator.FreePages(PageAllocator.AllocPages(3, flags), 3);
            PageAllocator.FreeExact(PageAllocator.AllocExact(200_000, flags), 200_000);
            ZoneStatistics after = Zones.Read(zone);
            Assert.Equal((before.Hits + 102, before.Misses, before.Foreign), (after.Hits, after.Misses, after.Foreign));
        }
    }

    [Fact]
    public void Taking_and_freeing_pages_in_any_way_costs_no_managed_memory()
    {
        EveryMember();
        EveryMember();
        long before = GC.GetAllocatedBytesForCurrentThread();
        EveryMember();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Pages_of_one_thread_that_another_frees_cost_no_managed_memory()
    {
        const int Count = 500;
        Page[] pages = new Page[Count];
        long allocated = -1;
        using TestThread other = new();
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < Count; i++) pages[i] = PageAllocator.AllocPages(i % 3);
            other.Run(() =>
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                for (int i = 0; i < Count; i++) PageAllocator.FreePages(pages[i], i % 3);
                allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            });
        }
        Assert.Equal(0, allocated);
    }

    private static void EveryMember()
    {
        const int Many = 200; // more than a thread's list holds
        Page* pages = stackalloc Page[Many];
        for (int order = 0; order <= PageAllocator.MaxOrder; order++)
        {
            PageAllocator.FreePages(PageAllocator.AllocPages(order), order);
            PageAllocator.FreePages(PageAllocator.AllocPagesNode(0, order, PageFlags.ThisNode | PageFlags.Movable),
                order);
            PageAllocator.FreePages(PageAllocator.AllocPages(order, PageFlags.High | PageFlags.Zeroed), order);
            PageAllocator.FreePages(PageAllocator.GetFreePages(order), order);
            if (order <= 4) PageAllocator.FreePages(PageAllocator.GetDmaPages(order), order);
            NativeAllocator.Free(PageAllocator.GetFreePages(order, PageFlags.Reclaimable));
            PageAllocator.FreeExact(PageAllocator.AllocExact((nuint)40_000 << order), (nuint)40_000 << order);
            if (PageAllocator.PageOf(&order) != default) PageAllocator.FreePage(default(Page));
        }
        for (int i = 0; i < Many; i++) pages[i] = PageAllocator.AllocPage();
        for (int i = 0; i < Many; i++) PageAllocator.FreePage(pages[i]);
        PageAllocator.FreePage(PageAllocator.GetZeroedPage());
        NativeAllocator.Trim();
    }
}
