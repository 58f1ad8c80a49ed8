using System.Runtime.InteropServices;

namespace NativeAlloc.Slabs;

/// <summary>Bytes that a thread still allocates before its next sample.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SampleCountdown
{
    /// <summary>0 or less: a sample is due, unless the gap was changed since it was drawn.</summary>
    public long Bytes;

    /// <summary>For random numbers.</summary>
    public ulong Seed;

    /// <summary>The <see cref="SampleGap.Round"/> that it was drawn in.</summary>
    public int Round;
}

/// <summary>
/// When the profiler takes its next sample: every byte that is allocated is as likely as any other, so the gaps between
/// samples are exponential. That distribution has no memory: a gap may be drawn anew at any time.
/// </summary>
internal static class SampleGap
{
    // 2^-53: a double has 53 bits.
    private const double Unit = 1.0 / (1L << 53);

    /// <summary>0 while the profiler is off. Any thread, by Volatile.</summary>
    private static long s_meanBytes;

    /// <summary>How often the mean gap was set. Read by any thread, by Volatile; raised by Interlocked.</summary>
    private static int s_round;

    /// <summary>For threads without a block. Any thread, by Volatile: lost updates do no harm.</summary>
    private static ulong s_sharedSeed = 1;

    internal static bool IsOn => Volatile.Read(ref s_meanBytes) != 0;

    /// <summary>Countdowns of an earlier round are void.</summary>
    internal static int Round => Volatile.Read(ref s_round);

    /// <summary>Sets the mean gap; 0 for no samples. One thread at a time.</summary>
    internal static void Set(nuint meanBytes)
    {
        // A gap is at most 37 times that.
        Volatile.Write(ref s_meanBytes, (long)Math.Min(meanBytes, long.MaxValue / 64));
        Interlocked.Increment(ref s_round);
    }

    /// <summary>Counts an allocation; true if it is to be a sample.</summary>
    internal static bool Count(ref SampleCountdown countdown, nuint bytes)
    {
        int round = Round;
        if (countdown.Round != round)
        {
            countdown.Round = round;
            Restart(ref countdown);
        }
        if ((countdown.Bytes -= (long)bytes) > 0) return false;
        Restart(ref countdown);
        return true;
    }

    /// <summary>Draws the gap to the sample after the one that was just found.</summary>
    internal static void Restart(ref SampleCountdown countdown) => countdown.Bytes = Draw(ref countdown.Seed);

    /// <summary>Whether an allocation is to be sampled of a thread that has no countdown.</summary>
    internal static bool IsHit(nuint bytes)
    {
        ulong seed = Volatile.Read(ref s_sharedSeed);
        bool hit = Draw(ref seed) <= (long)bytes;
        Volatile.Write(ref s_sharedSeed, seed);
        return hit;
    }

    // At least 1; while the profiler is being switched off, any number will do.
    private static long Draw(ref ulong seed) =>
        (long)(-Math.Log(NextUnit(ref seed)) * Math.Max(1, Volatile.Read(ref s_meanBytes))) + 1;

    /// <summary>How many allocations of a size a sample stands for.</summary>
    internal static double WeightOf(nuint bytes)
    {
        long mean = Math.Max(1, Volatile.Read(ref s_meanBytes));
        return 1 / (1 - Math.Exp(-(double)bytes / mean));
    }

    // Above 0 and at most 1. SplitMix64 (Steele, Lea and Flood), which any seed will do for.
    private static double NextUnit(ref ulong seed)
    {
        ulong z = unchecked(seed += 0x9E3779B97F4A7C15);
        z = unchecked((z ^ z >> 30) * 0xBF58476D1CE4E5B9);
        z = unchecked((z ^ z >> 27) * 0x94D049BB133111EB);
        return (((z ^ z >> 31) >> 11) + 1) * Unit;
    }
}
