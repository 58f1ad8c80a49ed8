using System.Diagnostics;
using System.Globalization;
using NativeAlloc.Common;

namespace NativeAlloc.Os;

/// <content>The NUMA nodes, as the folder <c>/sys/devices/system/node</c> says.</content>
internal sealed unsafe partial class LinuxSystem
{
    private const int RemoteDistance = 20; // as in the ACPI tables that the system reads
    private const int LargestNumber = 1 << 16; // nodes and processors: above Linux' own limits

    internal override bool TryReadNodes(out int[] numbers)
    {
        // The usual machine has one node. Classes for files and lists would be the greater part of what the first
        // allocation of a process costs.
        byte* buffer = stackalloc byte[BufferBytes];
        SystemText text = ReadText("/sys/devices/system/node/has_memory"u8, buffer, BufferBytes);
        if (IsOneNode(text))
        {
            numbers = [(int)(text.Number() ?? 0)];
            return true;
        }
        int[] read = [];
        bool isRead = TryRead(() => read = ParseList(ReadNodeFile("has_memory")));
        numbers = read;
        return isRead;
    }

    // One or two digits, and the end of the line.
    private static bool IsOneNode(SystemText text)
    {
        int digits = 0;
        while (digits < text.Length && text[digits] is >= (byte)'0' and <= (byte)'9') digits++;
        return digits is 1 or 2 && (digits == text.Length || text[digits] == (byte)'\n' && digits + 1 == text.Length);
    }

    internal override bool TryReadNodeDetails(int[] numbers, out int[][] processors, out int[][] distances)
    {
        int[][] lists = [], tables = [];
        bool isRead = TryRead(() =>
        {
            lists = [.. numbers.Select(node => ParseList(ReadNodeFile($"node{node}/cpulist")))];
            // A line of distances has one for each online node, with memory or not, in the order of their numbers.
            int[] online = ParseList(ReadNodeFile("online"));
            tables = [.. numbers.Select(node => ParseDistances(ReadNodeFile($"node{node}/distance"), online, numbers))];
        });
        (processors, distances) = (lists, tables);
        return isRead;
    }

    // False where there is no such folder, as on systems without NUMA, or where it says something else than expected.
    private static bool TryRead(Action read)
    {
        try
        {
            read();
            return true;
        }
        catch (Exception error)
            when (error is IOException or UnauthorizedAccessException or FormatException or OverflowException)
        {
            return false;
        }
    }

    private string ReadNodeFile(string file) => File.ReadAllText($"{RootFolder}/sys/devices/system/node/{file}");

    private static int[] ParseDistances(string text, int[] online, int[] nodes)
    {
        string[] words = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        return [.. nodes.Select(node =>
        {
            int index = Array.IndexOf(online, node);
            bool isKnown = index >= 0 && index < words.Length;
            return isKnown ? int.Parse(words[index], NumberStyles.None, CultureInfo.InvariantCulture) : RemoteDistance;
        })];
    }

    /// <summary>The numbers of a kernel list such as <c>0-3,8</c>.</summary>
    /// <exception cref="FormatException">It is not one.</exception>
    internal static int[] ParseList(string text)
    {
        List<int> numbers = [];
        foreach (string part in text.Trim().Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] ends = part.Split('-');
            int last = 0;
            bool isRange = int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first)
                && int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out last);
            if (!isRange || ends.Length > 2 || last < first || last >= LargestNumber) ThrowHelper.ThrowNotAList(text);
            numbers.AddRange(Enumerable.Range(first, last - first + 1));
        }
        Debug.Assert(numbers.TrueForAll(number => number >= 0), "the system counts from 0");
        return [.. numbers];
    }
}
