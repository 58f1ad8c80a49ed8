namespace NativeAlloc.Benchmarks.Scaling;

/// <summary>A cache line that several cores write: it is with one core at a time.</summary>
internal sealed class SharedLine
{
    /// <summary>
    /// Nanoseconds until a line that another core wrote has come. An assumption: on machines of this size it is 50 to
    /// 200.
    /// </summary>
    internal const double TransferNs = 100;

    /// <summary>Nanoseconds of an atomic operation on a line that the core has.</summary>
    internal const double AtomicNs = 5;

    private int _core = -1;
    private double _freeAt;

    /// <summary>A core writes the line, or holds the lock that is in it for a while.</summary>
    /// <returns>When it is done.</returns>
    internal double Use(int core, double now, double holdNs = 0)
    {
        double begin = Math.Max(now, _freeAt);
        double end = begin + (_core == core ? AtomicNs : TransferNs) + holdNs;
        _core = core;
        _freeAt = end;
        return end;
    }
}
