using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>
/// The high pages: memory without an address (Linux' highmem), reached only through a mapping. All of them are pages of
/// one memory file, at the offset that their index says. So any of them can be mapped anywhere, also several times.
/// </summary>
internal static class HighRegion
{
    private static NativeLock s_lock;

    /// <summary>The memory file, -1 before the first high page. Set under the lock, read by any thread.</summary>
    private static nint s_file = -1;

    /// <summary>High pages before this one are online. Grown under the lock.</summary>
    private static uint s_onlineEnd = LinearRegion.HighFirstPage;

    internal static uint LockAcquisitions => s_lock.Acquisitions;

    /// <summary>The memory file; -1 as long as there are no high pages.</summary>
    internal static nint File => Volatile.Read(ref s_file);

    /// <summary>High pages that there can be.</summary>
    internal static uint PageCount => LinearRegion.EndPage - LinearRegion.HighFirstPage;

    internal static uint OnlinePages => Volatile.Read(ref s_onlineEnd) - LinearRegion.HighFirstPage;

    internal static bool Contains(uint page) => page >= LinearRegion.HighFirstPage && page < LinearRegion.EndPage;

    /// <summary>Where a high page begins in the file.</summary>
    internal static nuint OffsetOf(uint page) => (nuint)(page - LinearRegion.HighFirstPage) << PageGeometry.PageShift;

    /// <summary>Gives the memory behind high pages back; they read as zero wherever they are mapped.</summary>
    internal static bool TryPurge(uint page, uint count) =>
        VirtualMemory.TryPurgeFile(File, OffsetOf(page), (nuint)count << PageGeometry.PageShift);

    /// <summary>Makes 64 MiB more of high pages. False where the region ends or the system refuses.</summary>
    /// <param name="zone">The zone that they are for.</param>
    /// <param name="systemNode">Where their memory should come from; -1 for anywhere.</param>
    internal static bool TryBringSectionOnline(int zone, int systemNode, out uint firstPage)
    {
        s_lock.Acquire();
        firstPage = s_onlineEnd;
        uint end = firstPage + PageGeometry.SectionPages;
        bool online =
            end <= LinearRegion.EndPage && LinearRegion.TryCommitHighFrames(end) && TryGrowFile(OffsetOf(end));
        if (online)
        {
            if (systemNode >= 0) Bind(firstPage, systemNode);
            LinearRegion.SetZoneIndex(firstPage, zone);
            Volatile.Write(ref s_onlineEnd, end);
        }
        s_lock.Release();
        return online;
    }

    private static bool TryGrowFile(nuint bytes)
    {
        if (s_file >= 0) return VirtualMemory.TryGrowFile(s_file, bytes);
        if (!VirtualMemory.TryCreateFile(bytes, out nint file)) return false;
        Volatile.Write(ref s_file, file);
        return true;
    }

    // The system takes the wish for a part of a file through any window onto it, and remembers it without the window.
    private static void Bind(uint firstPage, int systemNode)
    {
        if (!VirtualMemory.TryReserve(PageGeometry.SectionBytes, VirtualMemory.PageBytes, out nuint window)) return;
        if (VirtualMemory.TryMapFile(s_file, OffsetOf(firstPage), window, PageGeometry.SectionBytes))
            VirtualMemory.TryBind(window, PageGeometry.SectionBytes, systemNode);
        VirtualMemory.Release(window, PageGeometry.SectionBytes);
    }
}
