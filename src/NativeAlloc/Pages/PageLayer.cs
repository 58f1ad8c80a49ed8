using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>
/// Where the layers above get whole pages from and give them back to: the zone, the hot pages of the calling thread before it, and the
/// system behind it. All sizes are in pages of 64 KiB, all blocks are named by the index of their first page.
/// </summary>
/// <remarks>
/// <code>
/// TryTakePages ─ one page: HotPages.TryTake ─ empty: a batch under one lock
///              └ else: Zone.TryTake ─ nothing large enough: LinearRegion.TryBringSectionOnline, again
/// GivePages    ─ one page: HotPages.Add ─ full: the coldest batch under one lock
///              └ else: Zone.GiveRange, which merges
/// </code>
/// </remarks>
internal static unsafe class PageLayer
{
    // A pinned array: a few hundred bytes are not worth a mapping, which the system might refuse.
    private static readonly byte[] s_zoneArray = GC.AllocateArray<byte>(sizeof(Zone), pinned: true);
    private static readonly Zone* s_zone = MakeZone();

    private static long s_purgedBytes;

    /// <summary>The zone all pages come from.</summary>
    internal static Zone* Zone => s_zone;

    /// <summary>Bytes given back to the system by <see cref="Purge"/> so far.</summary>
    internal static long PurgedBytes => Volatile.Read(ref s_purgedBytes);

    private static Zone* MakeZone()
    {
        if (LinearRegion.PageCount == 0) return null;
        Zone* zone = (Zone*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(s_zoneArray));
        zone->Initialize(LinearRegion.Frames);
        return zone;
    }

    /// <summary>Takes any number of pages up to a section, side by side, from the smallest block that holds them. False when neither the zone nor the system has them.</summary>
    internal static bool TryTakePages(HotPages* hot, uint count, MemoryChoice choice, out uint page)
    {
        Debug.Assert(count is > 0 and <= LinearRegion.SectionPages, "a block of the top order is the most there is");
        int order = LinearRegion.OrderOf(count);
        if (hot != null && choice != MemoryChoice.FreshFirst)
        {
            if (count == 1 && (hot->TryTake(out page) || (TryRefill(hot) && hot->TryTake(out page)))) return true;
            if (count != 1 && hot->Count != 0)
            {
                // Single pages that are used may merge to what is asked for: better than fresh ones.
                if (TryTakeAligned(order, count, MemoryChoice.UsedOnly, out page, out _)) return true;
                Drain(hot);
            }
        }
        return TryTakeAligned(order, count, choice, out page, out _);
    }

    /// <summary>Gives pages back that were taken together.</summary>
    internal static void GivePages(HotPages* hot, uint page, uint count)
    {
        if (count != 1 || hot == null)
        {
            GivePages(page, count);
            return;
        }
        if (hot->IsFull) Drain(hot, HotPages.Batch);
        LinearRegion.Frames[page].State = PageState.Hot;
        hot->Add(page);
    }

    /// <summary>Takes pages from a block of the given order, whose alignment the first page has; what they do not use of it goes back at once.</summary>
    /// <param name="zeroed">All of them read as zero.</param>
    internal static bool TryTakeAligned(int order, uint count, MemoryChoice choice, out uint page, out bool zeroed)
    {
        page = PageFrame.None;
        zeroed = false;
        if (s_zone == null) return false;
        s_zone->Lock.Acquire();
        bool taken = s_zone->TryTake(order, count, PageState.Taken, choice, out page, out zeroed);
        while (!taken)
        {
            s_zone->Lock.Release();
            if (choice == MemoryChoice.UsedOnly) return false;
            if (!LinearRegion.TryBringSectionOnline(out uint firstPage)) return false;
            s_zone->Lock.Acquire();
            s_zone->AddSection(firstPage);
            // Another thread may have been faster and used the new section up: then once more.
            taken = s_zone->TryTake(order, count, PageState.Taken, choice, out page, out zeroed);
        }
        s_zone->Lock.Release();
        return true;
    }

    /// <summary>Gives any run of pages back that was taken as one or grown.</summary>
    /// <param name="clean">The caller knows that there is no memory behind them any more.</param>
    internal static void GivePages(uint page, uint count, bool clean = false)
    {
        s_zone->Lock.Acquire();
        if (clean) s_zone->SetClean(page, count);
        LinearRegion.Frames[page].State = PageState.Inner;
        s_zone->GiveRange(page, count);
        s_zone->Lock.Release();
    }

