using System.Diagnostics;

namespace NativeAlloc.Benchmarks.Growth;

/// <summary>Decides how often a child repeats what it measures: a few times at least, and then until some time has gone by.</summary>
internal static class Sampling
{
    private const int MinSamples = 4;
    private const int MaxSamples = 4096;

    private static readonly TimeSpan s_enough = TimeSpan.FromMilliseconds(120);

    public static void Repeat(Action<int> sample)
    {
        long began = Stopwatch.GetTimestamp();
        for (int i = 0; i < MaxSamples && (i < MinSamples || Stopwatch.GetElapsedTime(began) < s_enough); i++)
            sample(i);
    }
}
