using NativeAlloc.Os;

namespace NativeAlloc.Diagnostics;

/// <summary>What the allocator held at one moment.</summary>
internal readonly record struct HistorySample(long Milliseconds, nuint Resident, nuint Live, nuint Cached);

/// <summary>
/// The last minutes for <see cref="AllocatorReport.WriteHtmlReport"/>: a ring of samples. The first report makes it, so
/// that a process that asks for none pays a read in each period of the decay. From then on the decay's thread adds a
/// sample at the end of a period, and each report adds one. At rest nothing changes, and nothing is added.
/// </summary>
internal static class History
{
    /// <summary>The last five minutes at the default period of one second.</summary>
    internal const int MostSamples = 300;

    // Shorter periods do not make it shorter: two thirds of the default period, as a period may end early.
    private const int GapMilliseconds = 667;

    /// <summary>Guards the ring and the count, for as long as it takes to copy the samples.</summary>
    private static NativeLock s_lock;

    /// <summary>Null before the first report. Written once, by Interlocked; read by any thread, by Volatile.</summary>
    private static HistorySample[]? s_samples;

    /// <summary>Samples so far. Under the lock, as what is in the ring.</summary>
    private static long s_count;

    /// <summary>Makes the ring, if there is none yet, and adds a sample. Allocates managed memory once.</summary>
    internal static void Begin()
    {
        if (Volatile.Read(ref s_samples) == null)
            Interlocked.CompareExchange(ref s_samples, new HistorySample[MostSamples], null);
        Add(Volatile.Read(ref s_samples)!);
    }

    /// <summary>
    /// Adds a sample if there has been a report, and some time has gone since the last sample or the program rests. On
    /// the decay's thread; allocates nothing.
    /// </summary>
    internal static void NoteIfWanted(bool isAtRest)
    {
        HistorySample[]? samples = Volatile.Read(ref s_samples);
        if (samples == null) return;
        if (isAtRest || Environment.TickCount64 - LastMilliseconds(samples) >= GapMilliseconds) Add(samples);
    }

    /// <summary>The samples, the oldest first; none before the first report.</summary>
    internal static HistorySample[] Read()
    {
        HistorySample[]? samples = Volatile.Read(ref s_samples);
        if (samples == null) return [];
        HistorySample[] read = new HistorySample[MostSamples];
        s_lock.Acquire();
        int count = (int)Math.Min(s_count, MostSamples);
        for (int i = 0; i < count; i++) read[i] = samples[(s_count - count + i) % MostSamples];
        s_lock.Release();
        return read[..count];
    }

    private static long LastMilliseconds(HistorySample[] samples)
    {
        s_lock.Acquire();
        long last = s_count == 0 ? 0 : samples[(s_count - 1) % MostSamples].Milliseconds;
        s_lock.Release();
        return last;
    }

    private static void Add(HistorySample[] samples)
    {
        AllocatorStatistics figures = AllocatorStatistics.ReadTotals();
        s_lock.Acquire();
        samples[s_count % MostSamples] = new HistorySample(Environment.TickCount64, figures.ResidentEstimateBytes,
            figures.LiveBytes, figures.CachedBytes);
        s_count++;
        s_lock.Release();
    }
}
