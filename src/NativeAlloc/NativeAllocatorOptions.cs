using NativeAlloc.Common;
using NativeAlloc.Os;

namespace NativeAlloc;

/// <summary>
/// How the allocator is to work, for <see cref="NativeAllocator.Configure"/>. A property that is null leaves its option
/// to <see cref="AppContext"/> (<c>NativeAlloc.Name</c>), then to the environment (<c>NATIVEALLOC_NAME</c>), then to
/// the default; docs/options.md lists all of it.
/// </summary>
public sealed class NativeAllocatorOptions
{
    /// <summary>
    /// Milliseconds for which memory that nobody uses is kept before it goes back to the system: up to a day, 1000 by
    /// default; 0 for as soon as possible, -1 for never.
    /// </summary>
    public int? DecayMilliseconds { get; set; }

    /// <summary>
    /// The most bytes that are kept in free pages with memory behind them and in kept areas; by default a 16th of the
    /// memory, from 64 MiB to 1 GiB.
    /// </summary>
    public nuint? DirtyCapBytes { get; set; }

    /// <summary>
    /// A soft limit, in bytes, for what the allocator keeps resident; 0, the default, derives it from the memory of the
    /// machine or of the container (cgroup).
    /// </summary>
    public nuint? ResidentLimitBytes { get; set; }

    /// <summary>
    /// Bytes of address space for pages and small blocks, rounded up to a power of two of at least 64 MiB, up to 16
    /// TiB; they cost no memory. 0, the default, is four times the memory.
    /// </summary>
    public nuint? ReserveBytes { get; set; }

    /// <summary>
    /// Bytes of address space for virtually contiguous areas (<c>vmalloc</c>), up to 16 TiB; 0, the default, derives it
    /// from the memory.
    /// </summary>
    public nuint? VmallocReserveBytes { get; set; }

    /// <summary>
    /// NUMA nodes to cut the machine into, for tests (Linux' <c>numa=fake=N</c>), up to 64; 0, the default, for those
    /// that it has.
    /// </summary>
    public int? FakeNodes { get; set; }

    /// <summary>Whether to ask for huge pages; <see cref="HugePagePolicy.Auto"/> by default.</summary>
    public HugePagePolicy? HugePages { get; set; }

    /// <summary>
    /// 1 for check mode, which finds mistakes in the use of memory and is slow; 0, the default, for none. See
    /// docs/safety.md.
    /// </summary>
    public int? Check { get; set; }

    /// <summary>
    /// Guard sampling: one in so many small blocks gets a page of its own between two that cannot be touched; 0, the
    /// default, for none. See docs/safety.md.
    /// </summary>
    public int? Guard { get; set; }

    /// <summary>
    /// 1: the profiler runs from the beginning, and a report of leaks is written to standard error when the process
    /// ends; 0, the default: neither.
    /// </summary>
    public int? Leaks { get; set; }

    /// <summary>
    /// 1: reports also have the figures of the C library's own heap, and what that keeps free goes back to the system
    /// when this library's memory does; 0, the default: neither. See <see cref="NativeHeapReport"/>.
    /// </summary>
    public int? NativeHeap { get; set; }

    /// <summary>The properties in the order of the table, and checked against it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is not within its option's range.</exception>
    internal long?[] ToValues()
    {
        long?[] values = new long?[OptionTable.All.Length];
        Set(OptionTable.DecayMilliseconds, DecayMilliseconds);
        Set(OptionTable.DirtyCapBytes, DirtyCapBytes);
        Set(OptionTable.ResidentLimitBytes, ResidentLimitBytes);
        Set(OptionTable.ReserveBytes, ReserveBytes);
        Set(OptionTable.VmallocReserveBytes, VmallocReserveBytes);
        Set(OptionTable.FakeNodes, FakeNodes);
        Set(OptionTable.HugePages, (int?)HugePages);
        Set(OptionTable.Check, Check);
        Set(OptionTable.Guard, Guard);
        Set(OptionTable.Leaks, Leaks);
        Set(OptionTable.NativeHeap, NativeHeap);
        return values;

        void Set(Option option, Int128? value)
        {
            if (value is not { } number) return;
            if (!option.Allows(number)) ThrowHelper.ThrowOptionOutOfRange(option.Name, number, option.Range);
            values[GivenOptions.IndexOf(option)] = (long)number;
        }
    }
}
