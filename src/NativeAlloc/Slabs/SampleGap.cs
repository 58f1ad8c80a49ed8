namespace NativeAlloc.Slabs;

/// <summary>
/// When the profiler takes its next sample: every byte that is allocated is as likely as any other, so the gaps between
/// samples are exponential. That distribution has no memory, so no count is kept from one magazine to the next: a
/// thread that loads a magazine draws anew how many of its objects come before a sample.
/// </summary>
internal static class SampleGap
{
    // 2^-53: a double has 53 bits.
    private const double Unit = 1.0 / (1L << 53);

    /// <summary>0 while the profiler is off. Any thread, by Volatile.</summary>
    private static long s_meanBytes;

    /// <summary>For threads without a block. Lost updates do no harm.</summary>
    private static ulong s_sharedSeed = 1;

    internal static bool IsOn => Volatile.Read(ref s_meanBytes) != 0;

    /// <summary>Sets the mean gap; 0 for no samples.</summary>
    internal static void Set(nuint meanBytes) => Volatile.Write(ref s_meanBytes, (long)meanBytes);

    /// <summary>How many allocations of a size come before the next sample: at most so many.</summary>
    internal static int Draw(ref ulong seed, nuint bytes, int most)
    {
        long mean = Volatile.Read(ref s_meanBytes);
        if (mean == 0) return most;
        double allocations = -Math.Log(NextUnit(ref seed)) * mean / bytes;
        return allocations >= most ? most : (int)allocations;
    }

    /// <summary>Whether an allocation that stands alone is to be sampled.</summary>
    internal static bool IsHit(ref ulong seed, nuint bytes) => Draw(ref seed, bytes, 1) == 0;

    /// <summary>The same for a thread that has no block.</summary>
    internal static bool IsHit(nuint bytes)
    {
        ulong seed = Volatile.Read(ref s_sharedSeed);
        bool hit = IsHit(ref seed, bytes);
        Volatile.Write(ref s_sharedSeed, seed);
        return hit;
    }

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
