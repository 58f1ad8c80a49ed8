using System.Diagnostics.CodeAnalysis;

namespace NativeAlloc.Common;

/// <summary>
/// Ends the process where memory may have two owners already, after the program's handler has been told. The handler
/// runs on a thread of its own and for a limited time: the thread that found the error may hold a lock of the
/// allocator, and a handler that allocates would wait for it.
/// </summary>
internal static class FatalError
{
    // Long enough for a line in a log, short enough for a supervisor that waits to restart the process.
    private const int LongestMilliseconds = 5_000;

    private static Listener? s_listener;

    /// <summary>1 once a thread has found an error. By Interlocked.</summary>
    private static int s_isStopping;

    /// <summary>1 once the handler has come to its end. By Volatile.</summary>
    private static int s_isTold;

    /// <summary>The program's handler; null for none.</summary>
    internal static Action<string>? GetHandler() => Volatile.Read(ref s_listener)?.Handler;

    internal static void SetHandler(Action<string>? handler) =>
        Volatile.Write(ref s_listener, handler == null ? null : new Listener(handler));

    /// <summary>Tells the handler, if there is one, and ends the process.</summary>
    [DoesNotReturn]
    internal static void Stop(string message)
    {
        Action<string>? handler = GetHandler();
        if (handler != null)
        {
            if (Interlocked.Exchange(ref s_isStopping, 1) == 0) StartTelling(handler, message);
            // The handler's own errors come here, too; they wait until the time is over.
            long end = Environment.TickCount64 + LongestMilliseconds;
            while (Volatile.Read(ref s_isTold) == 0 && Environment.TickCount64 < end) Thread.Yield();
        }
        Environment.FailFast(message);
    }

    private static void StartTelling(Action<string> handler, string message)
    {
        try
        {
            new Thread(() => Tell(handler, message)) { IsBackground = true }.Start();
        }
        catch (OutOfMemoryException)
        {
            Volatile.Write(ref s_isTold, 1); // there can be no thread: the process ends untold
        }
    }

    private static void Tell(Action<string> handler, string message)
    {
        try
        {
            handler(message);
        }
        finally
        {
            Volatile.Write(ref s_isTold, 1); // an exception ends the process as well
        }
    }

    private sealed record Listener(Action<string> Handler);
}
