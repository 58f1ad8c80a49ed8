using System.Diagnostics;
using System.Numerics;
using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>What a taker of pages would like to have behind them.</summary>
internal enum MemoryChoice
{
    /// <summary>Used memory, even from a larger block than necessary: resident memory grows only when there is none.</summary>
    UsedFirst,

    /// <summary>Used memory or nothing.</summary>
    UsedOnly,

    /// <summary>Fresh memory: for what will touch little of it, and would keep the rest of used pages from others.</summary>
    FreshFirst,
}

/// <summary>
/// A set of pages that one buddy allocator manages (<c>struct zone</c>): free blocks of 2^order pages, split to serve a smaller request and
/// merged with their buddy when freed. It works on frames alone and never touches the pages themselves.
/// </summary>
/// <remarks>
/// <code>
/// TryTake ─ RemoveSmallest ─ Expand              (__rmqueue_smallest, expand, rmv_page_order)
///         └ after the caller added a section: again
/// Give ─ FreeOneBlock                            (__free_one_page: merges up to the top order)
/// </code>
/// All members but the counters ask for the lock to be held, so that callers can do several steps under one acquisition.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Zone
{
    /// <summary>Guards the lists and the frames of all free blocks.</summary>
    public NativeLock Lock;

    /// <summary>The frames of the region; immutable.</summary>
    public PageFrame* Frames;

    /// <summary>Pages this zone has been given. Grows only.</summary>
    private uint _onlinePages;

    /// <summary>Pages in the free lists.</summary>
    private uint _freePages;

    /// <summary>Pages with the dirty bit.</summary>
    private uint _dirtyPages;

    /// <summary>Free blocks by order.</summary>
    private FreeAreas _areas;

    internal void Initialize(PageFrame* frames)
    {
        this = default;
        Frames = frames;
        foreach (ref FreeArea area in (Span<FreeArea>)_areas) area = FreeArea.Empty;
    }

    internal readonly uint OnlinePages => Volatile.Read(in _onlinePages);

    internal readonly uint FreePages => Volatile.Read(in _freePages);

    internal readonly uint FreeBlocks(int order) => _areas[order].Count;

    /// <summary>Adds a section that has just been brought online.</summary>
    internal void AddSection(uint firstPage)
    {
        Volatile.Write(ref _onlinePages, _onlinePages + LinearRegion.SectionPages);
        FreeOneBlock(firstPage, LinearRegion.MaxOrder);
    }

    /// <summary>Takes a block of 2^order pages; false when no free block is large enough.</summary>
    /// <param name="zeroed">Nothing was ever written to the first <paramref name="usedPages"/> pages since the system made them.</param>
    /// <param name="usedPages">How many pages the caller keeps: the rest of the block is given back at once.</param>
    /// <param name="choice">Whether the block should have memory behind it.</param>
    internal bool TryTake(int order, uint usedPages, PageState state, MemoryChoice choice, out uint page, out bool zeroed)
    {
        Debug.Assert(Lock.IsHeld, "the zone's lock is held");
        Debug.Assert(usedPages > 0 && usedPages <= 1u << order, "the order fits the pages");
        zeroed = false;
        if (!RemoveSmallest(order, choice, out page)) return false;
        GiveRange(page + usedPages, (1u << order) - usedPages);
        zeroed = !LinearRegion.AnyDirty(page, usedPages);
        SetDirty(page, usedPages);
        PageFrame* frame = Frames + page;
        frame->State = state;
        frame->Order = (byte)order;
        frame->PageCount = usedPages;
        return true;
    }

    /// <summary>Gives a block of 2^order pages back.</summary>
    internal void Give(uint page, int order) => FreeOneBlock(page, order);

    /// <summary>Gives any number of pages back, in the largest aligned blocks they are made of.</summary>
    internal void GiveRange(uint page, uint count)
    {
        while (count != 0)
        {
            int order = Math.Min(Math.Min(BitOperations.TrailingZeroCount(page), BitOperations.Log2(count)), LinearRegion.MaxOrder);
            FreeOneBlock(page, order);
            page += 1u << order;
            count -= 1u << order;
        }
    }

    /// <summary>Takes exactly the pages from <paramref name="page"/> on, if every one of them is free: how a block grows in place. A taken block ends before them.</summary>
    internal bool TryTakeAt(uint page, uint count)
    {
        Debug.Assert(Lock.IsHeld, "the zone's lock is held");
        uint end = page + count;
        if (end > LinearRegion.OnlinePages) return false; // no frames beyond
        for (uint at = page; at < end;)
        {
            if (!TryFindFree(at, out uint head, out int order)) return false;
            at = head + (1u << order);
        }
        for (uint at = page; at < end;)
        {
            bool found = TryFindFree(at, out uint head, out int order);
            Debug.Assert(found && head == at, "a free block begins where a taken one ends");
            RemoveFree(head, order);
            at = head + (1u << order);
            if (at > end) GiveRange(end, at - end);
        }
        SetDirty(page, count);
        return true;
    }

    /// <summary>Pages of this zone that may have memory behind them, taken or free: its part of resident memory, at most.</summary>
    internal readonly uint DirtyPages => Volatile.Read(in _dirtyPages);

    /// <summary>True if a block of this order can be had without resident memory growing.</summary>
    internal readonly bool HasDirty(int order)
    {
        for (int current = order; current < LinearRegion.OrderCount; current++)
        {
            uint page = _areas[current].First;
            if (page != PageFrame.None && LinearRegion.AnyDirty(page, 1u << current)) return true;
        }
        return false;
    }

    private void SetDirty(uint page, uint count)
    {
        uint dirty = LinearRegion.CountDirty(page, count);
        if (dirty == count) return;
        LinearRegion.MarkDirty(page, count);
        Volatile.Write(ref _dirtyPages, _dirtyPages + (count - dirty));
    }

    /// <summary>Notes that pages in the caller's hands have no memory behind them any more.</summary>
    internal void SetClean(uint page, uint count)
    {
        Debug.Assert(Lock.IsHeld, "the zone's lock is held");
        Volatile.Write(ref _dirtyPages, _dirtyPages - LinearRegion.CountDirty(page, count));
        LinearRegion.MarkClean(page, count);
    }

    /// <summary>Takes a free block that may have memory behind it, to be purged; false when there is none of this order.</summary>
    internal bool TryTakeDirty(int order, out uint page)
    {
        page = _areas[order].First; // dirty blocks stand first
        if (page == PageFrame.None || !LinearRegion.AnyDirty(page, 1u << order)) return false;
        RemoveFree(page, order);
        Frames[page].State = PageState.Taken;
        Frames[page].Order = (byte)order;
        return true;
    }

    /// <summary>The smallest free block of at least 2^order pages and of the kind asked for, cut down to size (<c>__rmqueue_smallest</c>).</summary>
    private bool RemoveSmallest(int order, MemoryChoice choice, out uint page)
    {
        bool usedFirst = choice != MemoryChoice.FreshFirst;
        return RemoveSmallest(order, usedFirst, out page) || (choice != MemoryChoice.UsedOnly && RemoveSmallest(order, !usedFirst, out page));
    }

    // Used blocks stand first in each list and fresh ones last, so one look at an end tells whether there is one.
    private bool RemoveSmallest(int order, bool used, out uint page)
    {
        for (int current = order; current < LinearRegion.OrderCount; current++)
        {
            page = used ? _areas[current].First : _areas[current].Last;
            if (page == PageFrame.None || LinearRegion.AnyDirty(page, 1u << current) != used) continue;
            RemoveFree(page, current);
            page = Expand(page, order, current);
            return true;
        }
        page = PageFrame.None;
        return false;
    }

    /// <summary>Halves a block until it has the order asked for, keeps a half that has memory behind it, and puts the others on the lists (<c>expand</c>).</summary>
    private uint Expand(uint page, int low, int high)
    {
        while (high > low)
        {
            high--;
            uint half = 1u << high, other = page + half;
            if (!LinearRegion.AnyDirty(page, half) && LinearRegion.AnyDirty(other, half)) (page, other) = (other, page);
            AddFree(other, high);
        }
        return page;
    }

    /// <summary>Merges a block with its buddy as long as that is free too, and puts the result on its list (<c>__free_one_page</c>).</summary>
    private void FreeOneBlock(uint page, int order)
    {
        Debug.Assert(Lock.IsHeld, "the zone's lock is held");
        Debug.Assert(page % (1u << order) == 0, "a block begins at a multiple of its size");
        Frames[page].State = PageState.Inner;
        while (order < LinearRegion.MaxOrder)
        {
            uint buddy = page ^ (1u << order);
            if (Frames[buddy].State != PageState.Free || Frames[buddy].Order != order) break;
            RemoveFree(buddy, order);
            page &= ~(1u << order);
            order++;
        }
        AddFree(page, order);
    }

    private void AddFree(uint page, int order)
    {
        Frames[page].State = PageState.Free;
        Frames[page].Order = (byte)order;
        if (LinearRegion.AnyDirty(page, 1u << order)) _areas[order].AddFirst(Frames, page);
        else _areas[order].AddLast(Frames, page);
        Volatile.Write(ref _freePages, _freePages + (1u << order));
    }

    private void RemoveFree(uint page, int order)
    {
        _areas[order].Remove(Frames, page);
        Frames[page].State = PageState.Inner;
        Volatile.Write(ref _freePages, _freePages - (1u << order));
    }

    private readonly bool TryFindFree(uint page, out uint head, out int order)
    {
        for (order = 0; order < LinearRegion.OrderCount; order++)
        {
            head = page & ~((1u << order) - 1);
            if (Frames[head].State == PageState.Free && Frames[head].Order == order) return true;
        }
        head = PageFrame.None;
        return false;
    }

    /// <summary>Walks every list and checks it against the frames and the counters. Throws where something is wrong; takes the lock.</summary>
    internal void Verify()
    {
        Lock.Acquire();
        string? error = FindError();
        Lock.Release();
        if (error != null) throw new InvalidOperationException(error);
    }

    private readonly string? FindError()
    {
        uint free = 0;
        for (int order = 0; order < LinearRegion.OrderCount; order++)
        {
            uint count = 0, previous = PageFrame.None;
            bool clean = false;
            for (uint page = _areas[order].First; page != PageFrame.None; previous = page, page = Frames[page].Next)
            {
                if (Frames[page].State != PageState.Free) return $"page {page} is on the free list of order {order} and {Frames[page].State}";
                if (Frames[page].Order != order) return $"page {page} of order {Frames[page].Order} is on the free list of order {order}";
                if (page % (1u << order) != 0) return $"free block at page {page} is not aligned to its order {order}";
                if (Frames[page].Previous != previous) return $"page {page}'s link back is {Frames[page].Previous}, not {previous}";
                for (uint inner = page + 1; inner < page + (1u << order); inner++)
                    if (Frames[inner].State != PageState.Inner) return $"page {inner} inside the free block at {page} is {Frames[inner].State}";
                uint buddy = page ^ (1u << order);
                if (order < LinearRegion.MaxOrder && Frames[buddy].State == PageState.Free && Frames[buddy].Order == order)
                    return $"pages {page} and {buddy} are free buddies of order {order} and not merged";
                bool dirty = LinearRegion.AnyDirty(page, 1u << order);
                if (dirty && clean) return $"the dirty block at page {page} stands behind a clean one";
                clean |= !dirty;
                count++;
                free += 1u << order;
            }
            if (count != _areas[order].Count || previous != _areas[order].Last) return $"the free list of order {order} has {count} blocks and says {_areas[order].Count}";
        }
        return free == _freePages ? null : $"the zone has {free} free pages and says {_freePages}";
    }
}
