using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Common;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>
/// A set of pages that one buddy allocator manages (<c>struct zone</c>): free blocks of 2^order pages, which are split
/// to serve a smaller request and merged with their buddy when they are freed. A zone works on frames alone and never
/// touches the pages themselves.
/// </summary>
/// <remarks>
/// <code>
/// TryTake ─ RemoveSmallest ─ Expand                  (__rmqueue_smallest, expand, rmv_page_order)
///         ├ RemoveFallback ─ ClaimIfHalfFree, Expand (__rmqueue_fallback: the largest block of another type)
///         └ after the caller added a section: again
/// Give ─ FreeOneBlock                                (__free_one_page: merges up to the top order)
/// </code>
/// <para>A free block stands on the list of its pageblock's migrate type. All pageblocks of a larger block have the
/// same type.</para>
/// <para>The caller holds the lock for all members but the counters, so that it can do several steps under it.</para>
/// </remarks>
[StructLayout(LayoutKind.Sequential, Size = Bytes)]
internal unsafe partial struct Zone
{
    /// <summary>
    /// Bytes of a zone: a multiple of two cache lines, so that no zone's lock shares one with another's.
    /// </summary>
    internal const int Bytes = 768;

    /// <summary>Zones of a node: DMA, normal, high.</summary>
    internal const int KindCount = 3;

    /// <summary>Guards the lists and the frames of all free blocks.</summary>
    public NativeLock Lock;

    /// <summary>The frames of all pages; immutable.</summary>
    public PageFrame* Frames;

    /// <summary>Where the zone stands among all: see <see cref="IndexOf"/>; immutable.</summary>
    public byte Index;

    /// <summary>Pages this zone has been given, without those of sections that are offline again.</summary>
    private uint _onlinePages;

    /// <summary>Pages in the free lists.</summary>
    private uint _freePages;

    /// <summary>Pages with the dirty bit.</summary>
    private uint _dirtyPages;

    /// <summary>Pages with the dirty bit that are in the free lists.</summary>
    private uint _dirtyFreePages;

    /// <summary>The fewest dirty free pages since <see cref="ReadAndResetUnneeded"/>.</summary>
    private LowWater _dirtyFreeLowWater;

    /// <summary>Pages were taken since <see cref="ReadAndResetUnneeded"/>.</summary>
    private bool _wasTakenFrom;

    /// <summary>
    /// Pages that become dirty are charged to the process' budget. False in the zones that tests make.
    /// </summary>
    private bool _isCharged;

    /// <summary>
    /// Bit 16·type + order says that this free list is not empty. A word for each type would cost another load.
    /// </summary>
    private ulong _nonEmpty;

    /// <summary>Requests served here that were meant for this node (<c>numa_hit</c>).</summary>
    private long _hits;

    /// <summary>Requests served here though another node was asked first (<c>numa_miss</c>).</summary>
    private long _misses;

    /// <summary>
    /// Requests meant for this node and served by another (<c>numa_foreign</c>). Any thread, by Interlocked.
    /// </summary>
    private long _foreign;

    /// <summary>Requests served from another migrate type's block.</summary>
    private long _steals;

    /// <summary>Pageblocks that changed their migrate type for such requests.</summary>
    private long _claims;

    /// <summary>Sections that are offline.</summary>
    private FrameList _offline;

    /// <summary>Free blocks by type and order.</summary>
    private FreeLists _areas;

    internal void Initialize(PageFrame* frames, int index = 0, bool isCharged = false)
    {
        this = default;
        _isCharged = isCharged;
        Frames = frames;
        Index = (byte)index;
        _offline = FrameList.Empty;
        FrameList* areas = Area(default, 0);
        for (int area = 0; area < Pageblock.TypeCount * PageGeometry.OrderCount; area++) areas[area] = FrameList.Empty;
    }

    internal static int IndexOf(int node, ZoneKind kind) => node * KindCount + (int)kind;

    internal readonly int Node => Index / KindCount;

