using System.Diagnostics;

namespace NativeAlloc.Os;

/// <summary>
/// Address space and the memory behind it: the whole of what the layers above ask of an operating system. Each member states what
/// must hold before and what holds afterwards; one file per system (<see cref="LinuxMemory"/>) does the work, so that another can
/// stand beside it. A <c>Try…</c> member answers false where the system says no, and then nothing has changed.
/// </summary>
/// <remarks>
/// Words: <b>reserve</b> takes addresses without memory; <b>commit</b> makes reserved addresses usable (memory comes with the first
/// touch and reads as zero); <b>purge</b> gives the memory back and keeps the addresses usable, zero again; <b>release</b> gives the
/// addresses back. A <b>section</b> is memory that has no address of its own and may be mapped at several.
/// </remarks>
internal static unsafe class VirtualMemory
{
    /// <summary>By Interlocked and Volatile.</summary>
    private static long s_calls;

    /// <summary>System calls made so far, for the statistics. They are rare, so one shared counter does no harm.</summary>
    internal static long Calls => Volatile.Read(ref s_calls);

    /// <summary>Bytes of the system's own page, the unit of <see cref="TryCommit"/> and the others.</summary>
    internal static nuint PageBytes => (nuint)Environment.SystemPageSize;

    /// <summary>Bytes of a huge page: what a whole table of the processor's smallest pages covers, on x86-64 and on arm64 with pages of 4 KiB.</summary>
    internal const nuint HugePageBytes = 2 << 20;

    /// <summary>Reserves <paramref name="bytes"/> of address space at a multiple of <paramref name="alignment"/> (a power of two, at least a system page). Touching it before a commit is an access violation.</summary>
    internal static bool TryReserve(nuint bytes, nuint alignment, out nuint address)
    {
        Debug.Assert(bytes != 0 && bytes % PageBytes == 0, "reserve takes whole system pages");
        Debug.Assert(nuint.IsPow2(alignment) && alignment >= PageBytes, "alignment is a power of two of at least a system page");
        address = 0;
        return Enter(OsCall.Reserve) && LinuxMemory.TryReserve(bytes, alignment, out address);
    }

    /// <summary>Reserves addresses below 2 GiB, which fit into an instruction as they are. False where there are none, which is no reason to give up.</summary>
    internal static bool TryReserveLow(nuint bytes, out nuint address)
    {
        Debug.Assert(bytes != 0 && bytes % PageBytes == 0, "reserve takes whole system pages");
        address = 0;
        return Enter(OsCall.Reserve) && LinuxMemory.TryReserveLow(bytes, out address);
    }

    /// <summary>Makes reserved addresses readable and writable; fresh ones read as zero. Committing twice is harmless.</summary>
    internal static bool TryCommit(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Enter(OsCall.Commit) && LinuxMemory.TryProtect(address, bytes, accessible: true);
    }

    /// <summary>Gives back the memory behind committed addresses, which stay committed and read as zero.</summary>
    internal static bool TryPurge(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Enter(OsCall.Purge) && LinuxMemory.TryPurge(address, bytes);
    }

    /// <summary>Makes committed addresses inaccessible (any touch is an access violation) or accessible again; the contents stay.</summary>
    internal static bool TryProtect(nuint address, nuint bytes, bool accessible)
    {
        AssertRange(address, bytes);
        return Enter(OsCall.Protect) && LinuxMemory.TryProtect(address, bytes, accessible);
    }

    /// <summary>Turns committed addresses back into reserved ones and gives the memory behind them back. False where the system has no room for one more mapping.</summary>
    internal static bool TryDecommit(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Enter(OsCall.Decommit) && LinuxMemory.TryReserveAt(address, bytes);
    }

    /// <summary>
    /// Moves the memory behind committed addresses, as it is, to reserved ones, which are committed afterwards. The source, all of which came into being by one call of this class, stays committed and reads as
    /// zero. False also where the system cannot do this; then the target, if it was committed, may be reserved only.
    /// </summary>
    internal static bool TryMove(nuint source, nuint bytes, nuint target)
    {
        AssertRange(source, bytes);
        AssertRange(target, bytes);
        if (!Enter(OsCall.Move) || !LinuxMemory.TryMove(source, bytes, target)) return false;
        SystemCounters.CountMoved(bytes);
        return true;
    }

