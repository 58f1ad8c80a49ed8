using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.High;

/// <summary>
/// Windows whose addresses never change while the pages behind them do (the kernel's <c>fixmap</c>). There is nothing
/// to remember and no lock: the system replaces what is behind a window in one step.
/// </summary>
internal static class FixedWindows
{
    /// <summary>Windows there are: 4 MiB of addresses.</summary>
    internal const int WindowCount = 64;

    /// <summary>Any thread: it is safe by itself.</summary>
    private static WindowRange s_range = new(WindowCount);

    /// <summary>Where a window is; false where there are no addresses for it.</summary>
    internal static bool TryGetAddress(int window, out nuint address)
    {
        bool reserved = s_range.TryReserve(out nuint first);
        address = first + ((nuint)window << PageGeometry.PageShift);
        return reserved;
    }

    /// <summary>
    /// Puts a high page behind a window, in place of what is there; false, and nothing changed, where the system
    /// refuses.
    /// </summary>
    internal static bool TrySet(int window, uint page, out nuint address) =>
        TryGetAddress(window, out address) && MappablePages.TryMap(page, 1, address);

    /// <summary>Leaves nothing behind a window; false, and nothing changed, where the system refuses.</summary>
    internal static bool TryClear(int window) =>
        TryGetAddress(window, out nuint address) && VirtualMemory.TryUnmapFile(address, PageGeometry.PageBytes);
}
