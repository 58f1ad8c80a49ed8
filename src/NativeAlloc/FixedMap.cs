using NativeAlloc.Common;
using NativeAlloc.High;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc;

/// <summary>
/// Slots whose addresses stay the same for the life of the process, while the pages behind them are exchanged (the
/// kernel's <c>fixmap</c>, <c>set_fixmap</c>).
/// </summary>
/// <remarks>
/// <para>All members may be called from any thread. Who uses which slot is for the program to say, once and for all: a
/// slot is not taken and given back, only set. Touching a slot with no page behind it is an access violation.</para>
/// <para>A page may be behind several slots, and mapped elsewhere too. It must not be freed while it is. The free does
/// not notice it, and the slot goes on showing the memory, which may belong to another user by then.</para>
/// </remarks>
public static unsafe class FixedMap
{
    /// <summary>Slots there are, numbered from 0.</summary>
    public static int SlotCount => FixedWindows.WindowCount;

    /// <summary>Where a slot is (<c>fix_to_virt</c>), also while there is no page behind it.</summary>
    /// <param name="slot">0 to <see cref="SlotCount"/> - 1.</param>
    /// <returns>The address of its 64 KiB, the same each time.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such slot.</exception>
    /// <exception cref="OutOfMemoryException">The system has no addresses for the slots, which are reserved when they
    /// are first asked for.</exception>
    public static void* AddressOf(int slot)
    {
        Startup.Begin();
        CheckSlot(slot);
        if (!FixedWindows.TryGetAddress(slot, out nuint address)) ThrowHelper.ThrowCannotMap(1);
        return (void*)address;
    }

    /// <summary>Puts a page behind a slot, in place of the one that is there (<c>set_fixmap</c>).</summary>
    /// <remarks>
    /// In one step: a thread that reads or writes there meanwhile reaches the one page or the other, and never nothing.
    /// </remarks>
    /// <param name="slot">0 to <see cref="SlotCount"/> - 1.</param>
    /// <param name="page">A high page in use; of a block of several, the first.</param>
    /// <returns>The slot's address, where the page is from now on.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such slot.</exception>
    /// <exception cref="ArgumentException">It is no page, is free, or is not a high page.</exception>
    /// <exception cref="OutOfMemoryException">The system refuses the mapping. Nothing has changed.</exception>
    public static void* Set(int slot, Page page)
    {
        CheckSlot(slot);
        if (page.IsNone) ThrowHelper.ThrowNoPage(nameof(page));
        if (!HighRegion.Contains(page.Index)) ThrowHelper.ThrowNotHigh(page.ToString(), nameof(page));
        if (!MappablePages.IsTaken(page.Index)) ThrowHelper.ThrowMapOfFreePage(page.Index);
        if (!FixedWindows.TrySet(slot, page.Index, out nuint address)) ThrowHelper.ThrowCannotMap(1);
        return (void*)address;
    }

    /// <summary>
    /// Leaves nothing behind a slot (<c>clear_fixmap</c>): touching it is an access violation from now on. A slot with
    /// no page behind it stays as it is.
    /// </summary>
    /// <param name="slot">0 to <see cref="SlotCount"/> - 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such slot.</exception>
    /// <exception cref="OutOfMemoryException">The system refuses. The page stays behind the slot.</exception>
    public static void Clear(int slot)
    {
        CheckSlot(slot);
        if (!FixedWindows.TryClear(slot)) ThrowHelper.ThrowCannotMap(1);
    }

    private static void CheckSlot(int slot)
    {
        Startup.Begin();
        if (slot is < 0 or >= FixedWindows.WindowCount) ThrowHelper.ThrowBadSlot(slot, FixedWindows.WindowCount);
    }
}