    internal readonly ZoneKind Kind => (ZoneKind)(Index % KindCount);

    internal readonly uint OnlinePages => Volatile.Read(in _onlinePages);

    internal readonly uint FreePages => Volatile.Read(in _freePages);

    /// <summary>
    /// Pages of this zone that may have memory behind them, taken or free: its part of resident memory, at most.
    /// </summary>
    internal readonly uint DirtyPages => Volatile.Read(in _dirtyPages);

    /// <summary>Free pages that may have memory behind them: what a purge gives back.</summary>
    internal readonly uint DirtyFreePages => Volatile.Read(in _dirtyFreePages);

    internal readonly long Hits => Volatile.Read(in _hits);

    internal readonly long Misses => Volatile.Read(in _misses);

    internal readonly long Foreign => Volatile.Read(in _foreign);

    internal readonly long Steals => Volatile.Read(in _steals);

    internal readonly long Claims => Volatile.Read(in _claims);

    internal readonly uint FreeBlocks(MigrateType type, int order) =>
        Volatile.Read(in _areas[AreaIndex(type, order)].Count);

    internal readonly uint FreeBlocks(int order)
    {
        uint count = 0;
        for (int type = 0; type < Pageblock.TypeCount; type++) count += FreeBlocks((MigrateType)type, order);
        return count;
    }

    /// <summary>Counts a request by where it was meant to go.</summary>
    internal void CountHit(bool wanted)
    {
        ref long counter = ref wanted ? ref _hits : ref _misses;
        Volatile.Write(ref counter, counter + 1);
    }

    /// <summary>Counts a request that was meant for this node and went to another. Without the lock.</summary>
    internal void CountForeign() => Interlocked.Increment(ref _foreign);

    /// <summary>
    /// Counts hits of a hot list that was filled from here. Takes the lock, as <see cref="CountHit"/> adds without an
    /// atomic operation.
    /// </summary>
    internal void AddHits(long hits)
    {
        Lock.Acquire();
        Volatile.Write(ref _hits, _hits + hits);
        Lock.Release();
    }

    /// <summary>
    /// Takes pages; false when no free block is large enough, or the budget has no room for what is clean of it.
    /// </summary>
    /// <param name="request">How many, of which type, with what behind them. Node and zone are not looked at.</param>
    /// <param name="page">The first of them.</param>
    /// <param name="refusedBytes">What the budget had no room for; 0 where that was not the reason.</param>
    /// <param name="dirtyWords">
    /// Where not null, gets a bit for each page that was written to since the system made it: see
    /// <see cref="PageBits.Copy"/>.
    /// </param>
    internal bool TryTake(in PageRequest request, out uint page, out nuint refusedBytes, ulong* dirtyWords = null)
    {
        Debug.Assert(Lock.IsHeld, "the zone's lock is held");
        Debug.Assert(request.Count > 0 && request.Count <= 1u << request.Order, "the order fits the pages");
        refusedBytes = 0;
        if (!Remove(request, out page)) return false;
        FreeRange(page + request.Count, (1u << request.Order) - request.Count);
        if (dirtyWords != null) LinearRegion.Dirty.Copy(page, request.Count, dirtyWords);
        if (!TrySetDirty(page, request.Count, out refusedBytes))
        {
            FreeRange(page, request.Count);
            page = PageFrame.None;
            return false;
        }
        PageFrame* frame = Frames + page;
        frame->Order = (byte)request.Order;
        frame->ZoneIndex = Index;
        frame->Type = LinearRegion.TypeOf(page);
        frame->PageCount = request.Count;
        frame->SetState(request.State);
        return true;
    }

    /// <summary>Gives a block of 2^order pages back.</summary>
    internal void Give(uint page, int order)
    {
        Volatile.Write(ref _dirtyFreePages, _dirtyFreePages + LinearRegion.Dirty.Count(page, 1u << order));
        FreeOneBlock(page, order);
    }

