using System.Globalization;

namespace NativeAlloc.TestHost;

/// <summary>What the system says of this process.</summary>
internal static class ProcessMemory
{
    /// <summary>Bytes of the process that are in memory (VmRSS).</summary>
    internal static long ResidentBytes()
    {
        const string Label = "VmRSS:";
        foreach (string line in File.ReadLines("/proc/self/status"))
        {
            if (!line.StartsWith(Label, StringComparison.Ordinal)) continue;
            string kibibytes = line[Label.Length..].Replace("kB", "", StringComparison.Ordinal).Trim();
            return long.Parse(kibibytes, CultureInfo.InvariantCulture) * 1024;
        }
        throw new InvalidOperationException("/proc/self/status has no VmRSS.");
    }
}
