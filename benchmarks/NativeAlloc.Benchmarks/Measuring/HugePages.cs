namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>Whether faults may bring huge pages: figures about large memory mean little without it.</summary>
internal static class HugePages
{
    private const string SettingFile = "/sys/kernel/mm/transparent_hugepage/enabled";

    /// <summary>The kernel's setting in its own words, the one in force in brackets.</summary>
    public static string Setting => File.Exists(SettingFile)
        ? $"transparent huge pages: {File.ReadAllText(SettingFile).Trim()}"
        : "transparent huge pages: none, the kernel is built without";
}
