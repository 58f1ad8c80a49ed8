using System.Buffers.Text;
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
        SystemFigure.MappingLimit => ReadNumber("/proc/sys/vm/max_map_count\0"u8),
        SystemFigure.AnonymousResidentBytes => AnonymousResidentBytes(),
        SystemFigure.PeakResidentBytes => PeakResidentBytes(),
        SystemFigure.LockedBytes => ReadKibibytes("/proc/self/status\0"u8, "VmLck:"u8),
        SystemFigure.SharedResidentBytes => ReadKibibytes("/proc/self/status\0"u8, "RssShmem:"u8),
        _ => null,
    };

    internal override bool TryReadResident(nuint address, nuint bytes, byte* resident) =>
        MInCore(address, bytes, resident) == 0;

    /// <summary>The so-manieth number of a line, from 0; null where there is none.</summary>
    internal static ulong? NumberAt(ReadOnlySpan<byte> line, int field)
    {
        for (; field > 0; field--)
        {
            int space = line.IndexOf((byte)' ');
            if (space < 0) return null;
            line = line[(space + 1)..];
        }
        return Number(line);
    }

    private static ulong? LimitOf(int resource)
    {
        ResourceLimit limit = default;
        return GetRLimit(resource, &limit) == 0 && limit.Soft != ulong.MaxValue ? limit.Soft : null;
    }

    private ulong? AnonymousResidentBytes()
    {
        byte* buffer = stackalloc byte[BufferBytes];
        ReadOnlySpan<byte> line = ReadFile("/proc/self/statm\0"u8, buffer);
        if (NumberAt(line, ResidentField) is not { } resident || NumberAt(line, SharedField) is not { } shared)
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
        return NumberAt(ReadFile("/proc/self/statm\0"u8, buffer), field);
    }

    private ulong? ReadNumber(ReadOnlySpan<byte> path)
    {
        byte* buffer = stackalloc byte[BufferBytes];
        return Number(ReadFile(path, buffer));
    }

    // A line such as "MemAvailable:   21034272 kB".
    private ulong? ReadKibibytes(ReadOnlySpan<byte> path, ReadOnlySpan<byte> name)
    {
        byte* buffer = stackalloc byte[BufferBytes];
        ReadOnlySpan<byte> text = ReadFile(path, buffer);
        int at = text.IndexOf(name);
        return at < 0 ? null : Number(text[(at + name.Length)..]) * 1024;
    }

    // The number that begins a text after spaces; null for "max" and for nonsense.
    private static ulong? Number(ReadOnlySpan<byte> text)
    {
        while (!text.IsEmpty && text[0] is (byte)' ' or (byte)'\t') text = text[1..];
        return Utf8Parser.TryParse(text, out ulong number, out _) ? number : null;
    }

    // As much of a file as the buffer holds; nothing where it cannot be read. The path ends with a zero.
    private ReadOnlySpan<byte> ReadFile(ReadOnlySpan<byte> path, byte* buffer)
    {
        Span<byte> whole = stackalloc byte[_root.Length + path.Length];
        new ReadOnlySpan<byte>(_root).CopyTo(whole);
        path.CopyTo(whole[_root.Length..]);
        int file;
        fixed (byte* name = whole) file = Open(name, OpenCloseOnExec);
        if (file < 0) return [];
        nint length = Read(file, buffer, BufferBytes);
        Close(file);
        return new ReadOnlySpan<byte>(buffer, (int)Math.Max(length, 0));
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
