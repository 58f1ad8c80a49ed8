namespace NativeAlloc.Pages;

/// <summary>
/// The thread on which memory goes back by itself. It waits for the end of a period as long as something can be given back, and otherwise for a sign, without any time limit: an idle process
/// is not woken. It is made when the first memory is taken, and never ends.
/// </summary>
/// <remarks>
/// Weighed: a <see cref="Timer"/>, whose callback runs on the thread pool. A pool that is starved or blocked, as that of a server under load is for seconds, would keep memory back just when it is scarce; giving 1 GiB back keeps
/// a thread busy for up to half a second, which nobody else's work should wait for; callbacks of a timer can overlap; and changing a timer takes a lock of the runtime. What this costs instead is one
/// thread, of which 16 KiB or so are resident.
/// </remarks>
internal static class DecayThread
{
    // What runs here is a handful of frames deep, none of them a user's.
    private const int StackBytes = 256 * 1024;

    private const int RetryMilliseconds = 1000, ShortestWaitMilliseconds = 1;

    // A system that does not take memory back is asked again less and less often.
    private const int LongestBackOff = 6;

    private static readonly AutoResetEvent s_sign = new(false);

    /// <summary>1 once the thread is made, or somebody is making it. By Interlocked.</summary>
    private static int s_isMade;

    /// <summary>Where the system made no thread: when to ask again. Any thread.</summary>
    private static long s_retryAt;

    /// <summary>Lets the thread look what is to be done. False where there is none and none can be made.</summary>
    internal static bool TryWake()
    {
        if (Volatile.Read(ref s_isMade) == 0 && !TryMake()) return false;
        s_sign.Set();
        return true;
    }

    private static bool TryMake()
    {
        if (Environment.TickCount64 < Volatile.Read(ref s_retryAt)) return false;
        if (Interlocked.Exchange(ref s_isMade, 1) != 0) return true; // it will see the sign
        try
        {
            new Thread(Run, StackBytes) { IsBackground = true, Name = "NativeAlloc decay" }.UnsafeStart(); // nobody's execution context
            return true;
        }
        catch (Exception error) when (error is OutOfMemoryException or ThreadStartException)
        {
            Volatile.Write(ref s_retryAt, Environment.TickCount64 + RetryMilliseconds);
            Volatile.Write(ref s_isMade, 0);
            return false;
        }
    }

    private static long WaitMilliseconds(int failures) => Math.Max((long)Decay.PeriodMilliseconds << failures, ShortestWaitMilliseconds);

    private static void Run()
    {
        PressureWatch.Begin();
        while (true)
        {
            s_sign.WaitOne();
            Decay.RunRequested();
            for (int failures = 0; Decay.IsArmed;)
            {
                for (long begin = Environment.TickCount64, left; (left = begin + WaitMilliseconds(failures) - Environment.TickCount64) > 0;)
                    if (s_sign.WaitOne((int)Math.Min(left, int.MaxValue))) Decay.RunRequested();
                long rounds = Decay.FullRounds;
                if (!Decay.IsArmed || !Decay.Tick()) break;
                failures = rounds == Decay.FullRounds || Decay.IsActive ? 0 : Math.Min(failures + 1, LongestBackOff);
            }
        }
    }
}
