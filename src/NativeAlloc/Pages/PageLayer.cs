using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>
/// Where the layers above get whole pages from and give them back to: the zone, the hot pages of the calling thread before it, and the
/// system behind it. All sizes are in pages of 64 KiB, all blocks are named by the index of their first page.
/// </summary>
/// <remarks>
/// <code>
/// TryTakeBlock ─ order 0: HotPages.TryTake ─ empty: a batch under one lock
///              └ else: Zone.TryTake ─ nothing large enough: LinearRegion.TryBringSectionOnline, again
/// GiveBlock    ─ order 0: HotPages.Add ─ full: the coldest batch under one lock
///              └ else: Zone.Give, which merges
/// </code>
/// </remarks>
internal static unsafe class PageLayer
{
    private static readonly Zone* s_zone = MakeZone();

    private static long s_purgedBytes;

    /// <summary>The zone all pages come from.</summary>
    internal static Zone* Zone => s_zone;

    /// <summary>Bytes given back to the system by <see cref="Purge"/> so far.</summary>
    internal static long PurgedBytes => Volatile.Read(ref s_purgedBytes);

    private static Zone* MakeZone()
    {
        MetadataRegion region = MetadataRegion.Reserve((nuint)sizeof(Zone));
        if (LinearRegion.PageCount == 0 || !region.TryCommitTo((nuint)sizeof(Zone))) return null;
        Zone* zone = (Zone*)region.Address;
        zone->Initialize(LinearRegion.Frames);
        return zone;
    }

    /// <summary>Takes a block of 2^order pages. False when neither the zone nor the system has one.</summary>
    internal static bool TryTakeBlock(HotPages* hot, int order, out uint page)
    {
        if (order != 0 || hot == null) return TryTakePages(1u << order, out page, out _);
        if (hot->TryTake(out page)) return true;
        return TryRefill(hot) ? hot->TryTake(out page) : TryTakePages(1, out page, out _);
    }

    /// <summary>Gives a block of 2^order pages back.</summary>
    internal static void GiveBlock(HotPages* hot, uint page, int order)
    {
        if (order != 0 || hot == null)
        {
            GivePages(page, 1u << order);
            return;
        }
        if (hot->IsFull) Drain(hot, HotPages.Batch);
        LinearRegion.Frames[page].State = PageState.Hot;
        hot->Add(page);
    }

    /// <summary>Takes any number of pages up to a section, side by side, from the smallest block that holds them; the rest goes back.</summary>
    /// <param name="zeroed">All of them read as zero.</param>
    internal static bool TryTakePages(uint count, out uint page, out bool zeroed)
    {
        Debug.Assert(count is > 0 and <= LinearRegion.SectionPages, "a block of the top order is the most there is");
        int order = BitOperations.Log2(count) + (BitOperations.IsPow2(count) ? 0 : 1);
        return TryTakeAligned(order, count, out page, out zeroed);
    }

    /// <summary>The same, from a block of the given order, whose alignment the first page has.</summary>
    internal static bool TryTakeAligned(int order, uint count, out uint page, out bool zeroed)
    {
        page = PageFrame.None;
        zeroed = false;
        if (s_zone == null) return false;
        s_zone->Lock.Acquire();
        bool taken = s_zone->TryTake(order, count, PageState.Taken, out page, out zeroed);
        while (!taken)
        {
            s_zone->Lock.Release();
            if (!LinearRegion.TryBringSectionOnline(out uint firstPage)) return false;
            s_zone->Lock.Acquire();
            s_zone->AddSection(firstPage);
            // Another thread may have been faster and used the new section up: then once more.
            taken = s_zone->TryTake(order, count, PageState.Taken, out page, out zeroed);
        }
        s_zone->Lock.Release();
        return true;
    }

    /// <summary>Gives any run of pages back that was taken as one or grown.</summary>
    internal static void GivePages(uint page, uint count)
    {
        s_zone->Lock.Acquire();
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
            LinearRegion.MarkClean(first, at - first);
            s_zone->Lock.Release();
            bytes += run;
        }
        return bytes;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryRefill(HotPages* hot)
    {
        if (!TryTakeAligned(0, 1, out uint page, out _)) return false;
        LinearRegion.Frames[page].State = PageState.Hot;
        hot->Add(page);
        s_zone->Lock.Acquire();
        for (int i = 1; i < HotPages.Batch && s_zone->TryTake(0, 1, PageState.Hot, out page, out _); i++) hot->Add(page);
        s_zone->Lock.Release();
        return true;
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
