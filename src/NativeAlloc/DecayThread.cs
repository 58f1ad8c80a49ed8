using System.Runtime.CompilerServices;
using NativeAlloc.Diagnostics;
using NativeAlloc.Os;
using NativeAlloc.Release;
using NativeAlloc.Threads;

namespace NativeAlloc;

/// <summary>
/// The thread on which memory goes back by itself. It waits for the end of a period as long as something can be given
/// back, and otherwise for a sign, without any time limit: an idle process is not woken, unless it has more than <see
/// cref="ThreadRegistry.FewBlocks"/> threads, whose end nothing else tells. It is made when the process has used more
/// than a little memory, or the library some times, and never ends but for <see cref="EndWhenIdle"/>. It is part of the
/// face, as at the end of the first period it has the <see cref="AllocatorTelemetry"/> made.
/// </summary>
/// <remarks>
/// <para>It allocates no managed memory but to call somebody who asked for it (<see cref="LiveThresholds"/>) and to
/// have the telemetry made, and no exception leaves it: an exception on a thread without a handler ends
/// the process, and what is not given back now is given back later.</para>
/// <para>Weighed: a <see cref="Timer"/>, whose callback runs on the thread pool. A pool that is starved or blocked, as
/// that of a server under load is for seconds, would keep memory back just when it is scarce; giving 1 GiB back keeps a
/// thread busy for up to half a second, which no other work should wait for; callbacks of a timer can overlap; and
/// changing a timer takes a lock of the runtime. What this costs instead is one thread, of which 16 KiB or so are
/// resident.</para>
/// </remarks>
internal static class DecayThread
{
    // What runs here is a handful of frames deep, and none of them is a user's. The texts about the machine's memory
    // are on the stack.
    private const int StackBytes = 256 * 1024;

    // A process that has not used more, on so many slow paths, is left with it, and without a thread: making one is a
    // good part of what the first block of a process costs.
    private const nuint FewBytes = 2 << 20;
    private const int FewSlowPaths = 16;

    private const int RetryMilliseconds = 1000, ShortestWaitMilliseconds = 1;

    // A system that does not take memory back is asked again less and less often.
    private const int LongestBackOff = 6;

    // While a program is at work the C library is asked for what it keeps as seldom as this: it takes its locks for it.
    private const int PeriodsPerTrim = 10;

    /// <summary>Wakes the thread. Made before it; null until then. Any thread, by Volatile.</summary>
    private static AutoResetEvent? s_sign;

    /// <summary>1 once the thread is made, or a thread is making it. By Interlocked.</summary>
    private static int s_isMade;

    /// <summary>1 if the thread is to end as often as there is nothing to give back. Any thread, by Volatile.</summary>
    private static int s_endsWhenIdle;

    /// <summary>Slow paths that used memory while there was no thread. By Interlocked.</summary>
    private static int s_slowPaths;

    /// <summary>Where the system made no thread: when to ask again. Any thread.</summary>
    private static long s_retryAt;

    /// <summary>
    /// Looks at what the lower layers have raised. Each slow path of the library's face calls it when its operation is
    /// finished, where the thread holds nothing of this library: it costs a read while nothing is unattended.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Attend()
    {
        if (MemorySignals.IsUnattended) AttendSlow();
    }

    /// <summary>Whether there is such a thread by now.</summary>
    internal static bool IsMade => Volatile.Read(ref s_isMade) != 0;

