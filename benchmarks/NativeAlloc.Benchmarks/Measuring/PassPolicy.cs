namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>
/// How many passes over the workload a run makes. The first is never timed: it touches fresh memory and runs code that
/// is not fully optimised yet. (It does count for the peak.) Timed passes then follow until both limits are met.
/// </summary>
internal sealed record PassPolicy(int MinTimedPasses, double MinSeconds)
{
    /// <summary>Bounds the passes of a tiny workload, and with them the room for their times.</summary>
    public const int MaxTimedPasses = 10_000;

    public static readonly PassPolicy Thorough = new(5, 0.6);

    /// <summary>For a first look: all bundled workloads and all allocators in about a minute.</summary>
    public static readonly PassPolicy Quick = new(3, 0.25);

    /// <summary>For workloads that are about a process that does it once.</summary>
    public static readonly PassPolicy Once = new(1, 0);

    public bool IsEnough(int timedPasses, TimeSpan total) =>
        timedPasses >= MaxTimedPasses || (timedPasses >= MinTimedPasses && total.TotalSeconds >= MinSeconds);
}
