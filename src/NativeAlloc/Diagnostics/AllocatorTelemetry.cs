using NativeAlloc.Diagnostics;
using NativeAlloc.Os;

namespace NativeAlloc;

/// <summary>
/// Makes what tools of .NET look for in a process: the <c>Meter</c> and the event source named <c>NativeAlloc</c>. They
/// are made once, after the first thread has got its block, and on a thread of the pool: that takes milliseconds, and
/// loads an assembly, which runs handlers of users.
/// </summary>
internal static class AllocatorTelemetry
{
    /// <summary>1 once they are being made. By Interlocked.</summary>
    private static int s_isBegun;

    /// <summary>The event source; null before it is made. Any thread, by Volatile.</summary>
    private static AllocatorEventSource? s_events;

    /// <summary>To be called where a thread gets its block; the first call does something.</summary>
    internal static void Begin()
    {
        if (Volatile.Read(ref s_isBegun) != 0 || Interlocked.Exchange(ref s_isBegun, 1) != 0) return;
        // The runtime keeps meters and event sources for good, and with them a context that is to be unloaded.
        if (typeof(AllocatorTelemetry).Assembly.IsCollectible) return;
        if (Options.Leaks) LeakReport.WriteAtExit();
        try
        {
            ThreadPool.UnsafeQueueUserWorkItem(static _ => Make(), null);
        }
        catch (OutOfMemoryException)
        {
            Volatile.Write(ref s_isBegun, 0); // the next thread tries again
        }
    }

    private static void Make()
    {
        try
        {
            if (Volatile.Read(ref s_events) == null) Volatile.Write(ref s_events, new AllocatorEventSource());
            AllocatorMeter.Make();
        }
        catch (OutOfMemoryException)
        {
            Volatile.Write(ref s_isBegun, 0);
        }
    }
}