    /// <summary>Grows a run in place, if the pages behind it are free.</summary>
    internal static bool TryExtend(uint page, uint oldCount, uint newCount)
    {
        Debug.Assert(newCount > oldCount, "this grows");
        s_zone->Lock.Acquire();
        bool extended = s_zone->TryTakeAt(page + oldCount, newCount - oldCount);
        s_zone->Lock.Release();
        return extended;
    }

    /// <summary>
    /// Whether a block of this order would have to be fresh memory and it is time to look for used memory in caches first: resident memory has
    /// grown by <see cref="ReapGrowthShift"/> since the last time this was true. At most one thread is told so.
    /// </summary>
    internal static bool ShouldReap(HotPages* hot, int order)
    {
        if (s_zone == null || (order == 0 && hot != null && hot->Count != 0)) return false;
        uint dirty = s_zone->DirtyPages, reapAt = Volatile.Read(ref s_reapAt);
        if (dirty < reapAt) return false;
        s_zone->Lock.Acquire();
        bool has = s_zone->HasDirty(order);
        s_zone->Lock.Release();
        return !has && Interlocked.CompareExchange(ref s_reapAt, NextReap(dirty), reapAt) == reapAt;
    }

    private static uint NextReap(uint dirtyPages) => dirtyPages + Math.Max(SmallestReapGrowth, dirtyPages >> ReapGrowthShift);

    // Caches are emptied each time that resident memory has grown by a sixteenth: about 12 times for each doubling, whatever the size.
    private const int ReapGrowthShift = 4;
    private const uint SmallestReapGrowth = 4;

    /// <summary>Dirty pages from which the next reap is due. Any thread, by Interlocked.</summary>
    private static uint s_reapAt = SmallestReapGrowth;

    /// <summary>Gives all of a thread's hot pages back to the zone.</summary>
    internal static void Drain(HotPages* hot) => Drain(hot, hot->Count);

    /// <summary>
    /// Gives the memory behind every free page back to the system and returns how many bytes that were. A block is out of the lists while
    /// the system works on it, so no allocation waits for a system call.
    /// </summary>
    internal static nuint Purge()
    {
        if (s_zone == null) return 0;
        nuint bytes = 0;
        for (int order = 0; order < LinearRegion.OrderCount; order++)
        {
            while (true)
            {
                s_zone->Lock.Acquire();
                bool taken = s_zone->TryTakeDirty(order, out uint page);
                s_zone->Lock.Release();
                if (!taken) break;
                nuint purged = PurgeBlock(page, 1u << order, out bool complete);
                bytes += purged;
                s_zone->Lock.Acquire();
                s_zone->Give(page, order);
                s_zone->Lock.Release();
                if (!complete) break; // the system says no: it will say so again
            }
        }
        Interlocked.Add(ref s_purgedBytes, (long)bytes);
        Volatile.Write(ref s_reapAt, NextReap(s_zone->DirtyPages)); // growth counts from here on
        return bytes;
    }

    // Purges the dirty runs of a block that is in nobody's hands.
    private static nuint PurgeBlock(uint page, uint count, out bool complete)
    {
        nuint bytes = 0;
        complete = true;
        for (uint at = page, end = page + count; at < end;)
        {
            if (!LinearRegion.IsDirty(at))
            {
                at++;
                continue;
            }
            uint first = at;
            while (at < end && LinearRegion.IsDirty(at)) at++;
            nuint run = (nuint)(at - first) << LinearRegion.PageShift;
            if (!VirtualMemory.TryPurge(LinearRegion.AddressOf(first), run))
            {
                complete = false;
                continue;
            }
            s_zone->Lock.Acquire(); // a word of the dirty bits may belong to other blocks too
            s_zone->SetClean(first, at - first);
            s_zone->Lock.Release();
            bytes += run;
        }
        return bytes;
    }

    // A batch of pages that have memory behind them; or a single fresh one, whose first touch costs a thousand times what the lock does, so that
    // no thread holds fresh pages back while others have used ones to give.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryRefill(HotPages* hot)
    {
        if (s_zone == null) return false;
        s_zone->Lock.Acquire();
        while (hot->Count < HotPages.Batch && s_zone->TryTake(0, 1, PageState.Hot, MemoryChoice.UsedOnly, out uint page, out _)) hot->Add(page);
        s_zone->Lock.Release();
        return hot->Count != 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Drain(HotPages* hot, int count)
    {
        Span<uint> pages = stackalloc uint[HotPages.Capacity];
        pages = pages[..hot->TakeCold(pages[..count])];
        if (pages.IsEmpty) return;
        s_zone->Lock.Acquire();
        foreach (uint page in pages) s_zone->Give(page, 0);
        s_zone->Lock.Release();
    }
}
