using NativeAlloc.Slabs;

namespace NativeAlloc.Diagnostics;

/// <summary>
/// Every figure, declared once: of the whole allocator, of a zone, of a slab cache.
/// <see cref="AllocatorReport.WriteJson"/> and the page docs/statistics.md follow from it; a test holds the properties
/// of <see cref="AllocatorStatistics"/> and <see cref="ZoneStatistics"/>, and what is said of the former, against it.
/// </summary>
internal static class StatisticsTable
{
    /// <summary>
    /// Version of the names and meanings in what is written for programs. It goes up when one changes or goes away, and
    /// stays when one is added.
    /// </summary>
    internal const int Version = 1;

    /// <summary>In the order of the struct.</summary>
    internal static readonly Figure<AllocatorStatistics>[] All =
    [
        new(nameof(AllocatorStatistics.ReservedBytes), FigureUnit.Bytes,
            "Address space reserved for pages and areas; it costs no memory.", static s => (long)s.ReservedBytes),
        new(nameof(AllocatorStatistics.CommittedBytes), FigureUnit.Bytes, "The part of it that may be touched.",
            static s => (long)s.CommittedBytes),
        new(nameof(AllocatorStatistics.ResidentEstimateBytes), FigureUnit.Bytes,
            "The most that can be resident: every page that was handed out and not purged since, less what slabs " +
            "have given back of theirs. Pages that were touched in part count whole.",
            static s => (long)s.ResidentEstimateBytes),
        new(nameof(AllocatorStatistics.LimitBytes), FigureUnit.Bytes,
            "The resident limit: near it memory is given back, and beyond it allocations fail.",
            static s => (long)s.LimitBytes),
        new(nameof(AllocatorStatistics.LimitIsDerived), FigureUnit.Count,
            "Whether the limit is derived from the machine or the container: 1 if so, and 0 if the user has set it.",
            static s => s.LimitIsDerived ? 1 : 0),
        new(nameof(AllocatorStatistics.ChargedBytes), FigureUnit.Bytes,
            "What counts towards the limit: memory that was handed out and not given back to the system since.",
            static s => (long)s.ChargedBytes),
        new(nameof(AllocatorStatistics.PeakChargedBytes), FigureUnit.Bytes, "The most that was ever charged.",
            static s => (long)s.PeakChargedBytes),
        new(nameof(AllocatorStatistics.MachineBytes), FigureUnit.Bytes,
            "Memory of the machine, or of the container where it has a lower limit.", static s => (long)s.MachineBytes),
        new(nameof(AllocatorStatistics.LiveBytes), FigureUnit.Bytes,
            "What users hold, in the sizes the allocator keeps for it.", static s => (long)s.LiveBytes),
        new(nameof(AllocatorStatistics.LiveBlocks), FigureUnit.Count, "Blocks that users hold.",
            static s => s.LiveBlocks),
        new(nameof(AllocatorStatistics.ArenaBytes), FigureUnit.Bytes,
            "Bytes of the chunks of all arenas, also of those that were never disposed of; part of the live bytes.",
            static s => (long)s.ArenaBytes),
        new(nameof(AllocatorStatistics.ArenaChunks), FigureUnit.Count, "Number of these chunks.",
            static s => s.ArenaChunks),
        new(nameof(AllocatorStatistics.ForgottenBlocks), FigureUnit.Count,
            "Buffers, writers and streams that were collected without being disposed of so far; their memory stays.",
            static s => s.ForgottenBlocks),
        new(nameof(AllocatorStatistics.ForgottenBytes), FigureUnit.Bytes,
            "Bytes of these, as asked for; part of the live bytes.", static s => (long)s.ForgottenBytes),
        new(nameof(AllocatorStatistics.CachedBytes), FigureUnit.Bytes,
            "All that is kept ready for the next allocation: magazines, hot pages and kept areas.",
            static s => (long)s.CachedBytes),
        new(nameof(AllocatorStatistics.MagazineBytes), FigureUnit.Bytes,
            "Free objects in the magazines of threads and of depots.", static s => (long)s.MagazineBytes),
        new(nameof(AllocatorStatistics.HotPageBytes), FigureUnit.Bytes, "Free pages in the hot lists of threads.",
            static s => (long)s.HotPageBytes),
        new(
            nameof(AllocatorStatistics.KeptAreaBytes),
            FigureUnit.Bytes,
            "Memory of the vmalloc space that is kept for the next request: that of freed areas, and what live ones "
            + "hold beyond their size.",
            static s => (long)s.KeptAreaBytes),
        new(nameof(AllocatorStatistics.SlabFreeBytes), FigureUnit.Bytes, "Free objects in slabs.",
            static s => (long)s.SlabFreeBytes),
        new(nameof(AllocatorStatistics.SlabPurgedBytes), FigureUnit.Bytes,
            "Bytes of slabs in use that have been given back to the system: between objects that are in use, and " +
            "behind the last.", static s => (long)s.SlabPurgedBytes),
        new(nameof(AllocatorStatistics.FreePageBytes), FigureUnit.Bytes, "Free pages, with memory behind them or not.",
            static s => (long)s.FreePageBytes),
        new(nameof(AllocatorStatistics.DirtyFreeBytes), FigureUnit.Bytes,
            "Free pages that may have memory behind them: what a purge would give back.",
            static s => (long)s.DirtyFreeBytes),
        new(nameof(AllocatorStatistics.PurgedBytes), FigureUnit.Bytes,
            "Bytes given back to the system so far: of free memory that had been handed out, whether the program had " +
            "written to it or not.", static s => (long)s.PurgedBytes, FigureKind.Counter),
        new(nameof(AllocatorStatistics.MovedBytes), FigureUnit.Bytes,
            "Bytes whose memory was moved to another address so far, without being copied.",
            static s => (long)s.MovedBytes, FigureKind.Counter),
        new(nameof(AllocatorStatistics.ReallocCopiedBytes), FigureUnit.Bytes,
            "Bytes that Realloc copied so far, where it could neither stay in place nor move memory.",
            static s => (long)s.ReallocCopiedBytes, FigureKind.Counter),
        new(nameof(AllocatorStatistics.OsCalls), FigureUnit.Count, "System calls made so far.",
            static s => s.OsCalls, FigureKind.Counter),
        new(nameof(AllocatorStatistics.Mappings), FigureUnit.Count,
            "Mappings of the system that areas and windows take up; half of what the system allows the process is " +
            "the most.", static s => s.Mappings),
        new(nameof(AllocatorStatistics.LockAcquisitions), FigureUnit.Count,
            "Locks taken so far; the counter of each lock wraps at 2^32.",
            static s => s.LockAcquisitions, FigureKind.Counter),
        new(nameof(AllocatorStatistics.DepotExchanges), FigureUnit.Count,
            "Magazines that threads exchanged with a depot so far, without a lock.",
            static s => s.DepotExchanges, FigureKind.Counter),
        new(nameof(AllocatorStatistics.SlabExchanges), FigureUnit.Count,
            "Times that threads took objects out of slabs or put them back, under a lock; each for up to four " +
            "magazines.", static s => s.SlabExchanges, FigureKind.Counter),
        new(nameof(AllocatorStatistics.Adoptions), FigureUnit.Count,
            "Threads that took over the caches of a thread that had ended.",
            static s => s.Adoptions, FigureKind.Counter),
        new(nameof(AllocatorStatistics.Reclaims), FigureUnit.Count,
            "How often memory was reclaimed because it ran short.", static s => s.Reclaims, FigureKind.Counter),
        new(nameof(AllocatorStatistics.ShrinkerFailures), FigureUnit.Count,
            "How often a registered shrinker threw instead of an answer.",
            static s => s.ShrinkerFailures, FigureKind.Counter),
        new(nameof(AllocatorStatistics.LimitHits), FigureUnit.Count,
            "Allocations that ran into the resident limit, so that memory was reclaimed for them; they may have " +
            "succeeded then.", static s => s.LimitHits, FigureKind.Counter),
    ];

