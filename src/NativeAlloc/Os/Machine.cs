namespace NativeAlloc.Os;

/// <summary>What this machine has and allows. Nothing here is hot.</summary>
internal static class Machine
{
    /// <summary>Bytes of physical memory, or of the cgroup's limit where that is lower. Read once.</summary>
    internal static ulong MemoryBytes { get; } = ReadMemoryBytes();

    /// <summary>Bytes that the process may lock into memory; null where there is no limit.</summary>
    internal static ulong? LockLimitBytes => LinuxMemory.LockLimitBytes();

    // The runtime has already looked at physical memory, cgroup v1 and v2 and any hard limit of its own heap.
    private static ulong ReadMemoryBytes()
    {
        long available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        const ulong AssumedBytes = 4UL << 30; // where nothing is known, a small machine
        return available > 0 ? (ulong)available : AssumedBytes;
    }
}
