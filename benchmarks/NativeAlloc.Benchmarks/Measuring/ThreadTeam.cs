using System.Diagnostics;

namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>
/// Runs the same body on a number of threads at once and times it. The threads are made once, before the baseline, so
/// that neither their stacks nor their start is measured. A team of one is the calling thread.
/// </summary>
internal sealed class ThreadTeam : IDisposable
{
    private readonly int _size;
    private readonly Thread[] _threads;
    private readonly Barrier _start;
    private readonly Barrier _end;
    private readonly long[] _started;
    private readonly long[] _ended;
    private Action<int>? _body;

    public ThreadTeam(int size)
    {
        _size = size;
        _start = new Barrier(size + 1);
        _end = new Barrier(size + 1);
        _started = new long[size];
        _ended = new long[size];
        _threads = size == 1 ? [] : [.. Enumerable.Range(0, size).Select(Start)];
    }

    /// <summary>From the first thread's start to the last one's end, in stopwatch ticks.</summary>
    public long Run(Action<int> body)
    {
        if (_size == 1)
        {
            long before = Stopwatch.GetTimestamp();
            body(0);
            return Stopwatch.GetTimestamp() - before;
        }

        _body = body;
        _start.SignalAndWait();
        _end.SignalAndWait();

        long first = long.MaxValue, last = long.MinValue;
        for (int i = 0; i < _size; i++)
        {
            first = Math.Min(first, _started[i]);
            last = Math.Max(last, _ended[i]);
        }

        return last - first;
    }

    public void Dispose()
    {
        // The threads see that there is nothing more to run and leave.
        _body = null;
        if (_threads.Length > 0)
            _start.SignalAndWait();
        foreach (Thread thread in _threads)
            thread.Join();
        _start.Dispose();
        _end.Dispose();
    }

    private Thread Start(int index)
    {
        Thread thread = new(() => Work(index)) { IsBackground = true, Name = $"worker {index}" };
        thread.Start();
        return thread;
    }

    private void Work(int index)
    {
        while (true)
        {
            _start.SignalAndWait();
            if (_body is not { } body)
                return;
            _started[index] = Stopwatch.GetTimestamp();
            body(index);
            _ended[index] = Stopwatch.GetTimestamp();
            _end.SignalAndWait();
        }
    }
}
