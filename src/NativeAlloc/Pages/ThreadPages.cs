using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Threads;

namespace NativeAlloc.Pages;

/// <summary>
/// The page layer's part of a thread block (<c>per_cpu_pages</c>): a hot list for each migrate type of single pages,
/// for those of the normal zone of the thread's node. DMA and high pages have none, as taking one is a system call
/// anyway.
/// </summary>
/// <remarks>
/// Only the owner touches the lists, without a lock, while it is inside its <see cref="Claim"/>. Another thread may
/// claim them and empty them while the owner does something else. A list that was <b>parked</b> then has its owner come
/// by a slow path before it is used again.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ThreadPages : IClaimedPart
{
    /// <summary>Who uses the lists.</summary>
    public OwnerClaim Claim;

    /// <summary>Node of the normal zone that the pages of the lists are from. Owner only; read by any thread.</summary>
    private int _node;

    /// <summary>Visits to the zone until the owner asks again which node it is on. Owner only.</summary>
    private int _visitsLeft;

    /// <summary>
    /// Single pages that users got on the fast path, and that they gave back there. One counter for each, as that is
    /// all the fast path has time for. Owner only.
    /// </summary>
    private long _fastTaken, _fastGiven;

    /// <summary>
    /// The same of the slow paths, taken less given. All of these of all threads together are what users hold. Owner
    /// only.
    /// </summary>
    private long _userSingles;

    /// <summary>The same of larger blocks, and the pages in them. Owner only.</summary>
    private long _userBlocks, _userPages;

    /// <summary>
    /// Pages served from the lists on slow paths; and how many of all were added to the zone's hits already. Owner
    /// only.
    /// </summary>
    private long _slowHits, _reportedHits;

    /// <summary>What <see cref="IsUnusedSinceLastLook"/> saw. Under <see cref="PageLayer"/>'s claim.</summary>
    private long _lastSeen;

    private HotPages _unmovable, _reclaimable, _movable;

    /// <summary>
    /// Pages of the normal zones of other nodes, and single pages out of pageblocks for runs, collected until a batch
    /// is worth a lock; none is taken from here. It stands where the list of <see cref="MigrateType.Run"/> would.
    /// </summary>
    private HotPages _foreign;

    /// <summary>
    /// The scheduler rarely moves a thread to another node, and a page of the wrong node is slower, not wrong: asking
    /// at one visit in 64 to the zone makes it one in a thousand pages.
    /// </summary>
    internal const int VisitsPerNodeLookup = 64;

    static OwnerClaim* IClaimedPart.ClaimOf(byte* block) => &Of(block)->Claim;

    /// <summary>The part of a thread's block; null for a thread without one.</summary>
    internal static ThreadPages* Of(void* block)
    {
        Debug.Assert(sizeof(ThreadPages) <= ThreadBlock.PagesBytes,
            "the page layer's part of a thread block is too small");
        return block == null ? null : (ThreadPages*)((byte*)block + ThreadBlock.PagesOffset);
    }

    /// <summary>Whether the owner has neither taken nor given a page since this was asked last.</summary>
    internal bool IsUnusedSinceLastLook()
    {
        const int CountBits = 16; // of the four lists' pages
        long seen = (Volatile.Read(in _fastTaken) + Volatile.Read(in _fastGiven) + Volatile.Read(in _slowHits))
            << CountBits | (uint)Count;
        bool isSame = seen == _lastSeen;
        _lastSeen = seen;
        return isSame;
    }

    internal readonly int Node => Volatile.Read(in _node);

    /// <summary>Index of the zone that the pages of the lists are from.</summary>
    internal readonly int Zone => Pages.Zone.IndexOf(Node, ZoneKind.Normal);

    /// <summary>Says which node's pages the lists are for from now on. They are empty.</summary>
    internal void SetNode(int node) => Volatile.Write(ref _node, node);

    /// <summary>True if it is time to look which node the thread is on.</summary>
    internal bool IsLookupDue()
    {
        if (_visitsLeft-- > 0) return false;
        _visitsLeft = VisitsPerNodeLookup;
        return true;
    }

    /// <summary>One for each migrate type. That of runs is <see cref="Foreign"/>.</summary>
    internal const int Lists = Pageblock.TypeCount;

    internal HotPages* List(MigrateType type) => (HotPages*)Unsafe.AsPointer(ref _unmovable) + (int)type;

    /// <summary>Where pages are collected that are not used again from here.</summary>
    internal HotPages* Foreign => List(MigrateType.Run);

    /// <summary>Pages in all lists.</summary>
    internal readonly int Count => _unmovable.Count + _reclaimable.Count + _movable.Count + _foreign.Count;

    private readonly long Singles =>
        Volatile.Read(in _userSingles) + Volatile.Read(in _fastTaken) - Volatile.Read(in _fastGiven);

    internal readonly long UserBlocks => Singles + Volatile.Read(in _userBlocks);

    internal readonly long UserPages => Singles + Volatile.Read(in _userPages);

    /// <summary>Counts a page that a user got on the fast path.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void CountFastTaken() => Volatile.Write(ref _fastTaken, _fastTaken + 1);

    /// <summary>Counts a page that a user gave back on the fast path.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void CountFastGiven() => Volatile.Write(ref _fastGiven, _fastGiven + 1);

    internal void CountSingle(int pages) => Volatile.Write(ref _userSingles, _userSingles + pages);

    internal void CountBlock(int blocks, int pages)
    {
        Volatile.Write(ref _userBlocks, _userBlocks + blocks);
        Volatile.Write(ref _userPages, _userPages + pages);
    }

    /// <summary>What the counters said was moved elsewhere.</summary>
    internal void ResetCounts()
    {
        _fastTaken = _fastGiven = _slowHits = _reportedHits = 0;
        _userSingles = _userBlocks = _userPages = 0;
    }

    /// <summary>Pages served from the lists and not yet added to the zone's hits.</summary>
    internal readonly long Hits =>
        Volatile.Read(in _fastTaken) + Volatile.Read(in _slowHits) - Volatile.Read(in _reportedHits);

    internal void CountHit() => Volatile.Write(ref _slowHits, _slowHits + 1);

    internal long ReadAndResetHits()
    {
        long hits = Hits;
        Volatile.Write(ref _reportedHits, _reportedHits + hits);
        return hits;
    }
}
