namespace NativeAlloc.TestHost;

/// <summary>A number of threads wait here for each other, once, and go on at the same moment.</summary>
internal sealed class StartLine(int count) : IDisposable
{
    // Some 100 us: what the system needs to wake a thread.
    private const int Spins = 3000;

    // With fewer processors they cannot all run at the same moment.
    private readonly int _spins = count <= Environment.ProcessorCount ? Spins : 0;
    private readonly ManualResetEvent _isComplete = new(false);

    // Threads that have come, and those of them that go on. By Interlocked and Volatile.
    private int _present, _awake;

    /// <summary>Waits for the others.</summary>
    internal void Cross()
    {
        if (Interlocked.Increment(ref _present) == count) _isComplete.Set();
        else _isComplete.WaitOne();
        Interlocked.Increment(ref _awake);
        for (int i = 0; i < _spins && Volatile.Read(ref _awake) != count; i++) Thread.SpinWait(1);
    }

    public void Dispose() => _isComplete.Dispose();
}
