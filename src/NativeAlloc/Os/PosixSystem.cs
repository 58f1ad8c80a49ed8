using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <summary>What Linux and macOS do in the same way: mmap, mprotect, mlock, files that are mapped, nanosleep.</summary>
/// <param name="nothing">The flags by which a mapping has nothing behind it: their values differ.</param>
internal abstract unsafe partial class PosixSystem(int nothing) : SystemContract
{
    // The same values in the headers of both.
    private protected const int ProtNone = 0, ProtReadWrite = 1 | 2;
    private protected const int MapShared = 1, MapPrivate = 2, MapFixed = 0x10;
    private protected static readonly nuint s_failed = nuint.MaxValue;

    private protected int Nothing { get; } = nothing;

    private protected static nuint PageBytes => (nuint)Environment.SystemPageSize;

    internal override bool TryReserve(nuint bytes, nuint alignment, out nuint address)
    {
        // The system aligns to its own page only: ask for more and give the edges back.
        address = 0;
        nuint slack = alignment > PageBytes ? alignment - PageBytes : 0;
        if (bytes > nuint.MaxValue - slack - 2 * GapBytes) return false;
        nuint whole = MMap(0, bytes + slack + 2 * GapBytes, ProtNone, MapPrivate | Nothing, -1, 0);
        if (whole == s_failed) return false;
        address = (whole + GapBytes + slack) & ~(alignment - 1);
        nuint front = address - GapBytes - whole, back = slack - front;
        if (front != 0) MUnmap(whole, front);
        if (back != 0) MUnmap(address + bytes + GapBytes, back);
        return true;
    }

    internal override bool TryCommit(nuint address, nuint bytes) => TryProtect(address, bytes, accessible: true);

    internal override bool TryDecommit(nuint address, nuint bytes) => TryReserveAt(address, bytes);

    internal override bool TryUnmapFile(nuint address, nuint bytes) => TryReserveAt(address, bytes);

    /// <summary>Inaccessible addresses take the place of what is mapped there.</summary>
    private protected bool TryReserveAt(nuint address, nuint bytes) =>
        MMap(address, bytes, ProtNone, MapPrivate | Nothing | MapFixed, -1, 0) == address;

    internal override bool TryProtect(nuint address, nuint bytes, bool accessible) =>
        MProtect(address, bytes, accessible ? ProtReadWrite : ProtNone) == 0;

    internal override void Release(nuint address, nuint bytes) =>
        MUnmap(address - GapBytes, bytes + 2 * GapBytes);

    internal override bool TryLock(nuint address, nuint bytes)
    {
        if (MLock(address, bytes) == 0) return true;
        MUnlock(address, bytes); // a part may be locked
        return false;
    }

    internal override bool TryUnlock(nuint address, nuint bytes) => MUnlock(address, bytes) == 0;

    internal override bool TryMapFile(nint file, nuint offset, nuint address, nuint bytes) =>
        MMap(address, bytes, ProtReadWrite, MapShared | MapFixed, (int)file, (nint)offset) == address;

    internal override void CloseFile(nint file) => Close((int)file);

    internal override void Sleep(int microseconds)
    {
        TimeSpec time = new() { Seconds = 0, Nanoseconds = microseconds * 1000 };
        NanoSleep(&time, null);
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public nint Seconds;
        public nint Nanoseconds;
    }

    // Each of these can block or fault: none may suppress the GC transition.
    [LibraryImport("libc", EntryPoint = "mmap")]
    private protected static partial nuint MMap(nuint address, nuint length, int protection, int flags,
        int file, nint offset);
    [LibraryImport("libc", EntryPoint = "munmap")]
    private protected static partial int MUnmap(nuint address, nuint length);
    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int MProtect(nuint address, nuint length, int protection);
    [LibraryImport("libc", EntryPoint = "mlock")] private static partial int MLock(nuint address, nuint length);
    [LibraryImport("libc", EntryPoint = "munlock")] private static partial int MUnlock(nuint address, nuint length);
    [LibraryImport("libc", EntryPoint = "ftruncate")]
    private protected static partial int FTruncate(int file, nint length);
    [LibraryImport("libc", EntryPoint = "close")] private protected static partial int Close(int file);
    [LibraryImport("libc", EntryPoint = "nanosleep")]
    private static partial int NanoSleep(TimeSpec* request, TimeSpec* remaining);
}