    /// <summary>
    /// From now on the thread ends when there is nothing to give back, and the next use of memory makes another: its
    /// code cannot be unloaded as long as it lives.
    /// </summary>
    internal static void EndWhenIdle()
    {
        Volatile.Write(ref s_endsWhenIdle, 1);
        Volatile.Read(ref s_sign)?.Set();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void AttendSlow()
    {
        if (MemorySignals.t_isReclaiming) return; // a shrinker's own: the operation that asked it attends
        int raised = MemorySignals.ReadAndResetUnattended();
        // What is kept for later must not make the process larger than it ever was.
        if ((raised & MemorySignals.NewPeak) != 0) Reclaimer.PurgeAreas(ResidentBudget.ReadAndResetExcess());
        const int AtOnce = MemorySignals.CapExceeded | MemorySignals.LimitNear;
        if ((raised & (MemorySignals.Used | AtOnce)) == 0 || Decay.PeriodMilliseconds == Decay.Never) return;
        if ((raised & AtOnce) == 0 && !IsMade && ResidentBudget.ChargedBytes < FewBytes
            && Interlocked.Increment(ref s_slowPaths) < FewSlowPaths)
        {
            MemorySignals.ReadAndReset(MemorySignals.Used); // the next slow path that uses memory looks again
            return;
        }
        bool isFirst = Decay.TryArm();
        if ((isFirst || (raised & AtOnce) != 0) && !TryWake()) Decay.Disarm();
    }

    // Lets the thread look what is to be done. False where there is none and none can be made.
    private static bool TryWake()
    {
        if (!IsMade && !TryMake()) return false;
        Volatile.Read(ref s_sign)?.Set(); // null while it is being made: the new thread looks before it waits
        return true;
    }

    private static bool TryMake()
    {
        if (Environment.TickCount64 < Volatile.Read(ref s_retryAt)) return false;
        if (Interlocked.Exchange(ref s_isMade, 1) != 0) return true; // it will see what was raised
        try
        {
            // That of an earlier try is used: dropped, it would leave a finalizer to run in a heap that may be full.
            if (Volatile.Read(ref s_sign) == null) Volatile.Write(ref s_sign, new AutoResetEvent(false));
            // Without the execution context of the thread that happens to come first.
            new Thread(Run, StackBytes) { IsBackground = true, Name = "NativeAlloc decay" }.UnsafeStart();
            return true;
        }
        catch (Exception error) when (error is OutOfMemoryException or ThreadStartException)
        {
            Volatile.Write(ref s_retryAt, Environment.TickCount64 + RetryMilliseconds);
            Volatile.Write(ref s_isMade, 0);
            return false;
        }
    }

    private static void Run()
    {
        AutoResetEvent sign = Volatile.Read(ref s_sign)!;
        while (true)
        {
            try
            {
                RunUntilDisarmed(sign);
                if (Volatile.Read(ref s_endsWhenIdle) != 0 && TryEnd()) return;
                WaitForWork(sign);
            }
            catch (Exception)
            {
                // The managed heap may be full, so that even a type that is used for the first time cannot be set up.
                // Later it may be otherwise.
                MemorySignals.t_isReclaiming = MemorySignals.t_isAtRest = false;
                Thread.Sleep(RetryMilliseconds);
            }
        }
    }

    // Threads give no sign when they end. Only where many have something here is it worth while to look.
    private static void WaitForWork(AutoResetEvent sign)
    {
        while (ThreadRegistry.HasMany && Decay.PeriodMilliseconds != Decay.Never)
        {
            if (sign.WaitOne(Math.Max(Decay.PeriodMilliseconds, (int)ThreadRegistry.RestMilliseconds))) return;
            if (!ThreadRegistry.HasForgettable()) continue;
            Decay.TryArm();
            return;
        }
        sign.WaitOne();
    }

    // False where somebody has armed meanwhile, who found a thread.
    private static bool TryEnd()
    {
        Interlocked.Exchange(ref s_isMade, 0);
        return !Decay.IsArmed || Interlocked.Exchange(ref s_isMade, 1) != 0;
    }

    private static void RunUntilDisarmed(AutoResetEvent sign)
    {
        Decay.RunRequested();
        for (int failures = 0; Decay.IsArmed;)
        {
            long begin = Environment.TickCount64;
            for (long left; (left = begin + WaitMilliseconds(failures) - Environment.TickCount64) > 0;)
                if (sign.WaitOne((int)Math.Min(left, int.MaxValue))) Decay.RunRequested();
            AllocatorTelemetry.MakeOnce();
            LiveThresholds.Compare();
            long rounds = Decay.FullRounds;
            bool goesOn = Decay.IsArmed && Decay.Tick();
            History.NoteIfWanted(isAtRest: !goesOn);
            if (!goesOn)
            {
                NativeHeapReport.TrimIfWanted();
                break;
            }
            bool hasRested = rounds != Decay.FullRounds && !MemorySignals.IsRaised(MemorySignals.Used);
            failures = FailuresAfter(failures, hasRested);
            if (Decay.Ticks % PeriodsPerTrim == 0) NativeHeapReport.TrimIfWanted();
        }
    }

    /// <summary>How often in a row a program at rest could not get everything back, after one period more.</summary>
    internal static int FailuresAfter(int failures, bool hasRested) =>
        hasRested ? Math.Min(failures + 1, LongestBackOff) : 0;

    /// <summary>How long the next period is: twice as long with each failure.</summary>
    internal static long WaitMilliseconds(int failures) =>
        Math.Max((long)Decay.PeriodMilliseconds << failures, ShortestWaitMilliseconds);
}
