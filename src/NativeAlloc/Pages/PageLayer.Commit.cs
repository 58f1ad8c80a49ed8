using System.Runtime.CompilerServices;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <content>
/// Where the system charges commit: a page is committed exactly while it is dirty. It is committed after it was taken
/// as a clean one, by the thread that has it and without a lock; a purge takes the commit back. So what is online and
/// was never used costs addresses only.
/// </content>
internal static unsafe partial class PageLayer
{
    /// <summary>
    /// Commits those of some pages that were clean when they were taken. Where the system refuses, all of them go back
    /// as they were, and the answer is false.
    /// </summary>
    /// <param name="dirty">See <see cref="PageBits.Copy"/>: a bit for each page that was dirty.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryCommitTaken(Zone* zone, uint page, uint count, ulong* dirty)
    {
        // A high page is committed when it is mapped: it has no address before.
        uint at = page;
        if (zone->Kind == ZoneKind.High || !TryFindClean(page, page + count, dirty, ref at, out _)) return true;
        if (VirtualMemory.TryCommit(LinearRegion.AddressOf(page), BytesOf(count))) return true;
        GiveUncommitted(zone, page, count, dirty);
        return false;
    }

    // What was clean may be committed in part. Nobody reads there, so it is taken back whether others read or not. What
    // was dirty stays so: a thread may read it, and its contents are not zero.
    private static void GiveUncommitted(Zone* zone, uint page, uint count, ulong* dirty)
    {
        for (uint at = page, end = page + count, first; TryFindClean(page, end, dirty, ref at, out first);)
        {
            VirtualMemory.TryDecommit(LinearRegion.AddressOf(first), BytesOf(at - first));
            zone->Lock.Acquire();
            zone->SetClean(first, at - first);
            zone->Lock.Release();
        }
        GiveUnlocked(zone, page, count, clean: false);
    }

    // The next run of pages that were clean, from a page on, which becomes the run's end. False where there is none.
    private static bool TryFindClean(uint page, uint end, ulong* dirty, ref uint at, out uint first)
    {
        uint bits = page & ~63u; // the first word's first page
        while (at < end && (dirty[(at - bits) / 64] >> (int)(at & 63) & 1) != 0) at++;
        first = at;
        while (at < end && (dirty[(at - bits) / 64] >> (int)(at & 63) & 1) == 0) at++;
        return first != at;
    }

    private static nuint BytesOf(uint count) => (nuint)count << PageGeometry.PageShift;
}
