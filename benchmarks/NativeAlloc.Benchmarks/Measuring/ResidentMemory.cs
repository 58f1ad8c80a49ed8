using System.Buffers.Text;

namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>The kernel's account of how much memory of this process is resident.</summary>
internal static class ResidentMemory
{
    /// <summary>Makes the kernel forget the peak so far, and returns what is resident now, in KiB.</summary>
    public static long ResetPeak()
    {
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

    public static long PeakKiB => Read("VmHWM:"u8);

    private static long Read(ReadOnlySpan<byte> field)
    {
        ReadOnlySpan<byte> status = File.ReadAllBytes("/proc/self/status");
        int at = status.IndexOf(field);
        if (at < 0)
            return 0;
        ReadOnlySpan<byte> rest = status[(at + field.Length)..].TrimStart(" \t"u8);
        return Utf8Parser.TryParse(rest, out long kiB, out _) ? kiB : 0;
    }
}
