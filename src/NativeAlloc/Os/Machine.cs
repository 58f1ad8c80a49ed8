using System.Globalization;

namespace NativeAlloc.Os;

/// <summary>What this machine has: memory, the limit a container sets on it, NUMA nodes. Read once; nothing here is hot.</summary>
internal static class Machine
{
    /// <summary>Bytes of physical memory, or of the cgroup's limit where that is lower.</summary>
    internal static ulong MemoryBytes { get; } = ReadMemoryBytes();

    /// <summary>NUMA nodes with memory, at least 1.</summary>
    internal static int NodeCount { get; } = ReadNodeCount("/sys/devices/system/node/has_memory");

    // The runtime has already looked at physical memory, cgroup v1 and v2 and any hard limit of its own heap.
    private static ulong ReadMemoryBytes()
    {
        long available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        const ulong AssumedBytes = 4UL << 30; // where nothing is known, a small machine
        return available > 0 ? (ulong)available : AssumedBytes;
    }

    internal static int ReadNodeCount(string path)
    {
        try
        {
            return File.Exists(path) ? ParseNodeList(File.ReadAllText(path)) : 1;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return 1;
        }
    }

    private const int MostNodes = 1024; // Linux's own limit

    /// <summary>Counts a kernel list such as <c>0-3,8</c>; 1 where it is not one.</summary>
    internal static int ParseNodeList(string text)
    {
        int count = 0;
        foreach (string part in text.Trim().Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] ends = part.Split('-');
            if (ends.Length > 2
                || !int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first)
                || !int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out int last)
                || last < first
                || last >= MostNodes)
            {
                return 1;
            }
            count += last - first + 1;
        }
        return Math.Max(count, 1);
    }
}
