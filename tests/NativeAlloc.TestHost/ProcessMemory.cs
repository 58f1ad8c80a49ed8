using System.Globalization;
using System.Runtime.InteropServices;

namespace NativeAlloc.TestHost;

/// <summary>What the system says of this process.</summary>
internal static unsafe partial class ProcessMemory
{
    /// <summary>Bytes of the process that are in memory (VmRSS).</summary>
    internal static long ResidentBytes() =>
        OperatingSystem.IsWindows() ? Environment.WorkingSet : Read(StatusFile, "VmRSS:");

    /// <summary>
    /// The same from the walk over all mappings, to the page, with what the system has put aside because memory was
    /// short (smaps_rollup).
    /// </summary>
    internal static long MappedBytes() => OperatingSystem.IsWindows()
        ? Environment.WorkingSet
        : Read("/proc/self/smaps_rollup", "Rss:") + Read("/proc/self/smaps_rollup", "Swap:");

    /// <summary>Bytes of addresses that the process has (VmSize).</summary>
    internal static long AddressBytes() => Read(StatusFile, "VmSize:");

    /// <summary>Bytes of private writable memory that the process has, touched or not (VmData).</summary>
    internal static long DataBytes() => Read(StatusFile, "VmData:");

    /// <summary>Bytes that the process has locked into memory (VmLck).</summary>
    internal static long LockedBytes() => Read(StatusFile, "VmLck:");

    /// <summary>Whether every system page of a mapped range is in memory.</summary>
    internal static bool IsResident(void* address, nuint bytes) =>
        CountResident(address, bytes) == (long)bytes / Environment.SystemPageSize;

    /// <summary>How many system pages of a mapped range are in memory.</summary>
    internal static long CountResident(void* address, nuint bytes)
    {
        if (OperatingSystem.IsWindows()) return WorkingSet.PagesAt((nuint)address, bytes);
        byte[] pages = new byte[bytes / (nuint)Environment.SystemPageSize];
        fixed (byte* vector = pages)
        {
            if (MInCore((nuint)address, bytes, vector) != 0)
                throw new InvalidOperationException($"The system does not say what is behind 0x{(nuint)address:x}.");
        }
        return pages.Count(static page => (page & 1) != 0);
    }

    private const string StatusFile = "/proc/self/status";

    private static long Read(string file, string label)
    {
        foreach (string line in File.ReadLines(file))
        {
            if (!line.StartsWith(label, StringComparison.Ordinal)) continue;
            string kibibytes = line[label.Length..].Replace("kB", "", StringComparison.Ordinal).Trim();
            return long.Parse(kibibytes, CultureInfo.InvariantCulture) * 1024;
        }
        throw new InvalidOperationException($"{file} has no {label}");
    }

    [LibraryImport("libc", EntryPoint = "mincore")]
    private static partial int MInCore(nuint address, nuint length, byte* vector);
}
