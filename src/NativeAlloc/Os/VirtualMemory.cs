using System.Diagnostics;

namespace NativeAlloc.Os;

/// <summary>
/// Address space and the memory behind it, for the layers above. What each member does stands in
/// <see cref="SystemContract"/>; here arguments are checked, calls are counted, and tests make them fail.
/// </summary>
internal static class VirtualMemory
{
    /// <summary>Bytes of the system's own page, the unit of <see cref="TryCommit"/> and the others.</summary>
    internal static nuint PageBytes => (nuint)Environment.SystemPageSize;

    /// <summary>
    /// Bytes of a huge page: what a whole table of the processor's smallest pages covers, on x86-64 and on arm64 with
    /// pages of 4 KiB.
    /// </summary>
    internal const nuint HugePageBytes = 2 << 20;

    /// <inheritdoc cref="SystemContract.TryReserve"/>
    internal static bool TryReserve(nuint bytes, nuint alignment, out nuint address)
    {
        Debug.Assert(bytes != 0 && bytes % PageBytes == 0, "reserve takes whole system pages");
        Debug.Assert(nuint.IsPow2(alignment) && alignment >= PageBytes,
            "alignment is a power of two of at least a system page");
        address = 0;
        if (!Platform.Enter(OsCall.Reserve) || !Platform.Current.TryReserve(bytes, alignment, out address))
            return false;
        Reservations.Add(address, bytes);
        return true;
    }

    /// <inheritdoc cref="SystemContract.TryReserveForFiles"/>
    internal static bool TryReserveForFiles(nuint bytes, nuint fileBytes, nuint alignment, out nuint address)
    {
        Debug.Assert(bytes != 0 && bytes % SystemContract.FileUnitBytes == 0, "reserve takes whole units");
        Debug.Assert(fileBytes <= bytes && fileBytes % SystemContract.FileUnitBytes == 0, "the part is whole units");
        Debug.Assert(nuint.IsPow2(alignment) && alignment >= SystemContract.FileUnitBytes, "a power of two of units");
        address = 0;
        if (!Platform.Enter(OsCall.Reserve)
            || !Platform.Current.TryReserveForFiles(bytes, fileBytes, alignment, out address)) return false;
        Reservations.Add(address, bytes);
        return true;
    }

    /// <inheritdoc cref="SystemContract.TryReserveLow"/>
    internal static bool TryReserveLow(nuint bytes, out nuint address)
    {
        Debug.Assert(bytes != 0 && bytes % PageBytes == 0, "reserve takes whole system pages");
        address = 0;
        if (!Platform.Enter(OsCall.Reserve) || !Platform.Current.TryReserveLow(bytes, out address)) return false;
        Reservations.Add(address, bytes);
        return true;
    }

    /// <inheritdoc cref="SystemContract.TryCommit"/>
    internal static bool TryCommit(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Platform.Enter(OsCall.Commit) && Platform.Current.TryCommit(address, bytes);
    }

    /// <summary>
    /// Commits again what may have been purged, and what was never committed as commit is charged. Nothing to do on
    /// systems that do not charge it.
    /// </summary>
    internal static bool TryCommitToUse(nuint address, nuint bytes) =>
        !Platform.ChargesCommit || TryCommit(address, bytes);

    /// <inheritdoc cref="SystemContract.TryPurge"/>
    internal static bool TryPurge(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return MayPurge() && Platform.Enter(OsCall.Purge) && Platform.Current.TryPurge(address, bytes);
    }

    /// <inheritdoc cref="SystemContract.TryPurgeAll"/>
    internal static unsafe bool TryPurgeAll(AddressRange* ranges, int count)
    {
        for (int i = 0; i < count; i++) AssertRange(ranges[i].Address, ranges[i].Bytes);
        return MayPurge() && Platform.Enter(OsCall.Purge) && Platform.Current.TryPurgeAll(ranges, count);
    }

    // What is purged becomes inaccessible where commit is charged.
    private static bool MayPurge() => !Platform.ChargesCommit || ForeignReads.TryAwait();

    /// <inheritdoc cref="SystemContract.TryProtect"/>
    internal static bool TryProtect(nuint address, nuint bytes, bool accessible)
    {
        AssertRange(address, bytes);
        return Platform.Enter(OsCall.Protect) && Platform.Current.TryProtect(address, bytes, accessible);
    }