    internal static readonly Figure<ZoneStatistics>[] Zones =
    [
        new(nameof(ZoneStatistics.OnlinePages), FigureUnit.Pages,
            "Pages that the zone has, free or taken, with memory behind them or not.", static z => z.OnlinePages),
        new(nameof(ZoneStatistics.FreePages), FigureUnit.Pages, "Pages in its free lists.", static z => z.FreePages),
        new(nameof(ZoneStatistics.DirtyPages), FigureUnit.Pages,
            "Pages that may have memory behind them, free or taken.", static z => z.DirtyPages),
        new(nameof(ZoneStatistics.LimitPages), FigureUnit.Pages,
            "The zone's part of the pages that the machine or the container has memory for, by its part of the " +
            "online pages.", static z => z.LimitPages),
        new(nameof(ZoneStatistics.MinPages), FigureUnit.Pages,
            "The lowest mark of available pages, which are the limit less those taken. A figure for comparison: " +
            "nothing begins there.", static z => z.MinPages),
        new(nameof(ZoneStatistics.LowPages), FigureUnit.Pages, "The middle mark: a quarter above the lowest.",
            static z => z.LowPages),
        new(nameof(ZoneStatistics.HighPages), FigureUnit.Pages, "The highest mark: a half above the lowest.",
            static z => z.HighPages),
        new(nameof(ZoneStatistics.Hits), FigureUnit.Count,
            "Requests served here that were meant for this node (numa_hit).", static z => z.Hits, FigureKind.Counter),
        new(nameof(ZoneStatistics.Misses), FigureUnit.Count,
            "Requests served here that were meant for another node (numa_miss).",
            static z => z.Misses, FigureKind.Counter),
        new(nameof(ZoneStatistics.Foreign), FigureUnit.Count,
            "Requests meant for this node that another served (numa_foreign).",
            static z => z.Foreign, FigureKind.Counter),
        new(nameof(ZoneStatistics.Steals), FigureUnit.Count,
            "Requests served from a free block of another migrate type.", static z => z.Steals, FigureKind.Counter),
        new(nameof(ZoneStatistics.Claims), FigureUnit.Count, "Pageblocks that changed their migrate type for that.",
            static z => z.Claims, FigureKind.Counter),
        new(nameof(ZoneStatistics.LockAcquisitions), FigureUnit.Count,
            "How often the zone's lock was taken; it wraps at 2^32.",
            static z => z.LockAcquisitions, FigureKind.Counter),
    ];

