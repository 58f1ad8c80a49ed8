using System.Diagnostics;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <content>
/// The account of memory behind a zone's pages: which of them may have some, how many of those are free, and what the
/// process' budget is charged with for them.
/// </content>
internal unsafe partial struct Zone
{
    // Free pages are taken. What is dirty already costs nothing again.
    private bool TrySetDirty(uint page, uint count, out nuint refusedBytes)
    {
        refusedBytes = 0;
        uint dirty = LinearRegion.Dirty.Count(page, count);
        if (dirty != count)
        {
            nuint fresh = (nuint)(count - dirty) << PageGeometry.PageShift;
            if (_isCharged && !ResidentBudget.TryCharge(fresh))
            {
                refusedBytes = fresh;
                return false;
            }
            if (_isCharged && Kind == ZoneKind.High) ResidentBudget.CountInFiles((long)fresh);
            LinearRegion.Dirty.Set(page, count);
            Volatile.Write(ref _dirtyPages, _dirtyPages + (count - dirty));
        }
        _wasTakenFrom = true;
        RemoveDirtyFree(dirty);
        return true;
    }

    private void RemoveDirtyFree(uint pages)
    {
        uint left = _dirtyFreePages - pages;
        Volatile.Write(ref _dirtyFreePages, left);
        _dirtyFreeLowWater.Note(left);
    }

    /// <summary>Free pages with memory behind them that there were all the time since the last call.</summary>
    /// <param name="isQuiet">Nothing at all was taken.</param>
    internal uint ReadAndResetUnneeded(out bool isQuiet)
    {
        Debug.Assert(Lock.IsHeld, "the zone's lock is held");
        uint unneeded = (uint)_dirtyFreeLowWater.ReadAndReset(_dirtyFreePages);
        isQuiet = !_wasTakenFrom;
        _wasTakenFrom = false;
        return unneeded;
    }

    /// <summary>Notes that pages in the caller's hands have no memory behind them any more.</summary>
    internal void SetClean(uint page, uint count)
    {
        Debug.Assert(Lock.IsHeld, "the zone's lock is held");
        uint dirty = LinearRegion.Dirty.Count(page, count);
        Volatile.Write(ref _dirtyPages, _dirtyPages - dirty);
        LinearRegion.Dirty.Clear(page, count);
        if (!_isCharged) return;
        nuint bytes = (nuint)dirty << PageGeometry.PageShift;
        ResidentBudget.Release(bytes);
        if (Kind == ZoneKind.High) ResidentBudget.CountInFiles(-(long)bytes);
    }
}
