using System.Diagnostics;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>
/// Growth by huge pages: when a large heap takes the first of 2 MiB that nobody has touched, the system makes them one huge page at once. Growing is then three times as fast, and
/// giving back five times (docs/design/growth.md).
/// </summary>
/// <remarks>
/// Not by marking addresses for huge pages: the system would then fill them again behind our back after parts were given back. And only from a size on at which 2 MiB more
/// are nothing: small heaps pay for everything that is fetched unasked.
/// </remarks>
internal static unsafe class HugePageGrowth
{
    /// <summary>Pages with memory behind them from which on a zone grows so: 64 huge pages, so that one step is no more than a 64th of the heap.</summary>
    internal const uint SmallestZonePages = 64 * Pageblock.Pages;

    /// <summary>The largest run that is taken for slabs: of what is longer nobody knows how much will be touched.</summary>
    internal const uint LargestRunPages = 8;

    /// <summary>Attempts to leave out after one that the system refused; doubles with each. Any thread: a lost update does no harm.</summary>
    private static int s_backOff;

    private static int s_leaveOut;

    private static long s_collapses;

    private const int LongestBackOff = 1 << 10;

    /// <summary>Huge pages made so far.</summary>
    internal static long Collapses => Volatile.Read(ref s_collapses);

    /// <summary>
    /// Takes the rest of the pageblock that a fresh run is the beginning of, if all of it is free and fresh; 0 where that is not so, or not worth it. The zone's lock is held.
    /// </summary>
    internal static uint TakeRest(Zone* zone, uint page, uint count)
    {
        if (!Options.HugePages || zone->DirtyPages < SmallestZonePages || page % Pageblock.Pages != 0 || count > LargestRunPages) return 0;
        int leaveOut = Volatile.Read(ref s_leaveOut);
        if (leaveOut > 0)
        {
            Volatile.Write(ref s_leaveOut, leaveOut - 1);
            return 0;
        }
        uint rest = Pageblock.Pages - count;
        return !LinearRegion.Dirty.Any(page + count, rest) && zone->TryTakeAt(page + count, rest) ? rest : 0;
    }

    /// <summary>Makes the pageblock a huge page and gives the rest back, as used if that worked. Without the lock.</summary>
    internal static void CollapseAndGiveRest(Zone* zone, uint page, uint rest)
    {
        Debug.Assert(page % Pageblock.Pages == 0, "a pageblock is where a huge page is");
        nuint address = LinearRegion.AddressOf(page);
        *(byte*)address = 0; // the system collapses only what has been touched
        bool collapsed = VirtualMemory.TryCollapse(address, (nuint)Pageblock.Pages << PageGeometry.PageShift);
        int backOff = collapsed ? 0 : Math.Clamp(Volatile.Read(ref s_backOff) * 2, 1, LongestBackOff);
        Volatile.Write(ref s_backOff, backOff);
        Volatile.Write(ref s_leaveOut, backOff);
        if (collapsed) Interlocked.Increment(ref s_collapses);
        uint first = page + Pageblock.Pages - rest;
        zone->Lock.Acquire();
        if (!collapsed) zone->SetClean(first, rest);
        zone->GiveRange(first, rest);
        zone->Lock.Release();
    }
}
