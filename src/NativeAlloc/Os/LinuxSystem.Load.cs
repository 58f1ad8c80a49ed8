namespace NativeAlloc.Os;

/// <content> The memory of the machine (<c>/proc/meminfo</c>) and of the cgroups around the process, version 1 or 2.
/// Only plain system calls and the stack: the decay's thread asks once per period, also when the managed heap is full.
/// </content>
internal sealed unsafe partial class LinuxSystem
{
    private const int TextBytes = 8192, PathBytes = 1024;

    // A limit beyond this is none: version 1 writes the largest number of whole pages.
    private const ulong NoLimit = 1UL << 60;

    // Where a file is missing, what it would say is left out.
    internal override MemoryLoad ReadLoad()
    {
        const ulong Kilo = 1024; // the unit of the file
        byte* text = stackalloc byte[TextBytes];
        MemoryLoad load = default;
        SystemText lines = ReadText("/proc/meminfo"u8, text, TextBytes);
        ulong total = (lines.NumberAfter("MemTotal:"u8) ?? 0) * Kilo;
        ulong available = (lines.NumberAfter("MemAvailable:"u8) ?? 0) * Kilo;
        if (total != 0) load = load.With(total, total - Math.Min(total, available));

        byte* groups = stackalloc byte[TextBytes];
        for (SystemText rest = ReadText("/proc/self/cgroup"u8, groups, TextBytes); !rest.IsEmpty;)
        {
            // "number:controllers:path"; version 2 has number 0 and no controllers.
            SystemText path = SystemText.TakeUntil('\n', ref rest);
            SystemText.TakeUntil(':', ref path);
            SystemText controllers = SystemText.TakeUntil(':', ref path);
            if (path.IsEmpty) continue;
            bool isSecond = controllers.IsEmpty;
            if (isSecond || controllers.HasWord("memory"u8)) load = ReadGroups(load, path, isSecond, text);
        }
        return load;
    }

    // A group and all around it. In a container the path may be the host's: then only the uppermost, which is the
    // container's own, is found.
    private MemoryLoad ReadGroups(MemoryLoad load, SystemText path, bool isSecond, byte* text)
    {
        byte* folder = stackalloc byte[PathBytes];
        SystemPath whole = new(folder, PathBytes);
        whole.Append(_root);
        whole.Append(isSecond ? "/sys/fs/cgroup"u8 : "/sys/fs/cgroup/memory"u8);
        int least = whole.Length;
        whole.Append(path);
        if (!whole.IsWhole) return load;
        while (true)
        {
            while (whole.Length > least && folder[whole.Length - 1] == (byte)'/') whole.Shorten(whole.Length - 1);
            load = ReadGroup(load, whole, isSecond, text);
            if (whole.Length <= least) return load;
            while (whole.Length > least && folder[whole.Length - 1] != (byte)'/') whole.Shorten(whole.Length - 1);
        }
    }

    private static MemoryLoad ReadGroup(MemoryLoad load, SystemPath folder, bool isSecond, byte* text)
    {
        ulong limit = First(folder, isSecond ? "/memory.max"u8 : "/memory.limit_in_bytes"u8, text);
        if (limit is 0 or >= NoLimit) return load; // "max", or no such file
        ulong used = First(folder, isSecond ? "/memory.current"u8 : "/memory.usage_in_bytes"u8, text);
        // The group is charged with files that the system drops when it needs their memory.
        SystemText figures = ReadIn(folder, "/memory.stat"u8, text);
        ulong files = figures.NumberAfter(isSecond ? "inactive_file"u8 : "total_inactive_file"u8) ?? 0;
        return load.With(limit, used - Math.Min(used, files));
    }

    private static ulong First(SystemPath folder, ReadOnlySpan<byte> name, byte* text) =>
        ReadIn(folder, name, text).Number() ?? 0;

    // The folder is a copy: the caller's goes on without the name.
    private static SystemText ReadIn(SystemPath folder, ReadOnlySpan<byte> name, byte* text)
    {
        int length = folder.Length;
        folder.Append(name);
        SystemText read = folder.IsWhole ? ReadWhole(folder.Name, text, TextBytes) : default;
        folder.Shorten(length);
        return read;
    }

    // As much of a file as the buffer holds; nothing where it cannot be read.
    private SystemText ReadText(ReadOnlySpan<byte> name, byte* text, int capacity)
    {
        byte* buffer = stackalloc byte[PathBytes];
        SystemPath path = new(buffer, PathBytes);
        path.Append(_root);
        path.Append(name);
        return path.IsWhole ? ReadWhole(path.Name, text, capacity) : default;
    }

    private static SystemText ReadWhole(byte* path, byte* text, int capacity)
    {
        int file = Open(path, OpenCloseOnExec);
        if (file < 0) return default;
        nint bytes = Read(file, text, capacity);
        Close(file);
        return new SystemText(text, (int)bytes);
    }
}
