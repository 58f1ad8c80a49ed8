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
        ReadOnlySpan<byte> line = new(text, ReadFile("/proc/self/statm\0"u8, text, TextBytes));
        nuint resident = NumberAt(line, ResidentField), shared = NumberAt(line, SharedField);
        return (resident - Math.Min(resident, shared)) * VirtualMemory.PageBytes;
    }

    /// <summary>
    /// The system's number of the only node that has memory; 0 where the system has no nodes, -1 where there are several. By plain
    /// system calls: classes for files would be the greater part of what the first allocation of a process costs.
    /// </summary>
    internal static int OnlyNode()
    {
        const int TextBytes = 16;
        byte* text = stackalloc byte[TextBytes];
        int length = ReadFile("/sys/devices/system/node/has_memory\0"u8, text, TextBytes), node = 0;
        for (int i = 0; i < length && text[i] != '\n'; i++)
        {
            if (i == MostNodeDigits || text[i] < '0' || text[i] > '9') return -1;
            node = node * 10 + (text[i] - '0');
        }
        return node;
    }

    private const int MostNodeDigits = 4;

    // Reads the beginning of a file; returns how many bytes, 0 where there is none.
    private static int ReadFile(ReadOnlySpan<byte> path, byte* text, int textBytes)
    {
        int file;
        fixed (byte* pathPointer = path) file = Open(pathPointer, OpenCloseOnExec);
        if (file < 0) return 0;
        nint length = Read(file, text, textBytes);
        Close(file);
        return (int)Math.Max(length, 0);
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
