using System.Globalization;
using System.Runtime.InteropServices;
using NativeAlloc.Os;
using NativeAlloc.TestHost;

namespace NativeAlloc.Tests.Os;

/// <summary>What the system itself says about the memory behind this process's addresses.</summary>
internal static unsafe partial class ResidentMemory
{
    /// <summary>System pages of a range that have memory behind them.</summary>
    internal static uint PagesAt(nuint address, nuint bytes)
    {
        if (OperatingSystem.IsWindows()) return WorkingSet.PagesAt(address, bytes);
        byte[] pages = new byte[bytes / VirtualMemory.PageBytes];
        fixed (byte* first = pages)
            if (MInCore(address, bytes, first) != 0) throw new InvalidOperationException("the range is not mapped");
        return (uint)pages.Count(page => (page & 1) != 0);
    }

    /// <summary>False where a touch may bring a huge page, so that its neighbours have memory too.</summary>
    internal static bool ComesInSystemPages { get; } =
        OperatingSystem.IsWindows() || !File.Exists("/sys/kernel/mm/transparent_hugepage/enabled") || !File.ReadAllText(
            "/sys/kernel/mm/transparent_hugepage/enabled").Contains("[always]", StringComparison.Ordinal);

    /// <summary>Bytes that the process has locked into memory.</summary>
    internal static ulong LockedBytes()
    {
        // "VmLck:       64 kB"
        string line =
            File.ReadLines("/proc/self/status").Single(line => line.StartsWith("VmLck:", StringComparison.Ordinal));
        return ulong.Parse(line["VmLck:".Length..^"kB".Length].Trim(), CultureInfo.InvariantCulture) * 1024;
    }

    [LibraryImport("libc", EntryPoint = "mincore")]
    private static partial int MInCore(nuint address, nuint bytes, byte* pages);
}
