using System.Runtime.InteropServices;

namespace NativeAlloc.Pages;

/// <summary>
/// How many pages of a zone should still be available (<c>zone_watermark</c>). Unlike the kernel's, a zone here can go on growing beyond the memory of the
/// machine, as what is not touched costs nothing; so the marks never refuse anything. They start reclaim while there is still something left.
/// </summary>
/// <remarks>
/// Available are the pages that the zone may take from the system at most (its limit) less those that are taken. Below <see cref="LowPages"/> reclaim
/// runs until <see cref="HighPages"/> are available; where that cannot be reached, again each time another <see cref="MinPages"/> are taken, and below
/// <see cref="MinPages"/> four times as often.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
internal struct Watermarks
{
    /// <summary>Most pages that there can be memory for: the machine's or the container's.</summary>
    public uint LimitPages;

    /// <summary>Taken pages at which reclaim is due next. Under the zone's lock.</summary>
    private uint _reclaimAtPages;

    internal Watermarks(uint limitPages)
    {
        LimitPages = limitPages;
        _reclaimAtPages = FirstReclaim;
    }

    /// <summary>
    /// Linux' <c>min_free_kbytes</c>: four times the square root of the memory in KiB. It grows with memory, but slower: 256 KiB of 4 MiB, 20 MiB of 24 GiB.
    /// </summary>
    internal readonly uint MinPages => Math.Max(1, (uint)(4 * Math.Sqrt((double)LimitPages * KibiBytesOfPage) / KibiBytesOfPage));

    /// <summary>Reclaim begins below this.</summary>
    internal readonly uint LowPages => MinPages + MinPages / 4;

    /// <summary>Reclaim ends here.</summary>
    internal readonly uint HighPages => MinPages + MinPages / 2;

    private const uint KibiBytesOfPage = (uint)(LinearRegion.PageBytes / 1024);

    private readonly uint FirstReclaim => LimitPages - Math.Min(LimitPages, LowPages);

    /// <summary>Whether reclaim is due with so many pages taken; at most one caller is told so.</summary>
    internal bool IsReclaimDue(uint takenPages)
    {
        if (takenPages <= Volatile.Read(ref _reclaimAtPages)) return false;
        uint step = LimitPages - Math.Min(LimitPages, takenPages) < MinPages ? Math.Max(1, MinPages / 4) : MinPages;
        Volatile.Write(ref _reclaimAtPages, takenPages + step);
        return true;
    }

    /// <summary>After reclaim: from where on it is due again.</summary>
    internal void Rearm(uint takenPages)
    {
        if (LimitPages - Math.Min(LimitPages, takenPages) >= HighPages) Volatile.Write(ref _reclaimAtPages, FirstReclaim);
    }

    /// <summary>Pages to give back until <see cref="HighPages"/> are available.</summary>
    internal readonly uint MissingPages(uint takenPages)
    {
        uint most = LimitPages - Math.Min(LimitPages, HighPages);
        return takenPages - Math.Min(takenPages, most);
    }
}
