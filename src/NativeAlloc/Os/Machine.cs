namespace NativeAlloc.Os;

/// <summary>What this machine has and allows. Nothing here is hot.</summary>
internal static class Machine
{
    /// <summary>Bytes of physical memory, or of the container's limit where that is lower. Read once.</summary>
    internal static ulong MemoryBytes { get; } = ReadMemoryBytes();

    /// <summary>
    /// Bytes from which on the runtime calls memory scarce: nine tenths of the machine's or the container's, unless its
    /// configuration (<c>GCHighMemPercent</c>) says otherwise. Read once.
    /// </summary>
    internal static ulong HighLoadBytes { get; } = ReadHighLoadBytes();

    /// <summary>Bytes that the process may lock into memory; null where there is no limit.</summary>
    internal static ulong? LockLimitBytes => Read(SystemFigure.LockLimitBytes);

    /// <inheritdoc cref="SystemFigure.AnonymousResidentBytes"/>
    /// <returns>0 where the system does not say.</returns>
    internal static nuint AnonymousResidentBytes() => (nuint)(Read(SystemFigure.AnonymousResidentBytes) ?? 0);

    /// <inheritdoc cref="SystemContract.Read"/>
    internal static ulong? Read(SystemFigure figure) =>
        Platform.Enter(OsCall.ReadFigure) ? Platform.Current.Read(figure) : null;

    // Where the system does not say, the runtime may know: of a container it gives the managed heap's share.
    private static ulong ReadMemoryBytes()
    {
        ulong least = Math.Min(
            Read(SystemFigure.PhysicalBytes) ?? ulong.MaxValue,
            Read(SystemFigure.ContainerLimitBytes) ?? ulong.MaxValue);
        if (least != ulong.MaxValue) return least;
        long available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        const ulong AssumedBytes = 4UL << 30; // where nothing is known, a small machine
        return available > 0 ? (ulong)available : AssumedBytes;
    }

    private static ulong ReadHighLoadBytes()
    {
        long high = GC.GetGCMemoryInfo().HighMemoryLoadThresholdBytes;
        return high > 0 ? (ulong)high : MemoryBytes - MemoryBytes / 10;
    }
}
