using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Threads;

namespace NativeAlloc.Release;

/// <summary>
/// Memory goes back by itself: what was not needed for a while is given back to the layer below and in the end to the
/// system, without any call. Here is when and what; <c>DecayThread</c> is the thread that does it.
/// </summary>
/// <remarks>
/// <para><b>Two states.</b> The lower layers raise <see cref="MemorySignals.Used"/> on slow paths, which costs a read
/// while it is raised.</para>
/// <code>
/// disarmed ─ Used is raised, and a slow path attends to it: the thread is woken ─→ armed
/// armed    ─ a period is over, and Used was raised in it: what was not needed in the period goes back
///          └ a period is over, and Used was not raised: everything goes back ─→ disarmed
/// </code>
/// <para>So a program at work keeps what it works with. A program that rests has everything back after two periods, and
/// from then on nothing wakes up. Fast paths raise nothing. They move what a thread has in its magazines; its list of
/// hot pages is parked with the rest, so that its next use is a slow path.</para>
/// <para><b>What an allocating thread pays</b>: the read; once per period an atomic operation; when it is the first
/// after a rest, the waking of a thread (some microseconds), and once per process its making (some hundred). It gives
/// nothing back itself, but for kept areas when the process becomes larger than ever before, and where it finds no
/// memory (<c>AllocationAttempt</c>).</para>
/// </remarks>
internal static class Decay
{
    /// <summary>In place of a period: nothing goes back by itself.</summary>
    internal const int Never = -1;

    // So much below the cap it goes down, that not each page beyond it wakes the thread.
    private const int CapSlackShift = 3;

    /// <summary>
    /// Where the machine's memory stays scarce, everything goes back again after so many periods: each period would
    /// leave a program at work no caches at all.
    /// </summary>
    private const int TicksBetweenScarceRounds = 10;

    /// <summary>1 while something may be there to give back. Any thread, by Interlocked.</summary>
    private static int s_isArmed;

    private static long s_ticks, s_fullRounds;

    /// <summary>
    /// The number of the first period at which a machine whose memory is scarce matters again. The decay's thread only.
    /// </summary>
    private static long s_scarceDue;

    private static int s_periodMilliseconds = Options.DecayMilliseconds;

    /// <summary>Whether something may be there to give back, so that time matters.</summary>
    internal static bool IsArmed => Volatile.Read(ref s_isArmed) != 0 && PeriodMilliseconds != Never;

    /// <summary>Milliseconds of a period; 0 for as soon as possible, or <see cref="Never"/>.</summary>
    internal static int PeriodMilliseconds => Volatile.Read(ref s_periodMilliseconds);

    /// <summary>Periods that ended.</summary>
    internal static long Ticks => Volatile.Read(ref s_ticks);

    /// <summary>Times that everything was given back.</summary>
    internal static long FullRounds => Volatile.Read(ref s_fullRounds);

    /// <summary>
    /// Notes that something may be there to give back. True for the first that does so since everything was: a thread
    /// has to be woken.
    /// </summary>
    internal static bool TryArm() => Volatile.Read(ref s_isArmed) == 0 && Interlocked.Exchange(ref s_isArmed, 1) == 0;

    /// <summary>
    /// As if no memory had been used: the next slow path that uses some raises its signal anew, and arms.
    /// </summary>
    internal static void Disarm()
    {
        Interlocked.Exchange(ref s_isArmed, 0);
        MemorySignals.ReadAndReset(MemorySignals.Used | MemorySignals.CapExceeded | MemorySignals.LimitNear);
    }

    /// <summary>Does what does not wait for the period's end. On the decay's thread.</summary>
    internal static void RunRequested()
    {
        int raised = MemorySignals.ReadAndReset(MemorySignals.CapExceeded | MemorySignals.LimitNear);
        if (raised == 0 || PeriodMilliseconds == Never) return;
        bool inside = MemorySignals.t_isReclaiming;
        MemorySignals.t_isReclaiming = true;
        // The limit is one of charged bytes, of which a process may have touched few: then there is no hurry.
        if ((raised & MemorySignals.LimitNear) != 0 && !ResidentBudget.TryRaise(0))
        {
            RunFullRound();
            ResidentBudget.Rearm();
        }
        else if ((raised & MemorySignals.CapExceeded) != 0)
        {
            uint cap = PageLayer.CapPages;
            PageLayer.PurgeDownTo(cap - (cap >> CapSlackShift));
        }
        MemorySignals.t_isReclaiming = inside;
    }

    /// <summary>Ends a period. False if everything was given back, and no memory was used since.</summary>
    internal static bool Tick() => Tick(Machine.ReadLoad());

    /// <summary>The same with what is known of the machine.</summary>
    internal static bool Tick(MemoryLoad load)
    {
        bool inside = MemorySignals.t_isReclaiming;
        MemorySignals.t_isReclaiming = true; // what this thread does is no use of memory
        Volatile.Write(ref s_ticks, s_ticks + 1);
        ResidentBudget.NoteMachine(load.TotalBytes);
        bool isArmed = Volatile.Read(ref s_isArmed) != 0;
        if (MemorySignals.ReadAndReset(MemorySignals.Used) == 0)
        {
            if (isArmed) isArmed = !TryEnd();
        }
        else if (IsScarceRoundDue(load.IsScarce))
        {
            RunFullRound();
        }
        else
        {
            Reclaimer.GiveBackUnneeded(PeriodMilliseconds);
        }
        MemorySignals.t_isReclaiming = inside;
        return isArmed;
    }

    // The program rests. False where the system did not take everything back, or memory is used again: then the next
    // period tries anew.
    private static bool TryEnd()
    {
        // First the lists of hot pages: a thread that takes a page out of one from now on raises a signal.
        bool isComplete = PageLayer.TryParkThreads();
        MemorySignals.t_isAtRest = true;
        RunFullRound();
        MemorySignals.t_isAtRest = false;
        SectionRelease.TakeSectionsOffline();
        if (!isComplete || PageLayer.DirtyFreePages() != 0) return false;
        if (ThreadRegistry.HasMany && ThreadRegistry.HasForgettable()) return false;
        // Disarm, then look: a thread that uses memory now raises the signal first and looks whether it has to arm
        // after that.
        Interlocked.Exchange(ref s_isArmed, 0);
        if (!MemorySignals.IsRaised(MemorySignals.Used)) return true;
        Interlocked.Exchange(ref s_isArmed, 1);
        return false;
    }

    // When the machine's memory becomes scarce, and at times while it stays so.
    private static bool IsScarceRoundDue(bool isScarce)
    {
        if (!isScarce || Ticks < Volatile.Read(ref s_scarceDue)) return false;
        Volatile.Write(ref s_scarceDue, Ticks + TicksBetweenScarceRounds);
        return true;
    }

    private static void RunFullRound()
    {
        Volatile.Write(ref s_fullRounds, s_fullRounds + 1);
        Reclaimer.GiveBack();
    }

    /// <summary>Sets period and cap. The next use of memory is the first again.</summary>
    internal static void Configure(int periodMilliseconds, uint capPages)
    {
        Volatile.Write(ref s_periodMilliseconds, periodMilliseconds);
        PageLayer.CapPages = capPages;
        Volatile.Write(ref s_scarceDue, 0);
        Disarm();
    }
}
