namespace NativeAlloc.Os;

/// <summary>What this machine has and allows. Nothing here is hot.</summary>
internal static class Machine
{
    /// <summary>0 before the runtime was asked. Any thread, by Volatile.</summary>
    private static ulong s_runtimesMemoryBytes;

    /// <summary>What the system said last; 0 where it never said anything. Any thread, by Volatile.</summary>
    private static ulong s_systemsMemoryBytes;

    /// <summary>
    /// Bytes of physical memory, or of a cgroup's limit where that is lower. Read once; <see cref="ReadLoad"/> sees a
    /// limit that changes.
    /// </summary>
    internal static ulong MemoryBytes { get; } = ReadLoad().TotalBytes;

    /// <summary>Bytes that the process may lock into memory; null where there is no limit.</summary>
    internal static ulong? LockLimitBytes => Read(SystemFigure.LockLimitBytes);

    /// <inheritdoc cref="SystemFigure.LockedBytes"/>
    internal static ulong? LockedBytes => Read(SystemFigure.LockedBytes);

    /// <inheritdoc cref="SystemFigure.AnonymousResidentBytes"/>
    /// <returns>
    /// Where the system does not say, as its files are hidden or the process has no descriptor left: the most that it
    /// ever was, with all else. A limit holds then, though sooner than it should. 0 where that is not known either.
    /// </returns>
    internal static nuint AnonymousResidentBytes() =>
        (nuint)(Read(SystemFigure.AnonymousResidentBytes) ?? Read(SystemFigure.PeakResidentBytes) ?? 0);

    /// <inheritdoc cref="SystemContract.Read"/>
    internal static ulong? Read(SystemFigure figure) =>
        Platform.Enter(OsCall.ReadFigure) ? Platform.Current.Read(figure) : null;

    /// <inheritdoc cref="SystemContract.ReadLoad"/>
    /// <remarks>
    /// Where the system does not say how much memory it has, it is what it said before: the process may have no
    /// descriptor left. Managed memory is used only where it never said anything.
    /// </remarks>
    internal static MemoryLoad ReadLoad()
    {
        MemoryLoad load = Platform.Enter(OsCall.ReadFigure) ? Platform.Current.ReadLoad() : default;
        if (load.TotalBytes != 0)
        {
            Volatile.Write(ref s_systemsMemoryBytes, load.TotalBytes);
            return load;
        }
        ulong known = Volatile.Read(ref s_systemsMemoryBytes);
        return new MemoryLoad(known != 0 ? known : ReadRuntimesMemoryBytes(), IsScarce: false);
    }

    // What the runtime has found, once: it is a share of a container's memory, or the limit of the managed heap.
    private static ulong ReadRuntimesMemoryBytes()
    {
        const ulong AssumedBytes = 4UL << 30; // where nothing is known, a small machine
        ulong known = Volatile.Read(ref s_runtimesMemoryBytes);
        if (known != 0) return known;
        long available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        known = available > 0 ? (ulong)available : AssumedBytes;
        Volatile.Write(ref s_runtimesMemoryBytes, known);
        return known;
    }
}
