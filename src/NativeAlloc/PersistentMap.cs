using NativeAlloc.Common;
using NativeAlloc.High;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc;

/// <summary>Addresses for high pages while they are needed (the kernel's <c>kmap</c> and <c>kunmap</c>).</summary>
/// <remarks>
/// <para>There are 512 windows of 64 KiB for the whole process. A page that is mapped several times has one of them and
/// one address, and must be unmapped as often. A window that nobody uses any more keeps its page until another needs
/// it, so mapping a page again that was mapped a moment ago costs no system call.</para>
/// <para>All members may be called from any thread, and a page may be unmapped on another thread than the one that
/// mapped it. Where all windows are in use, <see cref="Map"/> waits, without using the processor, until another thread
/// unmaps a page: a thread that holds windows and maps more may wait for itself, and several for each other. For many
/// pages, or for long, use <see cref="Vmalloc.Map"/> or <see cref="FixedMap"/>.</para>
/// <para>A page must not be freed while it is mapped. The free does not notice it, only the next map of the page does.
/// Until then the window goes on showing the memory, which may belong to another user by then. <see cref="Unmap"/>
/// still gives the window back.</para>
/// </remarks>
public static unsafe class PersistentMap
{
    /// <summary>Maps a page, and counts that (<c>kmap</c>). Waits where all windows are in use.</summary>
    /// <param name="page">Any page in use; of a block of several, the first. One that is not high has an address of its
    /// own, which is the answer, and needs no window.</param>
    /// <returns>Where the page's 64 KiB are until they are unmapped as often as they were mapped; the same address for
    /// all who map it.</returns>
    /// <exception cref="ArgumentException">It is no page, or it is free.</exception>
    /// <exception cref="OutOfMemoryException">The system refuses the mapping, or the address space for the windows.
    /// Nothing has changed.</exception>
    /// <exception cref="ThreadInterruptedException">The thread was interrupted while it waited for a window. Nothing
    /// has changed.</exception>
    public static void* Map(Page page)
    {
        Check(page);
        if (!HighRegion.Contains(page.Index)) return page.Address;
        if (!PersistentWindows.TryMap(page.Index, out nuint address)) ThrowHelper.ThrowCannotMap(1);
        return (void*)address;
    }

    /// <summary>
    /// Takes one <see cref="Map"/> of a page back (<c>kunmap</c>). It never waits, and cannot be interrupted.
    /// </summary>
    /// <param name="page">A page that is mapped; one that is not high is only checked.</param>
    /// <exception cref="ArgumentException">It is no page, is not mapped, or is free and not high.</exception>
    public static void Unmap(Page page)
    {
        if (page.IsNone || !HighRegion.Contains(page.Index)) Check(page);
        else if (!PersistentWindows.TryUnmap(page.Index)) ThrowHelper.ThrowNotMapped(page.Index);
    }

    private static void Check(Page page)
    {
        Startup.Begin();
        if (page.IsNone) ThrowHelper.ThrowNoPage(nameof(page));
        if (!MappablePages.IsTaken(page.Index)) ThrowHelper.ThrowMapOfFreePage(page.Index);
    }
}