    /// <inheritdoc cref="SystemContract.TryDecommit"/>
    internal static bool TryDecommit(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Platform.Enter(OsCall.Decommit) && Platform.Current.TryDecommit(address, bytes);
    }

    /// <inheritdoc cref="SystemContract.TryMove"/>
    internal static bool TryMove(nuint source, nuint bytes, nuint target)
    {
        AssertRange(source, bytes);
        AssertRange(target, bytes);
        if (!Platform.Enter(OsCall.Move) || !Platform.Current.TryMove(source, bytes, target)) return false;
        SystemCounters.CountMoved(bytes);
        return true;
    }

    /// <inheritdoc cref="SystemContract.TryAdviseHuge"/>
    internal static bool TryAdviseHuge(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Platform.Enter(OsCall.AdviseHuge) && Platform.Current.TryAdviseHuge(address, bytes);
    }

    /// <inheritdoc cref="SystemContract.TryLock"/>
    internal static bool TryLock(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Platform.Enter(OsCall.Lock) && Platform.Current.TryLock(address, bytes);
    }

    /// <inheritdoc cref="SystemContract.TryUnlock"/>
    internal static bool TryUnlock(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Platform.Enter(OsCall.Unlock) && Platform.Current.TryUnlock(address, bytes);
    }

    /// <inheritdoc cref="SystemContract.TryBind"/>
    internal static bool TryBind(nuint address, nuint bytes, int systemNode)
    {
        AssertRange(address, bytes);
        return Platform.Enter(OsCall.Bind) && Platform.Current.TryBind(address, bytes, systemNode);
    }

    /// <inheritdoc cref="SystemContract.Release"/>
    internal static void Release(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        Platform.CountCall();
        Reservations.Remove(address);
        Platform.Current.Release(address, bytes);
    }

    /// <inheritdoc cref="SystemContract.TryReadResident"/>
    internal static unsafe bool TryReadResident(nuint address, nuint bytes, byte* resident)
    {
        AssertRange(address, bytes);
        return Platform.Enter(OsCall.ReadFigure) && Platform.Current.TryReadResident(address, bytes, resident);
    }

    /// <inheritdoc cref="SystemContract.TryCreateFile"/>
    internal static bool TryCreateFile(nuint bytes, out nint file)
    {
        file = -1;
        return Platform.Enter(OsCall.CreateFile) && Platform.Current.TryCreateFile(bytes, out file);
    }

    /// <inheritdoc cref="SystemContract.TryGrowFile"/>
    internal static bool TryGrowFile(nint file, nuint bytes)
    {
        Debug.Assert(bytes != 0 && bytes % PageBytes == 0, "a memory file is whole system pages");
        return Platform.Enter(OsCall.GrowFile) && Platform.Current.TryGrowFile(file, bytes);
    }

    /// <inheritdoc cref="SystemContract.TryPurgeFile"/>
    internal static bool TryPurgeFile(nint file, nuint offset, nuint bytes)
    {
        Debug.Assert(offset % PageBytes == 0 && bytes != 0 && bytes % PageBytes == 0, "the part is whole system pages");
        return Platform.Enter(OsCall.PurgeFile) && Platform.Current.TryPurgeFile(file, offset, bytes);
    }

    /// <inheritdoc cref="SystemContract.TryMapFile"/>
    internal static bool TryMapFile(nint file, nuint offset, nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Platform.Enter(OsCall.MapFile) && Platform.Current.TryMapFile(file, offset, address, bytes);
    }

    /// <inheritdoc cref="SystemContract.TryUnmapFile"/>
    internal static bool TryUnmapFile(nuint address, nuint bytes)
    {
        AssertRange(address, bytes);
        return Platform.Enter(OsCall.MapFile) && Platform.Current.TryUnmapFile(address, bytes);
    }

    /// <inheritdoc cref="SystemContract.CloseFile"/>
    internal static void CloseFile(nint file)
    {
        Platform.CountCall();
        Platform.Current.CloseFile(file);
    }

    [Conditional("DEBUG")]
    private static void AssertRange(nuint address, nuint bytes)
    {
        Debug.Assert(address != 0 && address % PageBytes == 0, "the range begins at a system page");
        Debug.Assert(bytes != 0 && bytes % PageBytes == 0, "the range is whole system pages");
    }
}
