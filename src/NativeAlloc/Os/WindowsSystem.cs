using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <summary>
/// Windows: VirtualAlloc and sections. Commit is charged, memory does not move, and addresses are given out in units of
/// 64 KiB.
/// </summary>
internal sealed unsafe partial class WindowsSystem : SystemContract
{
    // Between giving addresses back and taking a part of them again, another thread may have them.
    private const int Attempts = 16;

    private readonly NewCalls _new = new();

    /// <summary>1 while a thread raises the least working set. By Interlocked and Volatile.</summary>
    private int _isRaising;

    internal override bool ChargesCommit => true;

    internal override bool MovesMemory => false;

    internal override bool TryReserve(nuint bytes, nuint alignment, out nuint address)
    {
        address = 0;
        if (bytes > nuint.MaxValue - GapBytes) return false;
        bytes += GapBytes; // it goes with the others, as what is released is a whole reservation
        if (alignment <= FileUnitBytes)
        {
            address = WindowsCalls.VirtualAlloc(0, bytes, WindowsCalls.MemReserve, WindowsCalls.PageNoAccess);
            return address != 0;
        }
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            if (!TryFindRange(bytes, alignment, out nuint found)) return false;
            address = WindowsCalls.VirtualAlloc(found, bytes, WindowsCalls.MemReserve, WindowsCalls.PageNoAccess);
            if (address != 0) return true;
        }
        return false;
    }

    // Addresses that are free at the moment. A part of a reservation cannot be given back: so more is reserved than is
    // needed, all of it given back, and the caller takes what it needs.
    private static bool TryFindRange(nuint bytes, nuint alignment, out nuint address)
    {
        address = 0;
        nuint slack = alignment > FileUnitBytes ? alignment - FileUnitBytes : 0;
        if (bytes > nuint.MaxValue - slack) return false;
        nuint whole =
            WindowsCalls.VirtualAlloc(0, bytes + slack, WindowsCalls.MemReserve, WindowsCalls.PageNoAccess);
        if (whole == 0) return false;
        address = (whole + slack) & ~(alignment - 1);
        return WindowsCalls.VirtualFree(whole, 0, WindowsCalls.MemRelease) != 0;
    }

    internal override bool TryReserveLow(nuint bytes, out nuint address)
    {
        address = _new.ReserveBelow((nuint)int.MaxValue + 1, bytes);
        return address != 0;
    }

    internal override bool TryCommit(nuint address, nuint bytes) =>
        WindowsCalls.VirtualAlloc(address, bytes, WindowsCalls.MemCommit, WindowsCalls.PageReadWrite) == address;

    internal override bool TryPurge(nuint address, nuint bytes) => TryDecommit(address, bytes);

    internal override bool TryProtect(nuint address, nuint bytes, bool accessible)
    {
        uint old;
        uint protection = accessible ? WindowsCalls.PageReadWrite : WindowsCalls.PageNoAccess;
        return WindowsCalls.VirtualProtect(address, bytes, protection, &old) != 0;
    }

    internal override bool TryDecommit(nuint address, nuint bytes) =>
        WindowsCalls.VirtualFree(address, bytes, WindowsCalls.MemDecommit) != 0;

    internal override bool TryMove(nuint source, nuint bytes, nuint target) => false;

    // Large pages need a privilege, and are locked and committed as a whole: not what is asked for here.
    internal override bool TryAdviseHuge(nuint address, nuint bytes) => false;

    internal override bool TryLock(nuint address, nuint bytes)
    {
        if (WindowsCalls.VirtualLock(address, bytes) != 0) return true;
        if (Marshal.GetLastPInvokeError() != WindowsCalls.ErrorWorkingSetQuota)
            return false;
        // A process may lock what fits into the least working set that it has said it needs. Of two threads that raise
        // it at once, one would undo what the other did.
        nuint least, most;
        uint flags;
        while (Interlocked.CompareExchange(ref _isRaising, 1, 0) != 0) Thread.Yield();
        bool raised = WindowsCalls.GetWorkingSetSize(WindowsCalls.ThisProcess, &least, &most, &flags) != 0
            && WindowsCalls.SetWorkingSetSize(WindowsCalls.ThisProcess, least + bytes, most + bytes, flags) != 0;
        bool locked = raised && WindowsCalls.VirtualLock(address, bytes) != 0;
        if (raised && !locked) WindowsCalls.SetWorkingSetSize(WindowsCalls.ThisProcess, least, most, flags);
        Volatile.Write(ref _isRaising, 0);
        return locked;
    }

    internal override bool TryUnlock(nuint address, nuint bytes) => WindowsCalls.VirtualUnlock(address, bytes) != 0;

    // A node can only be named when addresses are reserved. Memory comes from the node of the thread that touches it.
    internal override bool TryBind(nuint address, nuint bytes, int systemNode) => false;

    // Never by asking what is there: between addresses of ours there may be some of another thread, see Map.
    internal override void Release(nuint address, nuint bytes)
    {
        nuint fileBytes = ReleaseRange(address);
        if (bytes > fileBytes) Free(address + fileBytes);
    }

    // Gives a whole reservation or placeholder back.
    private static void Free(nuint address) => WindowsCalls.VirtualFree(address, 0, WindowsCalls.MemRelease);

    internal override void Sleep(int microseconds) =>
        WindowsCalls.Sleep((uint)Math.Max(1, microseconds / 1000)); // at most a second; not alertable
}