    /// <summary>Gives any number of pages back, in the largest aligned blocks they are made of.</summary>
    internal void GiveRange(uint page, uint count)
    {
        Volatile.Write(ref _dirtyFreePages, _dirtyFreePages + LinearRegion.Dirty.Count(page, count));
        FreeRange(page, count);
    }

    // Puts pages on the lists only. What is left over of a block that was cut was never counted as taken, so the count
    // of dirty free pages is right as it is.
    private void FreeRange(uint page, uint count)
    {
        while (count != 0)
        {
            int order = Math.Min(Math.Min(BitOperations.TrailingZeroCount(page), BitOperations.Log2(count)),
                PageGeometry.MaxOrder);
            FreeOneBlock(page, order);
            page += 1u << order;
            count -= 1u << order;
        }
    }

    /// <summary>Takes pages, for a caller that does not need the reason where there are none.</summary>
    internal bool TryTake(in PageRequest request, out uint page) => TryTake(request, out page, out _);

    /// <summary>
    /// Takes exactly the pages from <paramref name="page"/> on, if every one of them is free and the budget has room.
    /// So a block grows in place: a taken block ends before them.
    /// </summary>
    /// <param name="page">The first.</param>
    /// <param name="count">How many.</param>
    /// <param name="dirtyWords">As for TryTake.</param>
    internal bool TryTakeAt(uint page, uint count, ulong* dirtyWords = null)
    {
        Debug.Assert(Lock.IsHeld, "the zone's lock is held");
        uint end = page + count;
        if (end > LinearRegion.OnlinePages) return false; // no frames beyond
        for (uint at = page; at < end;)
        {
            // The next section may belong to another zone, whose frames are under another lock.
            if (LinearRegion.ZoneIndexOf(at) != Index || !TryFindFree(at, out uint head, out int order)) return false;
            at = head + (1u << order);
        }
        if (dirtyWords != null) LinearRegion.Dirty.Copy(page, count, dirtyWords);
        if (!TrySetDirty(page, count, out _)) return false;
        for (uint at = page; at < end;)
        {
            bool found = TryFindFree(at, out uint head, out int order);
            Debug.Assert(found && head == at, "a free block begins where a taken one ends");
            RemoveFree(head, order);
            at = head + (1u << order);
            if (at > end) FreeRange(end, at - end);
        }
        return true;
    }

    /// <summary>
    /// Takes a free block that may have memory behind it, to be purged; false when there is none of this order.
    /// </summary>
    internal bool TryTakeDirty(int order, out uint page) => TryTakeDirty(order, order, out page);

    /// <summary>
    /// Takes a part, with memory behind it, of a free block of this order; false when there is no such block.
    /// </summary>
    internal bool TryTakeDirty(int order, int partOrder, out uint page)
    {
        for (int type = 0; type < Pageblock.TypeCount; type++)
        {
            page = Area((MigrateType)type, order)->First; // dirty blocks stand first
            if (page == PageFrame.None || !Frames[page].Dirty) continue;
            page = Split(page, partOrder, order);
            RemoveDirtyFree(LinearRegion.Dirty.Count(page, 1u << partOrder));
            Frames[page].Order = (byte)partOrder;
            Frames[page].SetState(PageState.Withheld);
            return true;
        }
        page = PageFrame.None;
        return false;
    }

    // The order in which memory is looked for. Used memory comes before fresh memory. A whole free pageblock may change
    // its type, which harms no other. Single pages of another type's pageblocks come last, before the caller asks for a
    // new section.
    private bool Remove(in PageRequest request, out uint page)
    {
        (int order, MigrateType type) = (request.Order, request.Type);
        bool usedFirst = request.Choice is MemoryChoice.UsedFirst or MemoryChoice.UsedOnly;
        if (RemoveSmallest(order, type, usedFirst, out page)) return true;
        if (usedFirst && RemoveFallback(order, type, Math.Max(order, Pageblock.Order), usedOnly: true, out page))
            return true;
        if (request.Choice is MemoryChoice.UsedOnly or MemoryChoice.FreshOnly) return false;
        return RemoveSmallest(order, type, !usedFirst, out page)
            || RemoveFallback(order, type, order, usedOnly: false, out page);
    }

