using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <content> Limits and figures, by plain system calls into buffers on the stack: they are asked for where memory is
/// short. A file that is hidden, cannot be opened or says something else than expected makes the figure unknown.
/// </content>
internal sealed unsafe partial class LinuxSystem
{
    private const int OpenCloseOnExec = 0x80000; // O_RDONLY is 0

    // asm-generic/resource.h
    private const int ResourceFileBytes = 1, ResourceDataBytes = 2, ResourceLockedBytes = 8,
        ResourceAddressSpaceBytes = 9;

    // Fields of /proc/self/statm, in system pages.
    private const int SizeField = 0, ResidentField = 1, SharedField = 2;

    // More than any line of the files that are read, and than any path.
    private const int BufferBytes = 4096;

    internal override ulong? Read(SystemFigure figure) => figure switch
    {
        SystemFigure.AddressSpaceLimitBytes => LimitOf(ResourceAddressSpaceBytes),
        SystemFigure.AddressSpaceBytes => ReadStatm(SizeField) * PageBytes,
        SystemFigure.DataLimitBytes => LimitOf(ResourceDataBytes),
        SystemFigure.LockLimitBytes => LimitOf(ResourceLockedBytes),
        SystemFigure.MappingLimit => ReadNumber("/proc/sys/vm/max_map_count"u8),
        SystemFigure.AnonymousResidentBytes => AnonymousResidentBytes(),
        SystemFigure.PeakResidentBytes => PeakResidentBytes(),
        SystemFigure.LockedBytes => ReadKibibytes("/proc/self/status"u8, "VmLck:"u8),
        SystemFigure.SharedResidentBytes => ReadKibibytes("/proc/self/status"u8, "RssShmem:"u8),
        _ => null,
    };

    internal override bool TryReadResident(nuint address, nuint bytes, byte* resident) =>
        MInCore(address, bytes, resident) == 0;

    private static ulong? LimitOf(int resource)
    {
        ResourceLimit limit = default;
        return GetRLimit(resource, &limit) == 0 && limit.Soft != ulong.MaxValue ? limit.Soft : null;
    }

    private ulong? AnonymousResidentBytes()
    {
        byte* buffer = stackalloc byte[BufferBytes];
        SystemText line = ReadText("/proc/self/statm"u8, buffer, BufferBytes);
        if (line.NumberAt(ResidentField) is not { } resident || line.NumberAt(SharedField) is not { } shared)
            return null;
        return (resident - Math.Min(resident, shared)) * PageBytes;
    }

    // Not out of a file, so that it is known also where no file can be opened.
    private static ulong? PeakResidentBytes()
    {
        ResourceUsage usage = default;
        return GetRUsage(0, &usage) == 0 ? (ulong)usage.PeakKibibytes * 1024 : null; // of this process: RUSAGE_SELF
    }

    private ulong? ReadStatm(int field)
    {
        byte* buffer = stackalloc byte[BufferBytes];
        return ReadText("/proc/self/statm"u8, buffer, BufferBytes).NumberAt(field);
    }

    private ulong? ReadNumber(ReadOnlySpan<byte> path)
    {
        byte* buffer = stackalloc byte[BufferBytes];
        return ReadText(path, buffer, BufferBytes).Number();
    }

    // A line such as "MemAvailable:   21034272 kB".
    private ulong? ReadKibibytes(ReadOnlySpan<byte> path, ReadOnlySpan<byte> name)
    {
        byte* buffer = stackalloc byte[BufferBytes];
        return ReadText(path, buffer, BufferBytes).NumberAfter(name) * 1024;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct ResourceLimit
    {
        public ulong Soft;
        public ulong Hard;
    }

    /// <summary>The system's struct rusage: two times of day, the peak, and 13 numbers more.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 144)]
    private struct ResourceUsage
    {
        [FieldOffset(32)] public nint PeakKibibytes;
    }

    [LibraryImport("libc", EntryPoint = "getrusage")]
    private static partial int GetRUsage(int who, ResourceUsage* usage);
    [LibraryImport("libc", EntryPoint = "open")] private static partial int Open(byte* path, int flags);
    [LibraryImport("libc", EntryPoint = "read")] private static partial nint Read(int file, byte* buffer, nint length);
    [LibraryImport("libc", EntryPoint = "mincore")]
    private static partial int MInCore(nuint address, nuint length, byte* vector);
    [LibraryImport("libc", EntryPoint = "getrlimit")]
    private static partial int GetRLimit(int resource, ResourceLimit* limit);
}
