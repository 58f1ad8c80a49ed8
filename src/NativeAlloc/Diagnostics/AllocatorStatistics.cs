using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.Threads;

namespace NativeAlloc;

/// <summary>Where the allocator's memory is, and what it has done, at one moment. All sizes are in bytes.</summary>
public readonly unsafe record struct AllocatorStatistics
{
    /// <summary>Address space reserved for pages and huge blocks; it costs no memory.</summary>
    public nuint ReservedBytes { get; init; }

    /// <summary>The part of it that may be touched.</summary>
    public nuint CommittedBytes { get; init; }

    /// <summary>The most that can be resident: every page that was handed out and not purged since. Pages that were touched in part count whole.</summary>
    public nuint ResidentEstimateBytes { get; init; }

    /// <summary>What users hold, in the sizes the allocator keeps for it.</summary>
    public nuint LiveBytes { get; init; }

    /// <summary>Blocks that users hold.</summary>
    public long LiveBlocks { get; init; }

    /// <summary>Free objects in the magazines of threads and of depots, free pages in the hot lists of threads, and freed areas that stay mapped.</summary>
    public nuint CachedBytes { get; init; }

    /// <summary>Free objects in slabs.</summary>
    public nuint SlabFreeBytes { get; init; }

    /// <summary>Free pages, with memory behind them or not.</summary>
    public nuint FreePageBytes { get; init; }

    /// <summary>Bytes given back to the system so far.</summary>
    public nuint PurgedBytes { get; init; }

    /// <summary>System calls made so far.</summary>
    public long OsCalls { get; init; }

    /// <summary>Locks taken so far; the counter of each lock wraps at 2^32.</summary>
    public long LockAcquisitions { get; init; }

    /// <summary>Magazines that threads exchanged with a depot so far, without a lock.</summary>
    public long DepotExchanges { get; init; }

    /// <summary>Times that threads took objects out of slabs or put them back, under a lock; each for up to four magazines.</summary>
    public long SlabExchanges { get; init; }

    /// <summary>Threads that took over the caches of a thread that had ended.</summary>
    public long Adoptions { get; init; }

    /// <summary>How often memory was reclaimed because it ran short.</summary>
    public long Reclaims { get; init; }

    /// <summary>How often a registered shrinker threw instead of an answer.</summary>
    public long ShrinkerFailures { get; init; }

    /// <summary>The zones of all nodes that have memory: what <see cref="AllocatorReport.WriteBuddyInfo"/> and <see cref="AllocatorReport.WritePageTypeInfo"/> print.</summary>
    public IReadOnlyList<ZoneStatistics> Zones { get => field ?? []; init; }

    /// <summary>Reads all figures. Threads go on meanwhile.</summary>
    internal static AllocatorStatistics Read()
    {
        PageBlocks.CountLive(out long pageBlocks, out long pages);
        nuint live = LargeBlocks.Bytes + Areas.LiveBytes + ((nuint)Math.Max(0, pages) << LinearRegion.PageShift), cached = 0, slabFree = 0;
        long blocks = LargeBlocks.Count + Areas.LiveCount + pageBlocks;
        long locks = LinearRegion.LockAcquisitions + HighRegion.LockAcquisitions + ThreadRegistry.LockAcquisitions + VmallocSpace.LockAcquisitions;
        nuint onlinePages = 0, freePages = 0;
        for (int index = 0; index < PageLayer.ZoneCount; index++)
        {
            Zone* zone = PageLayer.ZoneAt(index);
            locks += zone->Lock.Acquisitions;
            onlinePages += zone->OnlinePages;
            freePages += zone->FreePages;
        }
        for (int index = 1; index < SlabLayer.EndOfCaches; index++)
        {
            if (!SlabLayer.CacheAt(index)->TryEnter()) continue;
            SlabLayer.CacheFigures figures = SlabLayer.Count(index);
            nuint bytes = SlabLayer.CacheAt(index)->ObjectBytes;
            cached += (nuint)figures.InMagazines * bytes;
            slabFree += (nuint)figures.InSlabs * bytes;
            for (int node = 0; node < ObjectCache.NodeCount; node++) locks += SlabLayer.CacheAt(index)->Node(node)->Lock.Acquisitions;
            SlabLayer.CacheAt(index)->Leave();
            if (index is >= SlabLayer.FirstMagazineCache and < SlabLayer.FirstUserCache) continue; // the allocator's own
            live += (nuint)figures.Live * bytes;
            blocks += figures.Live;
        }
        live -= Math.Min(live, AreaRuns.ArrayBytes); // the allocator's own
        blocks -= AreaRuns.Arrays;
        SlabLayer.CountExchanges(out long depotExchanges, out long slabExchanges);
        nuint kept = KeptAreas.Bytes;
        cached += PageLayer.CountHotPages() * LinearRegion.PageBytes + kept;
        return new AllocatorStatistics
        {
            ReservedBytes = LinearRegion.Bytes + VmallocSpace.Bytes,
            CommittedBytes = (onlinePages << LinearRegion.PageShift) + Areas.LiveBytes + kept,
            ResidentEstimateBytes = PageLayer.DirtyPages() * LinearRegion.PageBytes + Areas.LiveBytes + kept,
            LiveBytes = live,
            LiveBlocks = blocks,
            CachedBytes = cached,
            SlabFreeBytes = slabFree,
            FreePageBytes = freePages << LinearRegion.PageShift,
            PurgedBytes = (nuint)PageLayer.PurgedBytes,
            OsCalls = VirtualMemory.Calls,
            LockAcquisitions = locks,
            DepotExchanges = depotExchanges,
            SlabExchanges = slabExchanges,
            Adoptions = ThreadRegistry.Adoptions,
            Reclaims = Reclaimer.Runs,
            ShrinkerFailures = Shrinkers.Failures,
            Zones = ZoneStatistics.ReadAll(),
        };
    }
}
