using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NativeAlloc.Benchmarks.Latency;

/// <summary>What a call does, for the tables.</summary>
internal enum CallKind
{
    Alloc,
    Realloc,
    Free,
}

/// <summary>
/// Times single calls.
/// <para>
/// The clock's time is cheap to read, but on a busy machine it has the time of others in it; the thread's processor
/// time has not, and costs a system call. So every call is timed by the clock, and one that takes longer than
/// <see cref="LongNs"/> counts with the processor time that has gone by since the last look at it, if that is less.
/// That look is at most <see cref="LookNs"/> before the call, so the figure is at most that much too high.
/// </para>
/// <para>
/// A thread has nothing of its own here but two numbers: some workloads are about what a thread costs.
/// </para>
/// </summary>
internal static unsafe partial class CallClock
{
    private const long LongNs = 50_000;
    private const long LookNs = 20_000;
    private const int ThreadCpuClock = 3; // CLOCK_THREAD_CPUTIME_ID

    private static readonly LatencyHistogram[] s_histograms =
        [.. Enum.GetValues<CallKind>().Select(_ => new LatencyHistogram())];

    [ThreadStatic]
    internal static long t_lookedAt;

    [ThreadStatic]
    internal static long t_cpuThen;

    /// <summary>What an empty call takes: two readings of the clock.</summary>
    private static long s_emptyNs;

    /// <summary>Forgets what has been noted. No call is under way.</summary>
    public static void Reset()
    {
        if (Stopwatch.Frequency != 1_000_000_000)
            throw new NotSupportedException("the clock's ticks are not nanoseconds");
        foreach (LatencyHistogram histogram in s_histograms)
            histogram.Clear();

        s_emptyNs = long.MaxValue;
        for (int i = 0; i < 1000; i++)
        {
            long began = Stopwatch.GetTimestamp();
            s_emptyNs = Math.Min(s_emptyNs, Stopwatch.GetTimestamp() - began);
        }
    }

    /// <summary>What has been noted, by kind of call; kinds that there was no call of are left out.</summary>
    public static IReadOnlyDictionary<string, LatencySummary> Summarise() => Enum.GetValues<CallKind>()
        .Select(kind => (Kind: kind, Summary: s_histograms[(int)kind].Summarise()))
        .Where(pair => pair.Summary.Count > 0)
        .ToDictionary(pair => pair.Kind.ToString().ToLowerInvariant(), pair => pair.Summary);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long Begin()
    {
        long now = Stopwatch.GetTimestamp();
        if (now - t_lookedAt <= LookNs)
            return now;
        Look(now);
        return Stopwatch.GetTimestamp();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void End(CallKind kind, long began)
    {
        long now = Stopwatch.GetTimestamp();
        long ns = now - began;
        if (ns > LongNs)
            ns = Math.Min(ns, LookAfter(now));
        s_histograms[(int)kind].Add(Math.Max(1, ns - s_emptyNs));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Look(long now)
    {
        t_lookedAt = now;
        t_cpuThen = ThreadCpuNs();
    }

    /// <summary>The processor time since the last look, which this one replaces.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static long LookAfter(long now)
    {
        long then = t_cpuThen;
        Look(now);
        return t_cpuThen - then;
    }

    private static long ThreadCpuNs()
    {
        TimeSpec time;
        _ = ClockGetTime(ThreadCpuClock, &time);
        return (time.Seconds * 1_000_000_000) + time.Nanoseconds;
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int ClockGetTime(int clock, TimeSpec* time);

    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
