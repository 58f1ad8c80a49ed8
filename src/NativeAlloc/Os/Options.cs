using NativeAlloc.Common;

namespace NativeAlloc.Os;

/// <summary>
/// The options as they are in this process, constants to the JIT: what was given to <c>NativeAllocator.Configure</c>,
/// else what <see cref="AppContext"/> says, else the environment, else the default. All are read when the first is
/// asked for, and that is the moment from which on the allocator counts as used.
/// </summary>
/// <remarks>
/// A wrong value throws nothing here: an exception of a static constructor reaches the user wrapped in others, whose
/// messages say only which type could not be made. The default holds instead, and every way to memory asks
/// <see cref="ThrowIfWrong"/> first.
/// </remarks>
internal static class Options
{
    /// <summary>-1: never; 0: at once.</summary>
    internal static readonly int DecayMilliseconds;

    internal static readonly nuint DirtyCapBytes;

    /// <summary>0: to be derived.</summary>
    internal static readonly nuint ResidentLimitBytes;

    /// <summary>0: to be derived.</summary>
    internal static readonly nuint ReserveBytes;

    /// <summary>0: to be derived.</summary>
    internal static readonly nuint VmallocReserveBytes;

    /// <summary>0: none.</summary>
    internal static readonly int FakeNodes;

    /// <summary>Whether huge pages are asked for.</summary>
    internal static readonly bool HugePages;

    /// <summary>Check mode.</summary>
    internal static readonly bool Check;

    /// <summary>One block in so many is guarded; 0 for none.</summary>
    internal static readonly int Guard;

    /// <summary>Whether a report of leaks is wanted at the end of the process.</summary>
    internal static readonly bool Leaks;

    /// <summary>Whether the C library's own heap is reported and trimmed, too.</summary>
    internal static readonly bool NativeHeap;

    private const ulong DirtyShareOfMemory = 16, SmallestDirtyCapBytes = 64UL << 20, LargestDirtyCapBytes = 1UL << 30;

    private static readonly bool s_alwaysHugePages;

    private static readonly string? s_error;

    static Options()
    {
        long?[] given = GivenOptions.Take();
        string? error = null;
        DecayMilliseconds = (int)Read(OptionTable.DecayMilliseconds)!;
        DirtyCapBytes = (nuint)((ulong?)Read(OptionTable.DirtyCapBytes)
            ?? Math.Clamp(Machine.MemoryBytes / DirtyShareOfMemory, SmallestDirtyCapBytes, LargestDirtyCapBytes));
        ResidentLimitBytes = (nuint)Read(OptionTable.ResidentLimitBytes)!;
        ReserveBytes = (nuint)Read(OptionTable.ReserveBytes)!;
        VmallocReserveBytes = (nuint)Read(OptionTable.VmallocReserveBytes)!;
        FakeNodes = (int)Read(OptionTable.FakeNodes)!;
        long hugePages = Read(OptionTable.HugePages)!.Value;
        HugePages = hugePages != 1;
        s_alwaysHugePages = hugePages == 2;
        Check = Read(OptionTable.Check) == 1;
        Guard = (int)Read(OptionTable.Guard)!;
        Leaks = Read(OptionTable.Leaks) == 1;
        NativeHeap = Read(OptionTable.NativeHeap) == 1;
        s_error = error;

        long? Read(Option option) => given[GivenOptions.IndexOf(option)] ?? option.Read(ref error);
    }

    /// <summary>Whether huge pages are asked for where they are, and for all areas that are large enough.</summary>
    internal static bool AlwaysHugePages => s_alwaysHugePages;

    /// <summary>Whether the surroundings set an option to something that it cannot be.</summary>
    internal static bool IsWrong => s_error != null;

    /// <summary>Throws where an option was set to something that it cannot be.</summary>
    /// <exception cref="InvalidOperationException">Names the source, the value and the range.</exception>
    internal static void ThrowIfWrong()
    {
        if (s_error != null) ThrowHelper.ThrowWrongOption(s_error);
    }
}