    internal static readonly Figure<CacheReport>[] Caches =
    [
        new(nameof(CacheReport.ObjectBytes), FigureUnit.Bytes, "Size of an object.", static c => c.ObjectBytes),
        new(nameof(CacheReport.ObjectsPerSlab), FigureUnit.Count, "Objects that a slab holds.",
            static c => c.ObjectsPerSlab),
        new(nameof(CacheReport.SlabPages), FigureUnit.Pages, "Pages of a slab.", static c => c.SlabPages),
        new(nameof(CacheReport.Slabs), FigureUnit.Count, "Slabs.", static c => c.Slabs),
        new(nameof(CacheReport.ActiveSlabs), FigureUnit.Count, "Slabs of which an object is out.",
            static c => c.ActiveSlabs),
        new(nameof(CacheReport.PurgedBytes), FigureUnit.Bytes,
            "Bytes of its slabs that have been given back to the system: no object in use lies there.",
            static c => c.PurgedBytes),
        new(nameof(CacheReport.Objects), FigureUnit.Count, "Objects in all slabs, free or not.", static c => c.Objects),
        new(nameof(CacheReport.Active), FigureUnit.Count, "Objects outside of slabs: users' and those in magazines.",
            static c => c.Active),
        new(nameof(CacheReport.Cached), FigureUnit.Count, "Objects in magazines, of threads and of depots.",
            static c => c.Cached),
        new(nameof(CacheReport.InDepot), FigureUnit.Count, "Objects in depots.", static c => c.InDepot),
        new(nameof(CacheReport.Capacity), FigureUnit.Count, "Objects that a magazine holds; 0 where threads keep none.",
            static c => c.Capacity),
        new(nameof(CacheReport.DepotLimit), FigureUnit.Count, "Full magazines that the depots may keep at present.",
            static c => c.DepotLimit),
        new(nameof(CacheReport.Hits), FigureUnit.Count,
            "How often a thread that needed a full magazine found one in a depot.",
            static c => c.Hits, FigureKind.Counter),
        new(nameof(CacheReport.Misses), FigureUnit.Count, "How often it did not.",
            static c => c.Misses, FigureKind.Counter),
        new(nameof(CacheReport.Refills), FigureUnit.Count, "How often objects were taken out of slabs.",
            static c => (long)c.Refills, FigureKind.Counter),
        new(nameof(CacheReport.Drains), FigureUnit.Count, "How often objects were put back into slabs.",
            static c => (long)c.Drains, FigureKind.Counter),
    ];
}
