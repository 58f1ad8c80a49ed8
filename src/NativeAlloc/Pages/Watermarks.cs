namespace NativeAlloc.Pages;

/// <summary>
/// How many pages of a zone should still be available (<c>zone_watermark</c>), for reports: available are the pages
/// that there can be memory for less those that are taken.
/// </summary>
/// <remarks>
/// Unlike the kernel's, the marks refuse nothing and start nothing. A zone here can go on growing beyond the memory of
/// the machine, as what is not touched costs nothing; when memory is given back is decided for the process as a whole,
/// by the resident limit. All zones have their memory from the same machine, so each has a part of the limit and of the
/// marks, by its part of the online pages: together they are those of the machine, as in the kernel
/// (<c>__setup_per_zone_wmarks</c>).
/// </remarks>
internal readonly struct Watermarks
{
    private const uint KibiBytesOfPage = (uint)(PageGeometry.PageBytes / 1024);

    /// <summary>Pages that there can be memory for: the zone's part of the machine's or the container's.</summary>
    internal uint LimitPages { get; }

    /// <summary>
    /// The zone's part of Linux' <c>min_free_kbytes</c>: four times the square root of the memory in KiB. It grows with
    /// memory, but slower: 256 KiB of 4 MiB, 20 MiB of 24 GiB.
    /// </summary>
    internal uint MinPages { get; }

    internal uint LowPages => MinPages + MinPages / 4;

    internal uint HighPages => MinPages + MinPages / 2;

    /// <param name="memoryPages">All memory of the machine, or of the container.</param>
    /// <param name="zonePages">Online pages of the zone.</param>
    /// <param name="allPages">Online pages of all zones.</param>
    internal Watermarks(ulong memoryPages, uint zonePages, ulong allPages)
    {
        double part = allPages == 0 ? 1 : Math.Min(1, (double)zonePages / allPages);
        double least = 4 * Math.Sqrt((double)memoryPages * KibiBytesOfPage) / KibiBytesOfPage;
        LimitPages = (uint)Math.Min(memoryPages * part, uint.MaxValue);
        MinPages = Math.Max(1, (uint)(least * part));
    }
}
