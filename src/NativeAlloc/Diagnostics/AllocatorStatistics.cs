using NativeAlloc.Diagnostics;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Slabs;
using NativeAlloc.Threads;

namespace NativeAlloc;

/// <summary>Where the allocator's memory is, and what it has done, at one moment. All sizes are in bytes.</summary>
public readonly unsafe record struct AllocatorStatistics
{
    /// <summary>Address space reserved for pages and areas; it costs no memory.</summary>
    public nuint ReservedBytes { get; init; }

    /// <summary>The part of it that may be touched.</summary>
    public nuint CommittedBytes { get; init; }

    /// <summary>
    /// The most that can be resident: every page that was handed out and not purged since, less what slabs have given
    /// back of theirs. Pages that were touched in part count whole.
    /// </summary>
    public nuint ResidentEstimateBytes { get; init; }

    /// <summary>
    /// The resident limit: near it memory is given back, and beyond it allocations fail.
    /// </summary>
    public nuint LimitBytes { get; init; }

    /// <summary>
    /// Whether the limit is derived from the machine or the container: 1 if so, and 0 if the user has set it.
    /// </summary>
    public bool LimitIsDerived { get; init; }

    /// <summary>
    /// What counts towards the limit: memory that was handed out and not given back to the system since.
    /// </summary>
    public nuint ChargedBytes { get; init; }

    /// <summary>The most that was ever charged.</summary>
    public nuint PeakChargedBytes { get; init; }

    /// <summary>Memory of the machine, or of the container where it has a lower limit.</summary>
    public nuint MachineBytes { get; init; }

    /// <summary>What users hold, in the sizes the allocator keeps for it.</summary>
    public nuint LiveBytes { get; init; }

    /// <summary>Blocks that users hold.</summary>
    public long LiveBlocks { get; init; }

    /// <summary>
    /// Bytes of the chunks of all arenas, also of those that were never disposed of; part of the live bytes.
    /// </summary>
    public nuint ArenaBytes { get; init; }

    /// <summary>Number of these chunks.</summary>
    public long ArenaChunks { get; init; }

    /// <summary>
    /// Buffers, writers and streams that were collected without being disposed of so far; their memory stays.
    /// </summary>
    public long ForgottenBlocks { get; init; }

    /// <summary>Bytes of these, as asked for; part of the live bytes.</summary>
    public nuint ForgottenBytes { get; init; }

    /// <summary>All that is kept ready for the next allocation: magazines, hot pages and kept areas.</summary>
    public nuint CachedBytes { get; init; }

    /// <summary>Free objects in the magazines of threads and of depots.</summary>
    public nuint MagazineBytes { get; init; }

    /// <summary>Free pages in the hot lists of threads.</summary>
    public nuint HotPageBytes { get; init; }

    /// <summary>
    /// Memory of the vmalloc space that is kept for the next request: that of freed areas, and what live ones hold
    /// beyond their size.
    /// </summary>
    public nuint KeptAreaBytes { get; init; }

    /// <summary>Free objects in slabs.</summary>
    public nuint SlabFreeBytes { get; init; }

    /// <summary>
    /// Bytes of slabs in use that have been given back to the system: between objects that are in use, and behind the
    /// last.
    /// </summary>
    public nuint SlabPurgedBytes { get; init; }

    /// <summary>Free pages, with memory behind them or not.</summary>
    public nuint FreePageBytes { get; init; }

    /// <summary>Free pages that may have memory behind them: what a purge would give back.</summary>
    public nuint DirtyFreeBytes { get; init; }

    /// <summary>
    /// Bytes given back to the system so far: of free memory that had been handed out, whether the program had written
    /// to it or not.
    /// </summary>
    public nuint PurgedBytes { get; init; }

    /// <summary>Bytes whose memory was moved to another address so far, without being copied.</summary>
    public nuint MovedBytes { get; init; }

    /// <summary>Bytes that Realloc copied so far, where it could neither stay in place nor move memory.</summary>
    public nuint ReallocCopiedBytes { get; init; }

    /// <summary>System calls made so far.</summary>
    public long OsCalls { get; init; }

    /// <summary>
    /// Mappings of the system that areas and windows take up; half of what the system allows the process is the most.
    /// </summary>
    public long Mappings { get; init; }

    /// <summary>Locks taken so far; the counter of each lock wraps at 2^32.</summary>
    public long LockAcquisitions { get; init; }

    /// <summary>Magazines that threads exchanged with a depot so far, without a lock.</summary>
    public long DepotExchanges { get; init; }

    /// <summary>
    /// Times that threads took objects out of slabs or put them back, under a lock; each for up to four magazines.
    /// </summary>
    public long SlabExchanges { get; init; }

    /// <summary>Threads that took over the caches of a thread that had ended.</summary>
    public long Adoptions { get; init; }

    /// <summary>How often memory was reclaimed because it ran short.</summary>
    public long Reclaims { get; init; }

    /// <summary>How often a registered shrinker threw instead of an answer.</summary>
    public long ShrinkerFailures { get; init; }

    /// <summary>
    /// Allocations that ran into the resident limit, so that memory was reclaimed for them; they may have succeeded
    /// then.
    /// </summary>
    public long LimitHits { get; init; }

    /// <summary>
    /// The zones of all nodes that have memory: what <see cref="AllocatorReport.WriteBuddyInfo"/> and
    /// <see cref="AllocatorReport.WritePageTypeInfo"/> print.
    /// </summary>
    public IReadOnlyList<ZoneStatistics> Zones { get => field ?? []; init; }

    /// <summary>Reads all figures. Threads go on meanwhile.</summary>
    internal static AllocatorStatistics Read()
    {
        Startup.Begin();
        return Make(StatisticsTotals.Read()) with
        {
            LimitBytes = ResidentBudget.LimitBytes,
            LimitIsDerived = ResidentBudget.IsDerived,
            ChargedBytes = ResidentBudget.ChargedBytes,
            PeakChargedBytes = ResidentBudget.PeakBytes,
            MachineBytes = (nuint)Machine.MemoryBytes,
            Zones = ZoneStatistics.ReadAll(),
        };
    }

    /// <summary>The same without the limits and the zones. It allocates nothing on the managed heap.</summary>
    internal static AllocatorStatistics ReadTotals() => Make(StatisticsTotals.Read());

    private static AllocatorStatistics Make(in StatisticsTotals totals)
    {
        nuint hot = PageLayer.CountHotPages() * PageGeometry.PageBytes, kept = KeptAreas.Bytes + Areas.TailBytes;
        return new AllocatorStatistics
        {
            ReservedBytes = LinearRegion.Bytes + VmallocSpace.Bytes,
            CommittedBytes = totals.OnlineBytes + Areas.LiveBytes + kept,
            ResidentEstimateBytes = totals.ResidentBytes + Areas.LiveBytes + kept,
            LiveBytes = totals.LiveBytes,
            LiveBlocks = totals.LiveBlocks,
            ArenaBytes = Pages.ArenaChunks.Bytes,
            ArenaChunks = Pages.ArenaChunks.Count,
            ForgottenBlocks = Common.ForgottenBlocks.Count,
            ForgottenBytes = Common.ForgottenBlocks.Bytes,
            CachedBytes = totals.MagazineBytes + hot + kept,
            MagazineBytes = totals.MagazineBytes,
            HotPageBytes = hot,
            KeptAreaBytes = kept,
            SlabFreeBytes = totals.SlabFreeBytes,
            SlabPurgedBytes = totals.SlabPurgedBytes,
            FreePageBytes = totals.FreePageBytes,
            DirtyFreeBytes = totals.DirtyFreeBytes,
            PurgedBytes = (nuint)SystemCounters.PurgedBytes,
            MovedBytes = (nuint)SystemCounters.MovedBytes,
            ReallocCopiedBytes = totals.ReallocCopiedBytes,
            OsCalls = Platform.Calls,
            Mappings = MappingBudget.InUse,
            LockAcquisitions = totals.LockAcquisitions,
            DepotExchanges = totals.DepotExchanges,
            SlabExchanges = totals.SlabExchanges,
            Adoptions = ThreadRegistry.Adoptions,
            Reclaims = Reclaimer.Runs,
            ShrinkerFailures = Shrinkers.Failures,
            LimitHits = ResidentBudget.LimitHits,
        };
    }
}
