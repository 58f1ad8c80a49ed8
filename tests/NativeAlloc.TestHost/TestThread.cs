using System.Runtime.ExceptionServices;

namespace NativeAlloc.TestHost;

/// <summary>
/// A thread that does what it is told and waits in between, so that a test decides what happens on which thread and in
/// which order.
/// </summary>
internal sealed class TestThread : IDisposable
{
    private readonly Signal _begun = new(), _done = new();
    private readonly Thread _thread;

    // What the thread does next, null for nothing more; what its last action threw. Handed over by the signals.
    private Action? _action;
    private Exception? _error;

    internal TestThread()
    {
        _thread = new Thread(Loop) { IsBackground = true };
        _thread.Start();
    }

    /// <summary>Runs an action on a new thread, which has ended when this returns.</summary>
    internal static void RunOnNew(Action action)
    {
        using TestThread thread = new();
        thread.Run(action);
    }

    /// <summary>
    /// Runs the body on several new threads, which get their numbers and begin at the same moment. All have ended when
    /// this returns. What the first of them threw is thrown here.
    /// </summary>
    internal static void RunTogether(int count, Action<int> body)
    {
        using StartLine start = new(count);
        TestThread[] threads = [.. Enumerable.Range(0, count).Select(_ => new TestThread())];
        Exception? first = null;
        for (int i = 0; i < count; i++)
        {
            int number = i;
            threads[i].Begin(() =>
            {
                start.Cross();
                try
                {
                    body(number);
                }
                catch (Exception error)
                {
                    Interlocked.CompareExchange(ref first, error, null);
                }
            });
        }
        foreach (TestThread thread in threads) thread.Finish();
        foreach (TestThread thread in threads) thread.Dispose();
        if (first != null) ExceptionDispatchInfo.Throw(first);
    }

    /// <summary>Runs an action on this thread and waits for its end; what it throws is thrown here.</summary>
    internal void Run(Action action)
    {
        Begin(action);
        Finish();
    }

    /// <summary>Starts an action on this thread; <see cref="Finish"/> must follow.</summary>
    internal void Begin(Action action)
    {
        _action = action;
        _begun.Set();
    }

    /// <summary>Waits for the end of what was begun; what it threw is thrown here.</summary>
    internal void Finish()
    {
        _done.Wait();
        Exception? error = _error;
        _error = null;
        if (error != null) ExceptionDispatchInfo.Throw(error);
    }

    /// <summary>Ends the thread and waits until it has.</summary>
    public void Dispose()
    {
        _action = null;
        _begun.Set();
        _thread.Join();
        _begun.Dispose();
        _done.Dispose();
    }

    private void Loop()
    {
        while (true)
        {
            _begun.Wait();
            Action? action = _action;
            if (action == null) return;
            try
            {
                action();
            }
            catch (Exception error)
            {
                _error = error;
            }
            _done.Set();
        }
    }
}
