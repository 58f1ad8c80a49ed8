using NativeAlloc.High;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.Threads;

namespace NativeAlloc.Diagnostics;

/// <summary>Figures of the statistics that are added up: over zones, slab caches, locks and threads.</summary>
internal unsafe struct StatisticsTotals
{
    internal nuint OnlineBytes, FreePageBytes, DirtyFreeBytes, ResidentBytes;

    internal nuint LiveBytes, MagazineBytes, SlabFreeBytes, SlabPurgedBytes, ReallocCopiedBytes;

    internal long LiveBlocks, LockAcquisitions, DepotExchanges, SlabExchanges;

    /// <summary>Adds all of them up. Threads go on meanwhile.</summary>
    internal static StatisticsTotals Read()
    {
        StatisticsTotals totals = default;
        totals.AddLargeBlocks();
        totals.AddLocks();
        totals.AddZones();
        for (int index = CacheTable.Next(0); index != 0; index = CacheTable.Next(index)) totals.AddCache(index);
        // The arrays of an area's runs are blocks of the allocator that no user holds.
        totals.LiveBytes -= Math.Min(totals.LiveBytes, AreaRuns.ArrayBytes);
        totals.LiveBlocks -= AreaRuns.Arrays;
        ThreadCounts counts = ThreadMagazines.CountAll();
        (totals.DepotExchanges, totals.SlabExchanges) = (counts.DepotExchanges, counts.SlabExchanges);
        nuint dirtyBytes = PageLayer.DirtyPages() * PageGeometry.PageBytes;
        totals.ResidentBytes = dirtyBytes - Math.Min(dirtyBytes, totals.SlabPurgedBytes);
        totals.ReallocCopiedBytes = (nuint)(SystemCounters.ReallocCopiedBytes + counts.ReallocCopiedBytes);
        return totals;
    }

    // What users hold beside objects of slab caches.
    private void AddLargeBlocks()
    {
        PageBlocks.CountLive(out long blocks, out long pages);
        LiveBytes += LargeBlocks.Bytes + Areas.LiveBytes + ((nuint)Math.Max(0, pages) << PageGeometry.PageShift);
        LiveBlocks += LargeBlocks.Count + Areas.LiveCount + blocks;
    }

    // Those of which there is one. Zones and caches have locks of their own.
    private void AddLocks() =>
        LockAcquisitions += LinearRegion.LockAcquisitions + HighRegion.LockAcquisitions
            + ThreadRegistry.LockAcquisitions + VmallocSpace.LockAcquisitions + PersistentWindows.LockAcquisitions
            + Pages.ArenaChunks.LockAcquisitions + Pages.HeapBlocks.LockAcquisitions + CacheChain.LockAcquisitions;

    private void AddZones()
    {
        for (int index = 0; index < PageLayer.ZoneCount; index++)
        {
            Zone* zone = PageLayer.ZoneAt(index);
            LockAcquisitions += zone->Lock.Acquisitions;
            uint online = zone->OnlinePages, free = zone->FreePages;
            OnlineBytes += online * PageGeometry.PageBytes;
            FreePageBytes += free * PageGeometry.PageBytes;
            DirtyFreeBytes += zone->DirtyFreePages * PageGeometry.PageBytes;
        }
    }

    private void AddCache(int index)
    {
        ObjectCache* cache = CacheTable.CacheAt(index);
        if (!cache->TryEnter()) return;
        CacheFigures figures = CacheFigures.Of(index);
        nuint bytes = cache->ObjectBytes;
        MagazineBytes += (nuint)figures.InMagazines * bytes;
        SlabFreeBytes += (nuint)figures.InSlabs * bytes;
        SlabPurgedBytes += (nuint)figures.PurgedBytes;
        for (int node = 0; node < ObjectCache.NodeCount; node++)
            LockAcquisitions += cache->Node(node)->Lock.Acquisitions;
        cache->Leave();
        if (index is >= CacheTable.FirstMagazineCache and < CacheTable.FirstUserCache) return; // no user holds these
        LiveBytes += (nuint)figures.Live * bytes;
        LiveBlocks += figures.Live;
    }
}