    /// <summary>
    /// Takes the smallest free block of at least 2^order pages that is used, or fresh, as asked for, and cuts it down
    /// to size (<c>__rmqueue_smallest</c>).
    /// </summary>
    /// <remarks>
    /// Used blocks stand first in each list and fresh ones last. So one look at an end tells whether there is such a
    /// block.
    /// </remarks>
    private bool RemoveSmallest(int order, MigrateType type, bool used, out uint page)
    {
        for (ulong orders = OrdersFrom(order, type); orders != 0; orders &= orders - 1)
        {
            int current = BitOperations.TrailingZeroCount(orders);
            FrameList* area = Area(type, current);
            page = used ? area->First : area->Last;
            if (Frames[page].Dirty != used) continue;
            page = Split(page, order, current);
            return true;
        }
        page = PageFrame.None;
        return false;
    }

    /// <summary>
    /// Takes pages of the largest free block of another type (<c>__rmqueue_fallback</c>). The more comes over at once,
    /// the less often this happens, and the fewer pageblocks end up mixed.
    /// </summary>
    private bool RemoveFallback(int order, MigrateType type, int smallest, bool usedOnly, out uint page)
    {
        for (int current = PageGeometry.MaxOrder; current >= smallest; current--)
        {
            for (int i = 0; i < Pageblock.FallbackCount; i++)
            {
                MigrateType other = Pageblock.FallbackOf(type, i);
                page = Area(other, current)->First;
                if (page == PageFrame.None || (usedOnly && !Frames[page].Dirty)) continue;
                ClaimIfHalfFree(page, current, type);
                page = Split(page, order, current);
                Volatile.Write(ref _steals, _steals + 1);
                return true;
            }
        }
        page = PageFrame.None;
        return false;
    }

    // Gives the pageblocks of a free block another type. A large block brings all of its pageblocks. A smaller one
    // brings the pageblock that it lies in, with all free blocks there, if at least half of that is free; otherwise the
    // pageblock and its other free blocks stay what they are.
    private void ClaimIfHalfFree(uint page, int order, MigrateType type)
    {
        uint first = page & ~(Pageblock.Pages - 1), count = Math.Max(1u << order, Pageblock.Pages);
        if (order < Pageblock.Order)
        {
            uint free = 0;
            for (uint at = first; at < first + count; at++)
                if (Frames[at].State == PageState.Free) free += 1u << Frames[at].Order;
            if (free < Pageblock.Pages / 2) return;
        }
        // All free blocks leave the lists of the old type and go onto those of the new one.
        for (uint at = first; at < first + count; at++)
        {
            if (Frames[at].State != PageState.Free) continue;
            Area(LinearRegion.TypeOf(at), Frames[at].Order)->Remove(Frames, at);
            UpdateNonEmpty(LinearRegion.TypeOf(at), Frames[at].Order);
        }
        LinearRegion.SetType(first, count, type);
        for (uint at = first; at < first + count; at++)
            if (Frames[at].State == PageState.Free) Link(at, Frames[at].Order, type);
        Volatile.Write(ref _claims, _claims + count / Pageblock.Pages);
    }

    // Takes a free block off its list and cuts it down.
    private uint Split(uint page, int order, int current)
    {
        RemoveFree(page, current);
        return order == current ? page : Expand(page, order, current);
    }

    /// <summary>
    /// Halves a block until it has the order asked for, and puts the other halves on the lists (<c>expand</c>). Of two
    /// halves it keeps one that has memory behind it.
    /// </summary>
    private uint Expand(uint page, int low, int high)
    {
        while (high > low)
        {
            high--;
            uint half = 1u << high, other = page + half;
            if (!LinearRegion.Dirty.Any(page, half) && LinearRegion.Dirty.Any(other, half))
                (page, other) = (other, page);
            AddFree(other, high);
        }
        return page;
    }

