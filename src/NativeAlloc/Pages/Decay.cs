using System.Runtime.CompilerServices;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>
/// Memory goes back by itself: what nobody needed for a while is given back to the layer below and in the end to the system, without anybody calling anything. Here is when and what;
/// <see cref="DecayThread"/> is who.
/// </summary>
/// <remarks>
/// <para><b>Three states.</b> Whoever takes or gives memory on a slow path notes it, which costs a read as long as it has been noted before:</para>
/// <code>
/// parked ─ Note: the thread is woken ─→ active
/// active ─ a period is over: Tick ─→ quiet; what was not needed in the period goes back
/// quiet  ─ Note ─→ active
///        └ a period is over: Tick ─→ parked; everything goes back
/// </code>
/// <para>So a program that is at work keeps what it works with, one that rests has everything back after two periods, and from then on nothing wakes up. Fast paths note nothing. They move
/// what a thread has in its magazines; its list of hot pages is parked with the rest, so that its next use is a slow path.</para>
/// <para><b>What an allocating thread pays</b>: the read; once per period a write; when it is the first after a rest, the waking of a thread (some microseconds), and once per process its making (some hundred).
/// It never purges here. Only a thread that finds no memory at all, or comes first after a zone fell below its mark, reclaims by itself (<see cref="Reclaimer"/>).</para>
/// </remarks>
internal static class Decay
{
    /// <summary>In place of a period: nothing goes back by itself.</summary>
    internal const int Never = -1;

    private const int Parked = 0, Quiet = 1, Active = 2;

    /// <summary>What somebody wants at once: free memory down to the cap; all that can be had, as memory is scarce; the same, as the limit is near.</summary>
    private const int CapExceeded = 1, MemoryScarce = 2, LimitNear = 4;

    // So much below the cap it goes down, that not each page beyond it wakes the thread.
    private const int CapSlackShift = 3;

    /// <summary>Any thread, by Interlocked.</summary>
    private static int s_state;

    /// <summary>By Interlocked.</summary>
    private static int s_requests;

    private static long s_ticks, s_fullRounds;

    private static int s_periodMilliseconds = Options.DecayMilliseconds;

    private static uint s_capPages = (uint)(Options.DirtyCapBytes >> LinearRegion.PageShift);

    /// <summary>Whether something may be there to give back, so that time matters.</summary>
    internal static bool IsArmed => Volatile.Read(ref s_state) != Parked && PeriodMilliseconds != Never;

    /// <summary>Somebody has come since the last period's end.</summary>
    internal static bool IsActive => Volatile.Read(ref s_state) == Active;

    /// <summary>Milliseconds of a period; 0 for as soon as possible, or <see cref="Never"/>.</summary>
    internal static int PeriodMilliseconds => Volatile.Read(ref s_periodMilliseconds);

    /// <summary>The most free pages with memory behind them that wait for a period's end.</summary>
    internal static uint CapPages => Volatile.Read(ref s_capPages);

    /// <summary>Periods that ended.</summary>
    internal static long Ticks => Volatile.Read(ref s_ticks);

    /// <summary>Times that everything was given back.</summary>
    internal static long FullRounds => Volatile.Read(ref s_fullRounds);

    /// <summary>Notes that memory was taken or given, on a slow path, where the thread holds nothing of this library.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Note()
    {
        if (Volatile.Read(ref s_state) != Active) NoteSlow();
    }

    /// <summary>The same, of pages that may have been clean.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void NoteTaken()
    {
        Note();
        if (ResidentBudget.TakeNewPeak()) Reclaimer.ReleaseAreas(all: true); // what is kept for later must not make the process larger than it ever was
        if (ResidentBudget.TakeNearDue()) Request(LimitNear);
    }

    /// <summary>The same, of pages that are free now.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void NoteGiven()
    {
        Note();
        if (PageLayer.DirtyFreePages() > CapPages) Request(CapExceeded);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void NoteSlow()
    {
        if (ReclaimingThread.t_inside) return; // what reclaim itself gives back is on its way to the system already
        if (Interlocked.Exchange(ref s_state, Active) == Parked && PeriodMilliseconds != Never && !DecayThread.TryWake()) Park();
    }

    /// <summary>Asks for a full round at once, on the decay's thread. Where nothing was taken or given since the last one, there is nothing to be had.</summary>
    internal static void RequestRound()
    {
        if (IsArmed) Request(MemoryScarce);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Request(int what)
    {
        if (ReclaimingThread.t_inside || PeriodMilliseconds == Never) return;
        if ((Volatile.Read(ref s_requests) & what) == 0 && (Interlocked.Or(ref s_requests, what) & what) == 0) DecayThread.TryWake();
    }

    /// <summary>Does what was asked for meanwhile.</summary>
    internal static void RunRequested()
    {
        int what = Interlocked.Exchange(ref s_requests, 0);
        if (what == 0) return;
        bool inside = ReclaimingThread.t_inside;
        ReclaimingThread.t_inside = true;
        // The limit is one of charged bytes, of which a process may have touched few: then there is no hurry.
        if ((what & LimitNear) != 0 && ResidentBudget.TryRaise(0)) what &= ~LimitNear;
        if ((what & (MemoryScarce | LimitNear)) != 0)
        {
            Volatile.Write(ref s_fullRounds, s_fullRounds + 1);
            Reclaimer.GiveBack();
            ResidentBudget.Rearm();
        }
        else if (what != 0)
        {
            PageLayer.PurgeDownTo(CapPages - (CapPages >> CapSlackShift));
        }
        ReclaimingThread.t_inside = inside;
    }

    /// <summary>Ends a period. False if everything was given back, and nobody has come since.</summary>
    internal static bool Tick()
    {
        bool inside = ReclaimingThread.t_inside;
        ReclaimingThread.t_inside = true; // what this thread does is nobody's activity
        Volatile.Write(ref s_ticks, s_ticks + 1);
        int state = Interlocked.CompareExchange(ref s_state, Quiet, Active);
        bool armed = state != Parked;
        if (state == Quiet)
        {
            Volatile.Write(ref s_fullRounds, s_fullRounds + 1);
            // First the lists of hot pages: who takes one out now is noted. What the system did not take back is tried again.
            bool complete = PageLayer.TryParkThreads();
            Reclaimer.GiveBack();
            armed = !complete || PageLayer.DirtyFreePages() != 0 || Interlocked.CompareExchange(ref s_state, Parked, Quiet) != Quiet;
        }
        else if (armed)
        {
            Reclaimer.GiveBackUnneeded();
        }
        ReclaimingThread.t_inside = inside;
        return armed;
    }

    /// <summary>Sets period and cap. Whoever comes next is the first.</summary>
    internal static void Configure(int periodMilliseconds, uint capPages)
    {
        Volatile.Write(ref s_periodMilliseconds, periodMilliseconds);
        Volatile.Write(ref s_capPages, capPages);
        Interlocked.Exchange(ref s_requests, 0);
        Park();
    }

    private static void Park() => Interlocked.Exchange(ref s_state, Parked);
}