    /// <summary>Asks that huge pages come with the first touch of committed addresses, where there are whole ones.</summary>
    internal static bool TryAdviseHuge(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Enter(OsCall.AdviseHuge) && LinuxMemory.TryAdviseHuge(address, bytes);
    }

    /// <summary>
    /// Keeps committed addresses in memory until <see cref="Unlock"/>: all of it is there afterwards and is never paged out. False where the process
    /// may not lock so much (<see cref="Machine.LockLimitBytes"/>).
    /// </summary>
    internal static bool TryLock(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Enter(OsCall.Lock) && LinuxMemory.TryLock(address, bytes);
    }

    /// <summary>Takes a <see cref="TryLock"/> back; the contents stay. It cannot fail for a range that is ours.</summary>
    internal static void Unlock(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        Interlocked.Increment(ref s_calls);
        LinuxMemory.Unlock(address, bytes);
    }

    /// <summary>
    /// Asks that memory for committed or mapped addresses come from a NUMA node of the system while that has some, from another otherwise. Only memory
    /// that is touched later is concerned.
    /// </summary>
    internal static bool TryBind(nuint address, nuint bytes, int systemNode)
    {
        AssertRange(address, bytes);
        return Enter(OsCall.Bind) && LinuxMemory.TryBind(address, bytes, systemNode);
    }

    /// <summary>
    /// Puts huge pages behind committed addresses, part of which have been touched; the contents stay. False where the system has none or does not do that, and then only what was
    /// touched has memory.
    /// </summary>
    internal static bool TryCollapse(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Enter(OsCall.Collapse) && LinuxMemory.TryCollapse(address, bytes);
    }

    /// <summary>Gives back addresses and the memory behind them, whether reserved, committed or mapped. It cannot fail for a range that is ours.</summary>
    internal static void Release(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        Interlocked.Increment(ref s_calls);
        LinuxMemory.Release(address, bytes);
    }

    /// <summary>Makes a section of <paramref name="bytes"/> zero bytes. The handle is for the other section members only.</summary>
    internal static bool TryCreateSection(nuint bytes, out nint section)
    {
        section = -1;
        return Enter(OsCall.CreateSection) && LinuxMemory.TryCreateSection(bytes, out section);
    }

    /// <summary>Makes a section longer; what is new reads as zero.</summary>
    internal static bool TryGrowSection(nint section, nuint bytes)
    {
        Debug.Assert(bytes != 0 && bytes % PageBytes == 0, "a section is whole system pages");
        return Enter(OsCall.GrowSection) && LinuxMemory.TryGrowSection(section, bytes);
    }

    /// <summary>Gives back the memory behind a part of a section, wherever it is mapped; the part reads as zero.</summary>
    internal static bool TryPurgeSection(nint section, nuint offset, nuint bytes)
    {
        Debug.Assert(offset % PageBytes == 0 && bytes != 0 && bytes % PageBytes == 0, "the part is whole system pages");
        return Enter(OsCall.PurgeSection) && LinuxMemory.TryPurgeSection(section, offset, bytes);
    }

    /// <summary>Maps <paramref name="bytes"/> of a section from <paramref name="offset"/> over reserved addresses; whatever was there is replaced at once.</summary>
    internal static bool TryMapSection(nint section, nuint offset, nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Enter(OsCall.MapSection) && LinuxMemory.TryMapSection(section, offset, address, bytes);
    }

    /// <summary>Turns a mapped part of a section back into reserved addresses; the section keeps its contents.</summary>
    internal static bool TryUnmapSection(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Enter(OsCall.MapSection) && LinuxMemory.TryReserveAt(address, bytes);
    }

    /// <summary>Gives a section back. Parts that are still mapped stay alive until they are unmapped.</summary>
    internal static void CloseSection(nint section)
    {
        Interlocked.Increment(ref s_calls);
        LinuxMemory.CloseSection(section);
    }

    private static bool Enter(OsCall call)
    {
        if (!OperatingSystem.IsLinux()) throw new PlatformNotSupportedException("NativeAlloc runs on Linux so far. Other systems need a file of their own beside LinuxMemory.");
        Interlocked.Increment(ref s_calls);
        return !OsFaults.Inject(call);
    }

    [Conditional("DEBUG")]
    private static void AssertRange(nuint address, nuint bytes)
    {
        Debug.Assert(address != 0 && address % PageBytes == 0, "the range begins at a system page");
        Debug.Assert(bytes != 0 && bytes % PageBytes == 0, "the range is whole system pages");
    }
}
