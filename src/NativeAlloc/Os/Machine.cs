namespace NativeAlloc.Os;

/// <summary>What this machine has and allows. Nothing here is hot.</summary>
internal static class Machine
{
    /// <summary>Bytes of physical memory, or of the cgroup's limit where that is lower. Read once.</summary>
    internal static ulong MemoryBytes { get; } = ReadMemoryBytes();

    /// <summary>
    /// Bytes from which on the runtime calls memory scarce: nine tenths of the machine's or the container's, unless its configuration (<c>GCHighMemPercent</c>) says otherwise. Read once.
    /// </summary>
    /// <remarks>In a container <see cref="MemoryBytes"/> is what the managed heap may have of it, three quarters; this is of the whole.</remarks>
    internal static ulong HighLoadBytes { get; } = ReadHighLoadBytes();

    /// <summary>Bytes that the process may lock into memory; null where there is no limit.</summary>
    internal static ulong? LockLimitBytes => LinuxMemory.LockLimitBytes();

    /// <summary>
    /// Bytes of the process that are in memory and that only it can give back: not those of files, which the system drops when it needs them. 0 where the system does not say. A few
    /// system calls, without managed memory.
    /// </summary>
    internal static nuint AnonymousResidentBytes() => OperatingSystem.IsLinux() ? LinuxMemory.AnonymousResidentBytes() : 0;

    // The runtime has already looked at physical memory, cgroup v1 and v2 and any hard limit of its own heap.
    private static ulong ReadMemoryBytes()
    {
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
