using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>
/// Runs of pages that are locked into memory: those of the DMA zone, while they are held. Locked addresses are a
/// mapping of their own for the system, and what lies behind them is another, so both count in
/// <see cref="MappingBudget"/>.
/// </summary>
/// <remarks>
/// The system may refuse to unlock a run, where it has no room for one mapping more. The run is kept then, and tried
/// again before memory is given back: in a free list, locked memory could not be purged.
/// </remarks>
internal static unsafe class LockedPages
{
    private const int MappingsPerRun = 2;

    private static NativeLock s_lock;

    /// <summary>
    /// First of the runs that are kept, linked through the frames of their first pages. Under the lock; read by any
    /// thread.
    /// </summary>
    private static uint s_kept = PageFrame.None;

    /// <summary>Locks a run. False, with the reason, where the system or the budget for mappings refuses.</summary>
    internal static bool TryLock(uint page, uint count, out Refusal refusal)
    {
        refusal = Refusal.OutOfMappings;
        if (!MappingBudget.TryTake(MappingsPerRun)) return false;
        refusal = default;
        if (VirtualMemory.TryLock(LinearRegion.AddressOf(page), BytesOf(count))) return true;
        MappingBudget.Give(MappingsPerRun);
        refusal = Refusal.LockLimit;
        return false;
    }

    /// <summary>Unlocks a run. False where the system refuses: then the run is kept here.</summary>
    internal static bool TryUnlock(uint page, uint count)
    {
        if (VirtualMemory.TryUnlock(LinearRegion.AddressOf(page), BytesOf(count)))
        {
            MappingBudget.Give(MappingsPerRun);
            return true;
        }
        Keep(page, count);
        return false;
    }

    /// <summary>Unlocks the last pages of a run whose other pages stay locked. False as above.</summary>
    internal static bool TryUnlockTail(uint page, uint count)
    {
        if (VirtualMemory.TryUnlock(LinearRegion.AddressOf(page), BytesOf(count))) return true;
        MappingBudget.Give(-MappingsPerRun); // a run of its own from now on
        Keep(page, count);
        return false;
    }

    /// <summary>
    /// Takes one of the kept runs, which may be unlocked now or not; false where there is none.
    /// </summary>
    internal static bool TryTakeKept(out uint page, out uint count)
    {
        (page, count) = (PageFrame.None, 0);
        if (Volatile.Read(ref s_kept) == PageFrame.None) return false;
        s_lock.Acquire();
        page = s_kept;
        if (page != PageFrame.None)
        {
            count = LinearRegion.Frames[page].PageCount;
            Volatile.Write(ref s_kept, LinearRegion.Frames[page].Next);
        }
        s_lock.Release();
        return page != PageFrame.None;
    }

    private static void Keep(uint page, uint count)
    {
        PageFrame* frame = LinearRegion.Frames + page;
        s_lock.Acquire();
        frame->State = PageState.Withheld;
        frame->PageCount = count;
        frame->Next = s_kept;
        Volatile.Write(ref s_kept, page);
        s_lock.Release();
    }

    private static nuint BytesOf(uint count) => (nuint)count << PageGeometry.PageShift;
}
