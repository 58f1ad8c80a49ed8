namespace NativeAlloc.Os;

/// <summary>
/// How much memory the machine or the container has for the process, and whether it is nearly used up.
/// </summary>
/// <param name="TotalBytes">Physical memory, or the smallest limit of a cgroup around the process; 0 where the system
/// does not say.</param>
/// <param name="IsScarce">The machine, or one of these cgroups, has less left than <see cref="ReserveOf"/>
/// says.</param>
internal readonly record struct MemoryLoad(ulong TotalBytes, bool IsScarce)
{
    private const ulong ReserveShare = 10, LargestReserveBytes = 8UL << 30;

    /// <summary>
    /// What should be left of so much memory: a tenth, as the runtime's own threshold has it, and no more than 8 GiB,
    /// which are enough for the system however large the machine is.
    /// </summary>
    internal static ulong ReserveOf(ulong totalBytes) => Math.Min(totalBytes / ReserveShare, LargestReserveBytes);

    /// <summary>
    /// The load of a place that has a total and uses a part of it, together with that of the places around.
    /// </summary>
    internal MemoryLoad With(ulong totalBytes, ulong usedBytes)
    {
        bool isScarce = usedBytes >= totalBytes - ReserveOf(totalBytes);
        return new MemoryLoad(TotalBytes == 0 ? totalBytes : Math.Min(TotalBytes, totalBytes), IsScarce || isScarce);
    }
}
