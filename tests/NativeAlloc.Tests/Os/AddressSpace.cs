using System.Globalization;
using NativeAlloc.Os;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>
/// Addresses for a test to use, and what the system itself says about this process's, so that a test can ask without
/// touching them.
/// </summary>
internal static unsafe class AddressSpace
{
    internal const string Inaccessible = "---p", Private = "rw-p", Shared = "rw-s";

    /// <summary>Reserves addresses.</summary>
    internal static nuint Reserve(nuint bytes)
    {
        Assert.True(VirtualMemory.TryReserve(bytes, VirtualMemory.PageBytes, out nuint address));
        return address;
    }

    /// <summary>Reserves addresses and commits them.</summary>
    internal static nuint Map(nuint bytes)
    {
        nuint address = Reserve(bytes);
        Assert.True(VirtualMemory.TryCommit(address, bytes));
        return address;
    }

    /// <summary>The permissions of the mapping an address lies in; empty where nothing is mapped.</summary>
    internal static string PermissionsAt(nuint address)
    {
        if (OperatingSystem.IsWindows())
        {
            const uint Committed = 0x1000, Mapped = 0x40000;
            WindowsCalls.MemoryInformation region = RegionAt(address);
            if (region.State == WindowsCalls.MemFree) return "";
            if (region.State != Committed || region.Protect == WindowsCalls.PageNoAccess) return Inaccessible;
            return region.Type == Mapped ? Shared : Private;
        }
        return MappingAt(address, out string permissions) == default ? "" : permissions;
    }

    /// <summary>Where the mapping that an address lies in begins and ends; both 0 where nothing is mapped.</summary>
    internal static (nuint From, nuint To) MappingAt(nuint address) => MappingAt(address, out _);

    private static (nuint From, nuint To) MappingAt(nuint address, out string permissions)
    {
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            int dash = line.IndexOf('-', StringComparison.Ordinal), space = line.IndexOf(' ', StringComparison.Ordinal);
            nuint from = Parse(line.AsSpan(0, dash)), to = Parse(line.AsSpan(dash + 1, space - dash - 1));
            if (address < from || address >= to) continue;
            permissions = line.Substring(space + 1, 4);
            return (from, to);
        }
        permissions = "";
        return default;
    }

    /// <summary>Bytes of address space that the process has mapped in any way.</summary>
    internal static nuint MappedBytes()
    {
        if (!OperatingSystem.IsWindows())
        {
            return nuint.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[0], CultureInfo.InvariantCulture)
                * (nuint)Environment.SystemPageSize;
        }
        nuint bytes = 0;
        WindowsCalls.MemoryInformation region;
        for (nuint at = 0; (region = RegionAt(at)).RegionBytes != 0; at = region.BaseAddress + region.RegionBytes)
            if (region.State != WindowsCalls.MemFree) bytes += region.RegionBytes;
        return bytes;
    }

    private static WindowsCalls.MemoryInformation RegionAt(nuint address)
    {
        WindowsCalls.MemoryInformation region = default;
        WindowsCalls.VirtualQuery(address, &region, (nuint)sizeof(WindowsCalls.MemoryInformation));
        return region;
    }

    /// <summary>
    /// Whether something changed the mapped bytes by this many, give or take what the runtime does meanwhile. Whether
    /// one address is mapped cannot be asked of released ones: the runtime may have taken them already.
    /// </summary>
    internal static bool ChangedBy(nint bytes, nuint before)
    {
        const nint Noise = 1 << 28;
        return Math.Abs((nint)MappedBytes() - (nint)before - bytes) < Noise;
    }

    private static nuint Parse(ReadOnlySpan<char> text) =>
        nuint.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
