using System.Diagnostics;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>
/// A <see cref="ResidentWorkload"/> on one heap. Within the pass it notes figures, and says when it idles, which is not
/// part of the pass's time.
/// </summary>
internal abstract class ResidentRun : HeapRun
{
    private readonly Dictionary<string, double> _figures = [];
    private long _startKiB;
    private long _idleTicks;

    public sealed override long IdleTicks => _idleTicks;

    public sealed override void Pass()
    {
        _figures.Clear();
        _idleTicks = 0;
        _startKiB = ResidentMemory.ExactKiB;
        Load();
    }

    public sealed override IReadOnlyDictionary<string, double> Examine() => _figures;

    /// <summary>The pass itself.</summary>
    protected abstract void Load();

    /// <summary>Notes what is resident now beyond what was when the pass began.</summary>
    /// <param name="name">The figure's name; KiB is appended.</param>
    protected void NoteResident(string name) => Note(name + "KiB", ResidentMemory.ExactKiB - _startKiB);

    protected void Note(string name, double value) => _figures[name] = value;

    /// <summary>Sleeps on the calling thread while all others are idle as well.</summary>
    protected void Idle(int seconds)
    {
        long before = Stopwatch.GetTimestamp();
        Thread.Sleep(TimeSpan.FromSeconds(seconds));
        _idleTicks += Stopwatch.GetTimestamp() - before;
    }
}
