using System.Runtime;

namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>
/// Brings the code under measurement to its final, fully optimised form before anything is timed. The runtime starts
/// every method in a simple form and replaces it in the background, in two steps, once it has been called 30 times and
/// then some time has gone by without new methods appearing.
/// </summary>
internal static class Tiering
{
    private const int MaxRounds = 40;
    private const int QuietRounds = 3;

    // Well above the waiting time that the environment below sets.
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(30);

    /// <summary>
    /// Children wait 10 ms (hexadecimal A) instead of 100 ms before methods are promoted. The code that results is the
    /// same; it only is there sooner.
    /// </summary>
    public static KeyValuePair<string, string> ChildEnvironment { get; } = new("DOTNET_TC_CallCountingDelayMs", "A");

    /// <summary>
    /// Repeats a body, which has to call everything that matters often enough to be promoted, until the compiler has
    /// had nothing left to do for a while.
    /// </summary>
    public static void RunUntilOptimised(Action body)
    {
        long compiled = -1;
        for (int round = 0, quiet = 0; round < MaxRounds && quiet < QuietRounds; round++)
        {
            body();
            Thread.Sleep(s_pause);
            long now = JitInfo.GetCompiledMethodCount();
            quiet = now == compiled ? quiet + 1 : 0;
            compiled = now;
        }
    }
}