    /// <summary>
    /// Merges a block with its buddy as long as the buddy is free too, and puts the result on its list
    /// (<c>__free_one_page</c>).
    /// </summary>
    private void FreeOneBlock(uint page, int order)
    {
        Debug.Assert(Lock.IsHeld, "the zone's lock is held");
        Debug.Assert(page % (1u << order) == 0, "a block begins at a multiple of its size");
        Frames[page].State = PageState.Inner;
        while (order < PageGeometry.MaxOrder)
        {
            uint buddy = page ^ (1u << order);
            if (Frames[buddy].State != PageState.Free || Frames[buddy].Order != order) break;
            RemoveFree(buddy, order);
            page &= ~(1u << order);
            order++;
            // Two pageblocks of different types are one free block now. It gets one type: of wholly free pageblocks any
            // type is right.
            if (order > Pageblock.Order) UniteTypes(page, order);
        }
        AddFree(page, order);
    }

    // Gives both halves of a block the type of the first. Each half has one type: it is a pageblock or larger.
    private static void UniteTypes(uint page, int order)
    {
        uint half = 1u << (order - 1);
        MigrateType type = LinearRegion.TypeOf(page);
        if (LinearRegion.TypeOf(page + half) != type) LinearRegion.SetType(page + half, half, type);
    }

    private void AddFree(uint page, int order)
    {
        PageFrame* frame = Frames + page;
        frame->State = PageState.Free;
        frame->Order = (byte)order;
        frame->Dirty = LinearRegion.Dirty.Any(page, 1u << order);
        Link(page, order, LinearRegion.TypeOf(page));
        Volatile.Write(ref _freePages, _freePages + (1u << order));
    }

    private void Link(uint page, int order, MigrateType type)
    {
        if (Frames[page].Dirty) Area(type, order)->AddFirst(Frames, page);
        else Area(type, order)->AddLast(Frames, page);
        _nonEmpty |= 1UL << (16 * (int)type + order);
    }

    private void RemoveFree(uint page, int order)
    {
        MigrateType type = LinearRegion.TypeOf(page);
        Area(type, order)->Remove(Frames, page);
        UpdateNonEmpty(type, order);
        Frames[page].State = PageState.Inner;
        Volatile.Write(ref _freePages, _freePages - (1u << order));
    }

    private void UpdateNonEmpty(MigrateType type, int order)
    {
        if (Area(type, order)->First == PageFrame.None) _nonEmpty &= ~(1UL << (16 * (int)type + order));
    }

    // A bit for each order, from this one on, of which the type has free blocks.
    private readonly ulong OrdersFrom(int order, MigrateType type) =>
        (_nonEmpty >> (16 * (int)type) & ushort.MaxValue) >> order << order;

    private static int AreaIndex(MigrateType type, int order) => (int)type * PageGeometry.OrderCount + order;

    // A zone is in native memory or pinned, so its address stays. An index into the lists would make a span, whose code
    // the JIT has to compile first.
    private FrameList* Area(MigrateType type, int order) =>
        (FrameList*)Unsafe.AsPointer(ref _areas) + AreaIndex(type, order);

    private readonly bool TryFindFree(uint page, out uint head, out int order)
    {
        for (order = 0; order < PageGeometry.OrderCount; order++)
        {
            head = page & ~((1u << order) - 1);
            if (Frames[head].State == PageState.Free && Frames[head].Order == order) return true;
        }
        head = PageFrame.None;
        return false;
    }
}

/// <summary>
/// The free blocks of a zone by migrate type and order (<c>struct free_area</c>). In each list, blocks that may have
/// memory behind them stand before those that have none. The first in a list is taken first, which keeps resident
/// memory low.
/// </summary>
[InlineArray(Pageblock.TypeCount * PageGeometry.OrderCount)]
internal struct FreeLists
{
    private FrameList _first;
}
