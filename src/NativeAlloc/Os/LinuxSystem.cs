using System.Runtime.InteropServices;
using System.Text;

namespace NativeAlloc.Os;

/// <summary>Linux: beside what POSIX has, madvise, mremap, mbind and memfd.</summary>
internal sealed unsafe partial class LinuxSystem : PosixSystem
{
    // The values of the system's headers, common to x86-64 and arm64 (asm-generic/mman-common.h, linux/mman.h,
    // linux/memfd.h).
    private const int MapAnonymous = 0x20, Map32Bit = 0x40, MapNoReserve = 0x4000;
    private const int MapFixedNoReplace = 0x100000; // since Linux 4.17
    private const int MadviseDontNeed = 4, MadviseHugePage = 14;
    private const int MadviseDontNeedLocked = 24; // since Linux 5.18
    private const nint ProcessMadvise = 440; // its number is the same on all processors
    private const nint OwnThread = -10_000; // PIDFD_SELF_THREAD, in place of a handle of the process
    private const int FallocateKeepSize = 1, FallocatePunchHole = 2;
    private const int PolicyPreferred = 1; // linux/mempolicy.h
    private const int RemapMayMove = 1, RemapFixed = 2, RemapDontUnmap = 4; // the last since Linux 5.7
    private const uint MemfdCloseOnExec = 1;

    private readonly byte[] _root;
    private readonly bool _asOthers;

    /// <param name="root">The folder that /proc and /sys are in; tests have one of their own.</param>
    /// <param name="asOthers">For tests: commit is charged and memory does not move, as on Windows. What is not
    /// committed, or was purged, faults when it is touched.</param>
    internal LinuxSystem(string root = "", bool asOthers = false) : base(MapAnonymous | MapNoReserve)
    {
        _asOthers = asOthers;
        RootFolder = root;
        _root = Encoding.UTF8.GetBytes(root);
    }

    private string RootFolder { get; }

    internal override bool ChargesCommit => _asOthers;

    internal override bool MovesMemory => !_asOthers;

    internal override bool TryReserveForFiles(nuint bytes, nuint fileBytes, nuint alignment, out nuint address) =>
        TryReserve(bytes, alignment, out address);

    internal override nuint FileShareOf(nuint bytes) => _asOthers ? bytes / 8 & ~(nuint)(FileUnitBytes - 1) : 0;

    internal override bool TryReserveLow(nuint bytes, out nuint address)
    {
        // A flag of x86-64 only; elsewhere the bit means nothing, and the address is checked anyway.
        nuint whole = bytes + 2 * GapBytes, first = MMap(0, whole, ProtNone, MapPrivate | Nothing | Map32Bit, -1, 0);
        bool low = first != s_failed && first <= int.MaxValue - whole;
        if (!low && first != s_failed) MUnmap(first, whole);
        address = low ? first + GapBytes : 0;
        return low;
    }

    // A program that locks all its memory (mlockall) locks free memory of this library, too, which is to go back.
    internal override bool TryPurge(nuint address, nuint bytes) => _asOthers
        ? TryReserveAt(address, bytes)
        : MAdvise(address, bytes, MadviseDontNeed) == 0 || MAdvise(address, bytes, MadviseDontNeedLocked) == 0;

    // Since Linux 6.13 a process may ask this of itself. Where the answer is another than all bytes, the ranges are
    // purged one by one; and for good, where it never was all.
    internal override bool TryPurgeAll(AddressRange* ranges, int count)
    {
        if (count > 1 && !_asOthers && Volatile.Read(ref s_purgesMany) >= 0)
        {
            nint bytes = 0;
            for (int i = 0; i < count; i++) bytes += (nint)ranges[i].Bytes;
            if (SystemCall(ProcessMadvise, OwnThread, ranges, (nuint)count, MadviseDontNeed, 0) == bytes)
            {
                Volatile.Write(ref s_purgesMany, 1);
                return true;
            }
            Interlocked.CompareExchange(ref s_purgesMany, -1, 0);
        }
        return base.TryPurgeAll(ranges, count);
    }

