using System.Runtime.InteropServices;

namespace NativeAlloc.Pages;

/// <summary>
/// How many pages of a zone should still be available (<c>zone_watermark</c>), for reports: available are the pages
/// that there can be memory for less those that are taken.
/// </summary>
/// <remarks>
/// Unlike the kernel's, the marks refuse nothing and start nothing. A zone here can go on growing beyond the memory of
/// the machine, as what is not touched costs nothing; when memory is given back is decided for the process as a whole,
/// by the resident limit.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
internal struct Watermarks
{
    /// <summary>Most pages that there can be memory for: the machine's or the container's.</summary>
    public uint LimitPages;

    internal Watermarks(uint limitPages) => LimitPages = limitPages;

    /// <summary>
    /// Linux' <c>min_free_kbytes</c>: four times the square root of the memory in KiB. It grows with memory, but
    /// slower: 256 KiB of 4 MiB, 20 MiB of 24 GiB.
    /// </summary>
    internal readonly uint MinPages =>
        Math.Max(1, (uint)(4 * Math.Sqrt((double)LimitPages * KibiBytesOfPage) / KibiBytesOfPage));

    internal readonly uint LowPages => MinPages + MinPages / 4;

    internal readonly uint HighPages => MinPages + MinPages / 2;

    private const uint KibiBytesOfPage = (uint)(PageGeometry.PageBytes / 1024);
}
