using System.Runtime.InteropServices;

namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>
/// The kernel's count of page faults of this process, those that read from a disk among them; 0 on other systems.
/// </summary>
internal static unsafe partial class PageFaults
{
    /// <summary>What figures call it.</summary>
    public const string Name = "pageFaults";

    /// <summary>
    /// Numbers of 8 bytes in <c>struct rusage</c> on 64-bit Linux, and where the two kinds of faults are.
    /// </summary>
    private const int UsageWords = 18, MinorFaults = 8, MajorFaults = 9;

    public static long Count
    {
        get
        {
            if (!OperatingSystem.IsLinux()) return 0;
            long* usage = stackalloc long[UsageWords];
            return GetResourceUsage(0, usage) == 0 ? usage[MinorFaults] + usage[MajorFaults] : 0;
        }
    }

    [LibraryImport("libc", EntryPoint = "getrusage")]
    private static partial int GetResourceUsage(int who, long* usage);
}