    /// <summary>
    /// 1 once the system has purged many ranges in one call, -1 if it did not when it was asked first. Any thread, by
    /// Volatile.
    /// </summary>
    private static int s_purgesMany;

    internal override bool TryMove(nuint source, nuint bytes, nuint target)
    {
        if (_asOthers) return false;
        if (MRemap(source, bytes, bytes, RemapMayMove | RemapFixed | RemapDontUnmap, target) == target) return true;
        // The system unmaps the target before it finds some reasons to refuse, such as a limit (ulimit -d). The next
        // mapping of the process would get the hole, so fill it. Where there is no hole, this does nothing.
        nuint filled = MMap(target, bytes, ProtNone, MapPrivate | Nothing | MapFixedNoReplace, -1, 0);
        // a system that does not know the flag puts it elsewhere
        if (filled != s_failed && filled != target) MUnmap(filled, bytes);
        return false;
    }

    internal override bool TryAdviseHuge(nuint address, nuint bytes) => MAdvise(address, bytes, MadviseHugePage) == 0;

    internal override bool TryBind(nuint address, nuint bytes, int systemNode)
    {
        const int MaskWords = 16, WordBits = 64; // 1024 nodes, the most there can be
        ulong* mask = stackalloc ulong[MaskWords];
        new Span<ulong>(mask, MaskWords).Clear();
        mask[systemNode / WordBits] = 1UL << systemNode % WordBits;
        // The C library has no name for this call; its number depends on the processor. The system takes one bit less
        // than it is told.
        nint number = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 237 : 235;
        return MBind(number, address, bytes, PolicyPreferred, mask, MaskWords * WordBits + 1, 0) == 0;
    }

    internal override bool TryPurgeFile(nint file, nuint offset, nuint bytes) =>
        FAllocate((int)file, FallocateKeepSize | FallocatePunchHole, (nint)offset, (nint)bytes) == 0;

    // Beyond the limit for files (ulimit -f) the system does not only refuse: its signal (SIGXFSZ) ends the process.
    internal override bool TryGrowFile(nint file, nuint bytes) =>
        bytes <= (LimitOf(ResourceFileBytes) ?? ulong.MaxValue) && FTruncate((int)file, (nint)bytes) == 0;

    internal override int CurrentProcessor() => Math.Max(0, SchedGetCpu());

    internal override bool TryCreateFile(nuint bytes, out nint file)
    {
        ReadOnlySpan<byte> name = "nativealloc\0"u8;
        int descriptor;
        fixed (byte* namePointer = name) descriptor = MemfdCreate(namePointer, MemfdCloseOnExec);
        file = descriptor;
        if (descriptor < 0) return false;
        if (TryGrowFile(descriptor, bytes)) return true;
        Close(descriptor);
        file = -1;
        return false;
    }

    // Each of these can block or fault: none may suppress the GC transition.
    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint SystemCall(
        nint number, nint process, AddressRange* ranges, nuint count, nint advice, nuint flags);
    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int MAdvise(nuint address, nuint length, int advice);
    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint MBind(nint number, nuint address, nuint length, nint mode, ulong* nodes, nint nodeBits,
        nint flags);
    [LibraryImport("libc", EntryPoint = "sched_getcpu")] private static partial int SchedGetCpu();
    [LibraryImport("libc", EntryPoint = "mremap")]
    private static partial nuint MRemap(nuint address, nuint oldLength, nuint newLength, int flags, nuint newAddress);
    [LibraryImport("libc", EntryPoint = "memfd_create")] private static partial int MemfdCreate(byte* name, uint flags);
    [LibraryImport("libc", EntryPoint = "fallocate")]
    private static partial int FAllocate(int file, int mode, nint offset, nint length);
}
