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
    /// Commits those of some pages that were clean when they were taken. Where the system refuses, all of them go back,
    /// clean, and the answer is false.
    /// </summary>
    /// <param name="dirty">See <see cref="PageBits.Copy"/>: a bit for each page that was dirty.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryCommitTaken(Zone* zone, uint page, uint count, ulong* dirty)
    {
        uint bits = page & ~63u; // the first word's first page
        for (uint at = page, end = page + count; at < end; at++)
        {
            if ((dirty[(at - bits) / 64] >> (int)(at & 63) & 1) == 0) return TryCommitTaken(zone, page, count);
        }
        return true;
    }

    // A high page is committed when it is mapped: it has no address before.
    private static bool TryCommitTaken(Zone* zone, uint page, uint count)
    {
        if (zone->Kind == ZoneKind.High) return true;
        nuint address = LinearRegion.AddressOf(page), bytes = (nuint)count << PageGeometry.PageShift;
        if (VirtualMemory.TryCommit(address, bytes)) return true;
        VirtualMemory.TryPurge(address, bytes);
        GiveUnlocked(zone, page, count, clean: true);
        return false;
    }
}
