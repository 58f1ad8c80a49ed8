namespace NativeAlloc.Os;

/// <summary>What this machine has and allows. Nothing here is hot.</summary>
internal static class Machine
{
    /// <summary>0 before the runtime was asked. Any thread.</summary>
    private static ulong s_runtimesMemoryBytes;

    /// <summary>Bytes of physical memory, or of a cgroup's limit where that is lower. Read once; <see cref="ReadLoad"/> sees a limit that changes.</summary>
    internal static ulong MemoryBytes { get; } = ReadLoad().TotalBytes;

    /// <summary>Bytes that the process may lock into memory; null where there is no limit.</summary>
    internal static ulong? LockLimitBytes => LinuxMemory.LockLimitBytes();

    /// <summary>
    /// Bytes of the process that are in memory and that only it can give back: not those of files, which the system drops when it needs them. 0 where the system does not say. A few
    /// system calls, without managed memory.
    /// </summary>
    internal static nuint AnonymousResidentBytes() => OperatingSystem.IsLinux() ? LinuxMemory.AnonymousResidentBytes() : 0;

    /// <summary>
    /// Looks at the memory of the machine and the container at this moment, whatever share of it the managed heap may have. Some ten to forty
    /// system calls; managed memory only where the system does not say how much it has.
    /// </summary>
    internal static MemoryLoad ReadLoad()
    {
        MemoryLoad load = OperatingSystem.IsLinux() ? LinuxMemory.ReadLoad(default) : default;
        return load.TotalBytes != 0 ? load : new MemoryLoad(ReadRuntimesMemoryBytes(), IsScarce: false);
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
