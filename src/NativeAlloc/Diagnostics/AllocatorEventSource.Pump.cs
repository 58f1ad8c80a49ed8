using System.Diagnostics.Tracing;
using NativeAlloc.Os;

namespace NativeAlloc.Diagnostics;

/// <content>
/// The thread that passes events on from the ring. There is one while somebody listens, and none otherwise.
/// </content>
internal sealed partial class AllocatorEventSource
{
    private const int PeriodMilliseconds = 20;

    private const int StackBytes = 1 << 20; // a listener's code runs on it

    /// <summary>1 while there is a thread. By Interlocked.</summary>
    private int _runs;

    // Looks who listens to what; makes the thread where it is needed. Any thread.
    [NonEvent]
    private void Change()
    {
        EventRing.Want(WantedKinds());
        if (!IsEnabled() || Interlocked.Exchange(ref _runs, 1) != 0) return;
        try
        {
            new Thread(Run, StackBytes) { IsBackground = true, Name = "NativeAlloc events" }.UnsafeStart();
        }
        catch (Exception error) when (error is OutOfMemoryException or ThreadStartException)
        {
            Volatile.Write(ref _runs, 0); // the next change asks again
        }
    }

    [NonEvent]
    private void Run()
    {
        do
        {
            int asked;
            while (true)
            {
                asked = _asked.Count; // before the question: what comes after it may be of the next session
                if (!IsEnabled()) break;
                PassOnSafely();
                Thread.Sleep(PeriodMilliseconds);
            }
            // Nobody waits for these any more, and a profiler that started now would run on.
            while (asked-- > 0) _asked.TryDequeue(out _);
            // A full barrier, as Change has one between the same two places in the other order. Without it both threads
            // could read what was true before, and a session would have no thread.
            Interlocked.Exchange(ref _runs, 0);
        }
        while (IsEnabled() && Interlocked.Exchange(ref _runs, 1) == 0); // enabled again meanwhile
    }

    // A listener's exceptions are its own; one that got out of here would end the process.
    [NonEvent]
    private void PassOnSafely()
    {
        try
        {
            PassOn();
            WriteReports();
        }
        catch (Exception)
        {
            // Some events are lost.
        }
    }
}
