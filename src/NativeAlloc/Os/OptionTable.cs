using NativeAlloc.Common;

namespace NativeAlloc.Os;

/// <summary>
/// Every option, declared once. The options object, the names in <see cref="AppContext"/> and in the environment, the
/// checks and the page docs/options.md follow from it. Looking at the table reads no option: see <see cref="Options"/>.
/// </summary>
internal static class OptionTable
{
    /// <summary>
    /// 16 TiB, of which the tables of the linear region still are a small part of what a process has in addresses.
    /// </summary>
    internal const long LargestReserveBytes = 1L << 44;

    /// <summary>Nodes told apart, fake or real.</summary>
    internal const int LargestFakeNodes = 64;

    // 128 TiB: all the addresses that a process has, so no limit that could ever be reached.
    private const long AllAddresses = 1L << 47;

    private const long DayMilliseconds = 24L * 60 * 60 * 1000;

    internal static readonly Option DecayMilliseconds =
        new(nameof(DecayMilliseconds), "NATIVEALLOC_DECAY_MILLISECONDS", OptionUnit.Milliseconds, -1, DayMilliseconds)
        {
            Default = 1000,
            Meaning = "How long memory that nobody uses is kept for the next allocation before it goes back to the " +
            "system. 0: it goes back as soon as that can be done; -1: only when memory runs short or " +
            "`NativeAllocator.Trim` is called.",
        };

    internal static readonly Option DirtyCapBytes =
        new(nameof(DirtyCapBytes), "NATIVEALLOC_DIRTY_CAP_BYTES", OptionUnit.Bytes, 0, AllAddresses)
        {
            Default = null,
            DefaultText = "a 16th of the memory, from 64M to 1G",
            Meaning = "The most that is kept in free pages with memory behind them and in kept areas; what is beyond " +
            "goes back before its decay time.",
        };

    internal static readonly Option ResidentLimitBytes =
        new(nameof(ResidentLimitBytes), "NATIVEALLOC_RESIDENT_LIMIT_BYTES", OptionUnit.Bytes, 0, AllAddresses)
        {
            DefaultText = "0: derived from the memory of the machine or of the container",
            Meaning =
                "A soft limit for what the allocator keeps resident. Near it everything that can be given back is; " +
            "beyond it allocations fail with an `OutOfMemoryException`.",
        };

    internal static readonly Option ReserveBytes =
        new(nameof(ReserveBytes), "NATIVEALLOC_RESERVE_BYTES", OptionUnit.Bytes, 0, LargestReserveBytes)
        {
            DefaultText = "0: four times the memory, from 16G to 16384G",
            Meaning = "Address space of the linear region, which all pages and small blocks lie in; rounded up to a " +
            "power of two of at least 64M. Addresses cost no memory; where the system refuses so many, it is a half, " +
            "a quarter and so on of them.",
        };

    internal static readonly Option VmallocReserveBytes =
        new(nameof(VmallocReserveBytes), "NATIVEALLOC_VMALLOC_RESERVE_BYTES", OptionUnit.Bytes, 0, LargestReserveBytes)
        {
            DefaultText = "0: derived from the memory, 4 TiB at least on Unix systems",
            Meaning = "Address space of the areas of `Vmalloc`, rounded up to a power of two of at least 4M.",
        };

    internal static readonly Option FakeNodes =
        new(nameof(FakeNodes), "NATIVEALLOC_FAKE_NODES", OptionUnit.Count, 0, LargestFakeNodes)
        {
            DefaultText = "0: the nodes of the machine",
            Meaning = "Cuts the machine into that many NUMA nodes, for tests, as `numa=fake=N` of Linux does.",
        };

    internal static readonly Option HugePages =
        new(nameof(HugePages), "NATIVEALLOC_HUGE_PAGES", OptionUnit.Choice, 0, 2)
        {
            Choices = ["Auto", "Never", "Always"],
            Meaning =
                "When areas of 8 MiB and more get huge pages of the system. Auto: from 64 MiB on, and where freed " +
            "areas had been written throughout; Never: not at all; Always: from their first touch on.",
        };

    internal static readonly Option Check =
        new(nameof(Check), "NATIVEALLOC_CHECK", OptionUnit.Count, 0, 1)
        {
            Meaning = "1: check mode, for finding mistakes. Blocks have red zones and the stack that allocated them, " +
            "freed blocks are poisoned and lie in a quarantine, each wrong call is an exception, and at exit " +
            "standard error gets what was not freed. docs/safety.md says which blocks it leaves out.",
        };

    internal static readonly Option Guard =
        new(nameof(Guard), "NATIVEALLOC_GUARD", OptionUnit.Count, 0, 1_000_000_000)
        {
            Meaning = "Guard sampling: about one in so many small blocks, and no more than fifty in a second, " +
            "gets a page of its own between two that cannot be touched. 0: none. See docs/safety.md.",
        };

    internal static readonly Option Leaks =
        new(nameof(Leaks), "NATIVEALLOC_LEAKS", OptionUnit.Count, 0, 1)
        {
            Meaning = "1: the profiler runs from the beginning, with files and lines, and a report of what is still " +
            "live is written to standard error when the process ends.",
        };

    internal static readonly Option NativeHeap =
        new(nameof(NativeHeap), "NATIVEALLOC_NATIVE_HEAP", OptionUnit.Count, 0, 1)
        {
            Meaning = "1: reports also have the figures of the C library's own heap, and what that keeps free goes " +
            "back to the system when this library's memory does, and in every tenth period meanwhile " +
            "(`malloc_trim`). It takes Linux with glibc.",
        };

    /// <summary>All of them, in the order of the docs.</summary>
    internal static readonly Option[] All =
    [
        DecayMilliseconds, DirtyCapBytes, ResidentLimitBytes, ReserveBytes, VmallocReserveBytes, FakeNodes, HugePages,
        Check, Guard, Leaks, NativeHeap,
    ];
}
