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
        ReadOnlySpan<byte> root = _root;
        const ulong Kilo = 1024; // the unit of the file
        byte* text = stackalloc byte[TextBytes];
        MemoryLoad load = default;
        ReadOnlySpan<byte> lines = ReadText(root, "/proc/meminfo"u8, text);
        ulong total = NumberAfter(lines, "MemTotal:"u8) * Kilo;
        ulong available = NumberAfter(lines, "MemAvailable:"u8) * Kilo;
        if (total != 0) load = load.With(total, total - Math.Min(total, available));

        byte* groups = stackalloc byte[TextBytes];
        for (ReadOnlySpan<byte> rest = ReadText(root, "/proc/self/cgroup"u8, groups); !rest.IsEmpty;)
        {
            ReadOnlySpan<byte> line = TakeLine(ref rest);
            // "number:controllers:path"; version 2 has number 0 and no controllers.
            int first = line.IndexOf((byte)':'), second = first < 0 ? -1 : line[(first + 1)..].IndexOf((byte)':');
            if (second < 0) continue;
            ReadOnlySpan<byte> controllers = line.Slice(first + 1, second), path = line[(first + second + 2)..];
            bool isSecond = controllers.IsEmpty;
            if (!isSecond && !Contains(controllers, "memory"u8)) continue;
            ReadOnlySpan<byte> mount = isSecond ? "/sys/fs/cgroup"u8 : "/sys/fs/cgroup/memory"u8;
            load = ReadGroups(load, root, mount, path, isSecond, text);
        }
        return load;
    }

    // A group and all around it. In a container the path may be the host's: then only the uppermost, which is the
    // container's own, is found.
    private static MemoryLoad ReadGroups(
        MemoryLoad load, ReadOnlySpan<byte> root, ReadOnlySpan<byte> mount, ReadOnlySpan<byte> path, bool isSecond,
        byte* text)
    {
        byte* folder = stackalloc byte[PathBytes];
        if (root.Length + mount.Length + path.Length >= PathBytes) return load;
        Span<byte> whole = new(folder, PathBytes);
        root.CopyTo(whole);
        mount.CopyTo(whole[root.Length..]);
        int least = root.Length + mount.Length, length = least + path.Length;
        path.CopyTo(whole[least..]);
        while (true)
        {
            while (length > least && whole[length - 1] == (byte)'/') length--;
            load = ReadGroup(load, whole[..length], isSecond, text);
            if (length <= least) return load;
            length = Math.Max(least, whole[..length].LastIndexOf((byte)'/'));
        }
    }

    private static MemoryLoad ReadGroup(MemoryLoad load, ReadOnlySpan<byte> folder, bool isSecond, byte* text)
    {
        ulong limit = FirstNumber(ReadText(folder, isSecond ? "/memory.max"u8 : "/memory.limit_in_bytes"u8, text));
        if (limit is 0 or >= NoLimit) return load; // "max", or no such file
        ulong used = FirstNumber(ReadText(folder, isSecond ? "/memory.current"u8 : "/memory.usage_in_bytes"u8, text));
        // The group is charged with files that the system drops when it needs their memory.
        ReadOnlySpan<byte> word = isSecond ? "inactive_file"u8 : "total_inactive_file"u8;
        ulong files = NumberAfter(ReadText(folder, "/memory.stat"u8, text), word);
        return load.With(limit, used - Math.Min(used, files));
    }

    // What a file holds, as far as it fits; nothing where it cannot be read.
    private static ReadOnlySpan<byte> ReadText(ReadOnlySpan<byte> folder, ReadOnlySpan<byte> name, byte* text)
    {
        byte* path = stackalloc byte[PathBytes];
        Span<byte> whole = new(path, PathBytes);
        int length = folder.Length + name.Length;
        if (length >= PathBytes) return default;
        folder.CopyTo(whole);
        name.CopyTo(whole[folder.Length..]);
        whole[length] = 0;
        int file = Open(path, OpenCloseOnExec);
        if (file < 0) return default;
        nint bytes = Read(file, text, TextBytes);
        Close(file);
        return new ReadOnlySpan<byte>(text, (int)Math.Max(bytes, 0));
    }

    private static ReadOnlySpan<byte> TakeLine(ref ReadOnlySpan<byte> text)
    {
        int end = text.IndexOf((byte)'\n');
        ReadOnlySpan<byte> line = end < 0 ? text : text[..end];
        text = end < 0 ? default : text[(end + 1)..];
        return line;
    }

    // Whether a list that commas separate has a word.
    private static bool Contains(ReadOnlySpan<byte> list, ReadOnlySpan<byte> word)
    {
        while (!list.IsEmpty)
        {
            int end = list.IndexOf((byte)',');
            if ((end < 0 ? list : list[..end]).SequenceEqual(word)) return true;
            list = end < 0 ? default : list[(end + 1)..];
        }
        return false;
    }

    // The number in the line that begins with a word; 0 where there is none.
    private static ulong NumberAfter(ReadOnlySpan<byte> text, ReadOnlySpan<byte> word)
    {
        while (!text.IsEmpty)
        {
            ReadOnlySpan<byte> line = TakeLine(ref text);
            if (!line.StartsWith(word) || line.Length == word.Length || line[word.Length] != (byte)' ') continue;
            return FirstNumber(line[word.Length..]);
        }
        return 0;
    }

    // The number that a text begins with, after spaces. The generic helpers for text are no part of a compiled
    // assembly, so that the first block of a process would wait for the JIT.
    private static ulong FirstNumber(ReadOnlySpan<byte> text)
    {
        ulong number = 0;
        int begin = 0;
        while (begin < text.Length && text[begin] == (byte)' ') begin++;
        foreach (byte digit in text[begin..])
        {
            if (digit is < (byte)'0' or > (byte)'9') break;
            number = unchecked(number * 10 + (digit - (uint)'0'));
        }
        return number;
    }
}
