using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <content> Gives the memory behind free pages back to the system. A block is out of the lists while the system works
/// on it, so no allocation waits for a system call, and where the system refuses, the block goes back as it was.
/// </content>
internal static unsafe partial class PageLayer
{
    /// <summary>
    /// What a purge beside a working program takes out of the lists at one time: 4 MiB are given back in about 0.3 ms,
    /// and the rest stays to be had meanwhile.
    /// </summary>
    private const int PartOrder = Pageblock.Order + 1;

    /// <summary>
    /// The same beyond the cap, where there is more than enough left in the lists: 16 MiB, so that large blocks are
    /// split and merged less often beside who uses them.
    /// </summary>
    private const int CapPartOrder = Pageblock.Order + 3;

    // Free blocks of less than a pageblock are left alone while they are no more than this part of the zone's memory,
    // or 4 MiB.
    private const uint SmallBlocksShare = 16, FewPages = 64;

    /// <summary>Threads that are purging. By Interlocked.</summary>
    private static int s_purging;

    /// <summary>Free pages of all zones that may have memory behind them.</summary>
    internal static uint DirtyFreePages()
    {
        uint pages = 0;
        for (int index = 0; index < ZoneCount; index++) pages += ZoneAt(index)->DirtyFreePages;
        return pages;
    }

    /// <summary>Gives the memory behind every free page back and returns how many bytes that were.</summary>
    internal static nuint Purge()
    {
        BeginPurge();
        nuint bytes = 0;
        for (int index = 0; index < ZoneCount; index++) bytes += Purge(ZoneAt(index));
        return EndPurge(bytes);
    }

    /// <summary>
    /// Gives back what nobody needed since the last call: of a zone that pages were taken from, as many as were left
    /// over all the time; of any other, everything. Whole pageblocks first: that no huge page is broken up for little,
    /// smaller blocks stay as long as they are a small part of all that has memory.
    /// </summary>
    internal static nuint PurgeUnneeded()
    {
        BeginPurge();
        nuint bytes = 0;
        for (int index = 0; index < ZoneCount; index++)
        {
            Zone* zone = ZoneAt(index);
            zone->Lock.Acquire();
            uint pages = zone->ReadAndResetUnneeded(out bool isQuiet);
            zone->Lock.Release();
            if (isQuiet)
            {
                bytes += Purge(zone);
                continue;
            }
            bytes += Purge(zone, Pageblock.Order, PartOrder, ref pages);
            pages -= Math.Min(pages, Math.Max(zone->DirtyPages / SmallBlocksShare, FewPages));
            bytes += Purge(zone, 0, PartOrder, ref pages);
        }
        return EndPurge(bytes);
    }

    /// <summary>
    /// Gives pages back until no more than so many are free with memory behind them: whole pageblocks, and smaller
    /// blocks where these are not enough.
    /// </summary>
    internal static nuint PurgeDownTo(uint mostPages)
    {
        BeginPurge();
        nuint bytes = 0;
        for (int leastOrder = Pageblock.Order; leastOrder >= 0; leastOrder -= Pageblock.Order)
        {
            for (int index = 0; index < ZoneCount; index++)
            {
                uint dirty = DirtyFreePages(), pages = dirty - Math.Min(dirty, mostPages);
                bytes += Purge(ZoneAt(index), leastOrder, CapPartOrder, ref pages);
            }
        }
        return EndPurge(bytes);
    }

    /// <summary>
    /// Waits until no thread purges, or for a bounded time. What is being purged is neither free nor given back yet,
    /// and a thread that needs just that memory should not give up now.
    /// </summary>
    internal static void AwaitPurge()
    {
        const int LongestMilliseconds = 100; // by the clock: a yield takes as long as other threads want to run
        long end = Environment.TickCount64 + LongestMilliseconds;
        while (Volatile.Read(ref s_purging) != 0 && Environment.TickCount64 < end)
        {
            SchedulePoint.GiveWay();
            Thread.Yield();
        }
    }

    /// <summary>Says that the calling thread is giving memory back, for <see cref="AwaitPurge"/>.</summary>
    internal static void BeginPurge()
    {
        Interlocked.Increment(ref s_purging);
        GiveKept();
    }

    /// <summary>Counts what it gave back, and returns it.</summary>
    internal static nuint EndPurge(nuint bytes)
    {
        SystemCounters.CountPurged(bytes);
        Interlocked.Decrement(ref s_purging);
        return bytes;
    }

    private static nuint Purge(Zone* zone)
    {
        nuint bytes = 0;
        for (int order = 0; order < PageGeometry.OrderCount; order++)
            while (!MemorySignals.IsRestOver && TryPurgeBlock(zone, order, order, ref bytes)) { }
        return bytes;
    }

    // So many pages at most, out of the largest blocks first.
    private static nuint Purge(Zone* zone, int leastOrder, int partOrder, ref uint pages)
    {
        nuint bytes = 0;
        for (int order = PageGeometry.MaxOrder; order >= leastOrder; order--)
        {
            for (int part = Math.Min(order, partOrder); part >= leastOrder; part--)
            {
                while (pages >= 1u << part)
                {
                    nuint before = bytes;
                    if (!TryPurgeBlock(zone, order, part, ref bytes)) break;
                    pages -= (uint)((bytes - before) >> PageGeometry.PageShift);
                }
            }
        }
        return bytes;
    }

    // False where there is no such block, and where the system says no: it will say so again.
    private static bool TryPurgeBlock(Zone* zone, int order, int part, ref nuint bytes)
    {
        zone->Lock.Acquire();
        bool taken = zone->TryTakeDirty(order, part, out uint page);
        zone->Lock.Release();
        if (!taken) return false;
        uint count = 1u << part, purged = PurgeRuns(zone->Kind, page, count, ref bytes);
        zone->Lock.Acquire();
        if (purged != 0) zone->SetClean(page, purged);
        zone->Give(page, part);
        zone->Lock.Release();
        return purged == count;
    }

    // Purges the dirty runs of a block that is on no list and has no user, up to a run that the system refuses. Returns
    // how many pages are clean now, from the first on.
    private static uint PurgeRuns(ZoneKind kind, uint page, uint count, ref nuint bytes)
    {
        uint end = page + count;
        for (uint at = page; at < end;)
        {
            if (!LinearRegion.Dirty.IsSet(at))
            {
                at++;
                continue;
            }
            uint first = at;
            while (at < end && LinearRegion.Dirty.IsSet(at)) at++;
            nuint run = (nuint)(at - first) << PageGeometry.PageShift;
            if (!(kind == ZoneKind.High
                ? HighRegion.TryPurge(first, at - first)
                : VirtualMemory.TryPurge(LinearRegion.AddressOf(first), run))) return first - page;
            bytes += run;
        }
        return count;
    }
}
