using System.Buffers.Text;
using System.Diagnostics;

namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>
/// The system's account of how much memory of this process is resident. Elsewhere than on Linux it is the working set,
/// and its peak is that of the whole process.
/// </summary>
internal static class ResidentMemory
{
    /// <summary>Makes the kernel forget the peak so far, and returns what is resident now, in KiB.</summary>
    public static long ResetPeak()
    {
        if (!OperatingSystem.IsLinux()) return ExactKiB;
        // Where this is not permitted the peak of the start-up stays, which can only make the result look worse.
        try
        {
            File.WriteAllBytes("/proc/self/clear_refs", "5"u8);
        }
        catch (UnauthorizedAccessException)
        {
        }
        catch (IOException)
        {
        }

        return Read("VmRSS:"u8);
    }

    public static long PeakKiB =>
        OperatingSystem.IsLinux() ? Read("VmHWM:"u8) : ReadWorkingSet(process => process.PeakWorkingSet64);

    /// <summary>
    /// What is resident now, counted page by page. The number beside the peak is kept by processor and may lag behind.
    /// </summary>
    public static long ExactKiB => OperatingSystem.IsLinux()
        ? Read("Rss:"u8, "/proc/self/smaps_rollup")
        : ReadWorkingSet(process => process.WorkingSet64);

    private static long ReadWorkingSet(Func<Process, long> read)
    {
        const int KiB = 1024;
        using Process self = Process.GetCurrentProcess();
        return read(self) / KiB;
    }

    private static long Read(ReadOnlySpan<byte> field, string file = "/proc/self/status")
    {
        ReadOnlySpan<byte> text = File.ReadAllBytes(file);
        int at = text.IndexOf(field);
        if (at < 0)
            return 0;
        ReadOnlySpan<byte> rest = text[(at + field.Length)..].TrimStart(" \t"u8);
        return Utf8Parser.TryParse(rest, out long kiB, out _) ? kiB : 0;
    }
}
