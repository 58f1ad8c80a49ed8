namespace NativeAlloc.TestHost;

/// <summary>
/// One thread waits until another has set the signal; each wait takes one setting. It waits for some microseconds
/// without giving way, and then in the system.
/// </summary>
/// <remarks>
/// It never yields. <see cref="SemaphoreSlim"/> and <see cref="Barrier"/> yield some dozens of times before they wait
/// in the system, and where other processes keep the processors busy, each yield lasts as long as their time slices: a
/// single wait took 100 to 200 ms with two busy loops on each of two cores (Linux 6.18).
/// </remarks>
internal sealed class Signal : IDisposable
{
    private const int None = 0, IsSet = 1, IsAwaited = 2;

    // Some 20 us: about what it takes to wait in the system and to be woken.
    private const int Spins = 500;

    private readonly AutoResetEvent _event = new(false);

    // One of the three. By Interlocked and Volatile.
    private int _state;

    internal void Set()
    {
        if (Interlocked.Exchange(ref _state, IsSet) == IsAwaited) _event.Set();
    }

    internal void Wait()
    {
        for (int i = 0; i < Spins && Volatile.Read(ref _state) == None; i++) Thread.SpinWait(1);
        if (Interlocked.CompareExchange(ref _state, IsAwaited, None) == None) _event.WaitOne();
        Volatile.Write(ref _state, None);
    }

    public void Dispose() => _event.Dispose();
}
