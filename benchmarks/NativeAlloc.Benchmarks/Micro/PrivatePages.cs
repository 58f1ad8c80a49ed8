using System.ComponentModel;
using System.Runtime.InteropServices;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>Which pages faults may bring.</summary>
internal enum PageMark
{
    /// <summary>Whatever the system's setting says.</summary>
    None,

    /// <summary>Huge ones where they fit.</summary>
    Huge,

    /// <summary>Small ones only.</summary>
    Small,
}

/// <summary>
/// Private anonymous memory and what the kernel can be told about it: the means that an allocator has to grow and to
/// shrink with. Unlike <see cref="Measuring.MappedPages"/> nothing is behind it until it is touched.
/// </summary>
internal static unsafe partial class PrivatePages
{
    /// <summary>The kernel's page on the systems that this runs on: what one fault brings.</summary>
    public const nuint SmallPageBytes = 4096;

    /// <summary>
    /// What a transparent huge page is with small pages of 4 KiB, and so the alignment of every mapping.
    /// </summary>
    public const nuint HugePageBytes = 2 << 20;

    private const int ProtReadWrite = 1 | 2;
    private const int MapPrivate = 0x02;
    private const int MapAnonymous = 0x20;
    private const int MapNoReserve = 0x4000;

    private const int AdviseDontNeed = 4;
    private const int AdviseHugePage = 14;
    private const int AdviseNoHugePage = 15;
    private const int AdvisePopulateWrite = 23; // since Linux 5.14
    private const int AdviseCollapse = 25; // since Linux 6.1

    /// <summary>New addresses, at a multiple of a huge page, with nothing behind them.</summary>
    public static byte* Map(nuint bytes, PageMark mark)
    {
        nuint whole = bytes + HugePageBytes;
        nuint start = (nuint)MMap(null, whole, ProtReadWrite, MapPrivate | MapAnonymous | MapNoReserve, -1, 0);
        if (start == nuint.MaxValue)
            throw Failure($"mapping {whole} bytes");

        nuint address = (start + HugePageBytes - 1) & ~(HugePageBytes - 1);
        nuint front = address - start;
        if (front != 0)
            Unmap((byte*)start, front);
        Unmap((byte*)address + bytes, HugePageBytes - front);
        Mark((byte*)address, bytes, mark);
        return (byte*)address;
    }

    public static void Unmap(byte* address, nuint bytes) => _ = MUnmap(address, bytes);

    public static void Mark(byte* address, nuint bytes, PageMark mark)
    {
        if (mark != PageMark.None)
            Advise(address, bytes, mark == PageMark.Huge ? AdviseHugePage : AdviseNoHugePage);
    }

    /// <summary>Makes huge pages of what is there, and of what is missing between it, at once.</summary>
    public static void Collapse(byte* address, nuint bytes) => Advise(address, bytes, AdviseCollapse);

    /// <summary>Has the kernel put memory behind a range at once, as if every page of it had been written to.</summary>
    public static void Populate(byte* address, nuint bytes) => Advise(address, bytes, AdvisePopulateWrite);

    /// <summary>Gives back the memory behind a range, which reads as zero from then on.</summary>
    public static void GiveBack(byte* address, nuint bytes) => Advise(address, bytes, AdviseDontNeed);

    private static void Advise(byte* address, nuint bytes, int advice)
    {
        if (MAdvise(address, bytes, advice) != 0)
            throw Failure($"madvise({advice}) of {bytes} bytes");
    }

    private static Win32Exception Failure(string what) => new(Marshal.GetLastPInvokeError(), $"{what} failed");

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial void* MMap(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int MUnmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    private static partial int MAdvise(void* address, nuint length, int advice);
}
