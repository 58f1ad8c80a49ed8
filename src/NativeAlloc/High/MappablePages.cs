using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.High;

/// <summary>What has to be known of a page before it is mapped, and the mapping of pages itself.</summary>
internal static class MappablePages
{
    // No order: a page is asked about whatever block it belongs to.
    private const int AnyOrder = -1;

    /// <summary>
    /// Whether somebody has the page. High pages are only ever taken as blocks of the page allocator; others may be
    /// anything that is not free.
    /// </summary>
    internal static bool IsTaken(uint page) =>
        HighRegion.Contains(page)
            ? PageBlocks.TryFind(page, out _, out _)
            : PageBlocks.FindFault(page, AnyOrder) != PageFault.AlreadyFree;

    /// <summary>Maps neighbouring high pages over reserved addresses, in place of what is mapped there.</summary>
    internal static bool TryMap(uint page, uint count, nuint address) =>
        VirtualMemory.TryMapFile(HighRegion.File, HighRegion.OffsetOf(page), address,
            (nuint)count << PageGeometry.PageShift);
}
