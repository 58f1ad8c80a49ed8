using System.Diagnostics;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>One pass of a shape: what it notes about the process, and what of its time does not count.</summary>
internal sealed class ShapeRun
{
    private readonly Dictionary<string, double> _figures = [];
    private long _startKiB = ResidentMemory.ExactKiB;

    public IReadOnlyDictionary<string, double> Figures => _figures;

    public long IdleTicks { get; private set; }

    /// <summary>Allocations and frees so far.</summary>
    public long Operations { get; private set; }

    /// <summary>The most that was alive when resident memory was noted.</summary>
    public long LiveBytes { get; private set; }

    /// <summary>What is resident now belongs to the start: the shape's own tables and threads, say.</summary>
    public void BeginHere() => _startKiB = ResidentMemory.ExactKiB;

    public void CountOperations(long operations) => Operations += operations;

    public void Note(string name, double value) => _figures[name] = value;

    /// <summary>Notes what is resident beyond the start, and its ratio to what is alive, if anything is.</summary>
    /// <returns>The bytes beyond the start.</returns>
    public long NoteResident(string moment, long liveBytes)
    {
        long bytes = (ResidentMemory.ExactKiB - _startKiB) * 1024;
        Note(moment + "KiB", bytes / 1024);
        if (liveBytes > 0)
            Note(moment + "PerLive", bytes / (double)liveBytes);
        LiveBytes = Math.Max(LiveBytes, liveBytes);
        return bytes;
    }

    /// <summary>Sleeps on the calling thread while all others are idle as well.</summary>
    public void Idle(int milliseconds)
    {
        long before = Stopwatch.GetTimestamp();
        Thread.Sleep(milliseconds);
        IdleTicks += Stopwatch.GetTimestamp() - before;
    }
}
