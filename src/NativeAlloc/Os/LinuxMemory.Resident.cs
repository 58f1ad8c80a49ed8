using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <content>What the process has in memory, as <c>/proc/self/statm</c> says: size, resident and shared pages, and more. By plain system calls, as it is asked for where memory is short.</content>
internal static unsafe partial class LinuxMemory
{
    private const int OpenCloseOnExec = 0x80000; // O_RDONLY is 0
    private const int ResidentField = 1, SharedField = 2;

    /// <summary>Resident bytes less those of files and shared memory; 0 where the system does not say.</summary>
    internal static nuint AnonymousResidentBytes()
    {
        const int TextBytes = 128;
        byte* text = stackalloc byte[TextBytes];
        int file;
        fixed (byte* path = "/proc/self/statm\0"u8) file = Open(path, OpenCloseOnExec);
        if (file < 0) return 0;
        nint length = Read(file, text, TextBytes);
        Close(file);
        ReadOnlySpan<byte> line = new(text, (int)Math.Max(length, 0));
        nuint resident = NumberAt(line, ResidentField), shared = NumberAt(line, SharedField);
        return (resident - Math.Min(resident, shared)) * VirtualMemory.PageBytes;
    }

    /// <summary>The so-manieth number of a line, from 0; 0 where there is none.</summary>
    internal static nuint NumberAt(ReadOnlySpan<byte> line, int field)
    {
        int at = 0;
        for (; field > 0 && at < line.Length; at++)
            if (line[at] == ' ') field--;
        nuint number = 0;
        for (; field == 0 && at < line.Length && char.IsAsciiDigit((char)line[at]); at++) number = number * 10 + (nuint)(line[at] - '0');
        return number;
    }

    [LibraryImport("libc", EntryPoint = "open")] private static partial int Open(byte* path, int flags);
    [LibraryImport("libc", EntryPoint = "read")] private static partial nint Read(int file, byte* buffer, nint length);
}
