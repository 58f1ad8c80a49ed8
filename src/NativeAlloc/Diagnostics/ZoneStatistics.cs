using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc;

/// <summary>
/// What a zone of the page allocator has and has done (<c>/proc/zoneinfo</c>). A page is 64 KiB, a pageblock 2 MiB.
/// </summary>
public sealed unsafe class ZoneStatistics
{
    /// <summary>The migrate types as reports name them, in the order of the kernel's own rows.</summary>
    internal static readonly (PageFlags Type, string Name)[] MigrateTypes =
        [(PageFlags.None, "Unmovable"), (PageFlags.Movable, "Movable"), (PageFlags.Reclaimable, "Reclaimable")];

    private readonly long[] _freeBlocks = new long[Pageblock.TypeCount * PageGeometry.OrderCount];
    private readonly long[] _pageblocks = new long[Pageblock.TypeCount]; // for users a run is unmovable

    private ZoneStatistics(Zone* zone, ulong allPages)
    {
        Node = zone->Node;
        Zone = (PageZone)zone->Kind;
        OnlinePages = zone->OnlinePages;
        FreePages = zone->FreePages;
        DirtyPages = zone->DirtyPages;
        Watermarks marks = new(Machine.MemoryBytes >> PageGeometry.PageShift, zone->OnlinePages, allPages);
        LimitPages = marks.LimitPages;
        MinPages = marks.MinPages;
        LowPages = marks.LowPages;
        HighPages = marks.HighPages;
        Hits = PageLayer.CountHits(zone);
        Misses = zone->Misses;
        Foreign = zone->Foreign;
        Steals = zone->Steals;
        Claims = zone->Claims;
        LockAcquisitions = zone->Lock.Acquisitions;
        for (int type = 0; type < Pageblock.TypeCount; type++)
        {
            for (int order = 0; order < PageGeometry.OrderCount; order++)
                _freeBlocks[IndexOf((MigrateType)type) * PageGeometry.OrderCount + order] +=
                    zone->FreeBlocks((MigrateType)type, order);
        }
        PageLayer.CountPageblocks(zone, _pageblocks);
        _pageblocks[(int)MigrateType.Unmovable] += _pageblocks[(int)MigrateType.Run];
    }

    /// <summary>The NUMA node, from 0.</summary>
    public int Node { get; }

    /// <summary>The kind of memory.</summary>
    public PageZone Zone { get; }

    /// <summary>Pages that the zone has, free or taken, with memory behind them or not.</summary>
    public long OnlinePages { get; }

    /// <summary>Pages in its free lists.</summary>
    public long FreePages { get; }

    /// <summary>Pages that may have memory behind them, free or taken.</summary>
    public long DirtyPages { get; }

    /// <summary>
    /// Pages that there can be memory for: the zone's part of what the machine or the container has, by its part of the
    /// online pages. The limits of all zones together are that memory.
    /// </summary>
    public long LimitPages { get; }

    /// <summary>
    /// The lowest mark of available pages, which are the limit less those taken. A figure for comparison: nothing
    /// begins there.
    /// </summary>
    public long MinPages { get; }

    /// <summary>The middle mark: a quarter above the lowest.</summary>
    public long LowPages { get; }

    /// <summary>The highest mark: a half above the lowest.</summary>
    public long HighPages { get; }

    /// <summary>Requests served here that were meant for this node (<c>numa_hit</c>).</summary>
    public long Hits { get; }

    /// <summary>Requests served here that were meant for another node (<c>numa_miss</c>).</summary>
    public long Misses { get; }

    /// <summary>Requests meant for this node that another served (<c>numa_foreign</c>).</summary>
    public long Foreign { get; }

    /// <summary>Requests served from a free block of another migrate type.</summary>
    public long Steals { get; }

    /// <summary>Pageblocks that changed their migrate type for that.</summary>
    public long Claims { get; }

    /// <summary>How often the zone's lock was taken; it wraps at 2^32.</summary>
    public long LockAcquisitions { get; }

    /// <summary>Free blocks of 2^order pages.</summary>
    /// <param name="order">0 to <see cref="PageAllocator.MaxOrder"/>.</param>
    /// <returns>Their number.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such order.</exception>
    public long FreeBlocks(int order) =>
        FreeBlocks(order, PageFlags.None) + FreeBlocks(order, PageFlags.Reclaimable)
        + FreeBlocks(order, PageFlags.Movable);

    /// <summary>Free blocks of 2^order pages in pageblocks of a migrate type.</summary>
    /// <param name="order">0 to <see cref="PageAllocator.MaxOrder"/>.</param>
    /// <param name="type"><see cref="PageFlags.None"/> for unmovable, <see cref="PageFlags.Reclaimable"/> or
    /// <see cref="PageFlags.Movable"/>.</param>
    /// <returns>Their number.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such order or type.</exception>
    public long FreeBlocks(int order, PageFlags type)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(order);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(order, PageAllocator.MaxOrder);
        return _freeBlocks[IndexOf(type) * PageGeometry.OrderCount + order];
    }

    /// <summary>Pageblocks of a migrate type, free or taken.</summary>
    /// <param name="type"><see cref="PageFlags.None"/> for unmovable, <see cref="PageFlags.Reclaimable"/> or
    /// <see cref="PageFlags.Movable"/>.</param>
    /// <returns>Their number.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such type.</exception>
    public long Pageblocks(PageFlags type) => _pageblocks[IndexOf(type)];

    internal static IReadOnlyList<ZoneStatistics> ReadAll()
    {
        List<ZoneStatistics> zones = [];
        ulong allPages = 0;
        for (int index = 0; index < PageLayer.ZoneCount; index++) allPages += PageLayer.ZoneAt(index)->OnlinePages;
        for (int index = 0; index < PageLayer.ZoneCount; index++)
            if (PageLayer.ZoneAt(index)->HasSections) zones.Add(new ZoneStatistics(PageLayer.ZoneAt(index), allPages));
        return zones;
    }

    private static int IndexOf(MigrateType type) => (int)(type == MigrateType.Run ? MigrateType.Unmovable : type);

    private static int IndexOf(PageFlags type) => type switch
    {
        PageFlags.None => (int)MigrateType.Unmovable,
        PageFlags.Reclaimable => (int)MigrateType.Reclaimable,
        PageFlags.Movable => (int)MigrateType.Movable,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type,
            "A migrate type is None (unmovable), Reclaimable or Movable."),
    };
}
