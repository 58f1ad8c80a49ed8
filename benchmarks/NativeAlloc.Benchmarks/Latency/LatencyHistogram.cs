using System.Numerics;

namespace NativeAlloc.Benchmarks.Latency;

/// <summary>
/// How often calls took how long. A bucket is a sixteenth of an octave, so a percentile is exact to 6 %; the maximum is
/// exact. All threads write to it.
/// </summary>
internal sealed class LatencyHistogram
{
    private const int SubBits = 4;
    private const int SubBuckets = 1 << SubBits;

    /// <summary>Buckets up to 2^40 ns, eighteen minutes; a longer call counts in the last.</summary>
    private const int Buckets = (40 - SubBits + 1) << SubBits;

    private readonly long[] _buckets = new long[Buckets];
    private long _maxNs;

    public void Add(long ns)
    {
        Interlocked.Increment(ref _buckets[BucketOf(ns)]);
        long max = Volatile.Read(ref _maxNs);
        while (ns > max && Interlocked.CompareExchange(ref _maxNs, ns, max) is var seen && seen != max)
            max = seen;
    }

    /// <summary>No thread writes to it meanwhile.</summary>
    public void Clear()
    {
        _buckets.AsSpan().Clear();
        _maxNs = 0;
    }

    /// <summary>No thread writes to it meanwhile.</summary>
    public LatencySummary Summarise()
    {
        long count = _buckets.Sum();
        return new(count, At(0.5, count), At(0.99, count), At(0.999, count), At(0.9999, count), _maxNs);
    }

    /// <summary>
    /// Values below 16 have a bucket each; from there on the leading bit chooses 16 buckets, the next four one.
    /// </summary>
    private static int BucketOf(long ns)
    {
        if (ns < SubBuckets)
            return (int)Math.Max(0, ns);
        int shift = BitOperations.Log2((ulong)ns) - SubBits;
        return Math.Min(Buckets - 1, (shift << SubBits) + (int)(ns >> shift));
    }

    /// <summary>The least value that the next bucket holds, less one.</summary>
    private static long UpperBoundOf(int bucket)
    {
        if (bucket < SubBuckets)
            return bucket;
        int shift = (bucket >> SubBits) - 1;
        return (((long)(bucket & (SubBuckets - 1)) + SubBuckets + 1) << shift) - 1;
    }

    private long At(double share, long count)
    {
        long rank = (long)Math.Ceiling(count * share), seen = 0;
        for (int i = 0; i < Buckets && count > 0; i++)
        {
            seen += _buckets[i];
            if (seen >= rank)
                return Math.Min(_maxNs, UpperBoundOf(i));
        }

        return 0;
    }
}
