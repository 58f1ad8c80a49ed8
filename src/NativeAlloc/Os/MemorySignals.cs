using System.Runtime.CompilerServices;

namespace NativeAlloc.Os;

/// <summary>
/// What the lower layers have to say to the layer that gives memory back: one bit for each thing. A lower layer raises
/// a signal and does nothing else about it. The slow paths of the library's face look at the signals when an operation
/// is finished, where the thread holds no lock (<c>DecayThread.Attend</c>).
/// </summary>
/// <remarks>
/// Raising a signal that is raised already costs one read. Any thread may call any member, also under a lock. The bits
/// change by Interlocked only.
/// </remarks>
internal static class MemorySignals
{
    /// <summary>
    /// Memory was taken or given on a slow path. Raised by the page layer, the slab layer and the areas; reset by the
    /// decay's thread at the end of a period. While it is not raised the program rests.
    /// </summary>
    internal const int Used = 1;

    /// <summary>
    /// Pages were given back, and more free pages have memory than the cap allows. Raised by the page layer; reset by
    /// the decay's thread before it purges down to the cap.
    /// </summary>
    internal const int CapExceeded = 2;

    /// <summary>
    /// The charged bytes came near the resident limit. Raised by <see cref="ResidentBudget"/>; reset by the decay's
    /// thread before it gives everything back.
    /// </summary>
    internal const int LimitNear = 4;

    /// <summary>
    /// More bytes are charged than ever before. Raised by <see cref="ResidentBudget"/>; reset by the thread that
    /// attends to the signals and releases the kept areas.
    /// </summary>
    internal const int NewPeak = 8;

    /// <summary>
    /// A signal was raised that no thread has attended to. Raised together with any other; reset by the thread that
    /// attends.
    /// </summary>
    private const int Unattended = 16;

    private static int s_raised;

    /// <summary>
    /// Whether the calling thread is giving memory back (the kernel's <c>PF_MEMALLOC</c>). What it takes and gives
    /// meanwhile is no use of memory, so it raises nothing; nor does it begin to reclaim a second time. Owner thread
    /// only.
    /// </summary>
    [ThreadStatic]
    internal static bool t_isReclaiming;

    /// <summary>
    /// The calling thread gives everything back because the program rests. Owner thread only.
    /// </summary>
    [ThreadStatic]
    internal static bool t_isAtRest;

    /// <summary>
    /// Whether that is over, as memory is used again: what is left is worth more to the program than to the system.
    /// </summary>
    internal static bool IsRestOver => t_isAtRest && IsRaised(Used);

    /// <summary>Whether a signal waits for a thread that attends to it.</summary>
    internal static bool IsUnattended => (Volatile.Read(ref s_raised) & Unattended) != 0;

    internal static bool IsRaised(int signal) => (Volatile.Read(ref s_raised) & signal) != 0;

    /// <summary>Raises a signal, unless the calling thread is giving memory back.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Raise(int signal)
    {
        if ((Volatile.Read(ref s_raised) & signal) == 0) RaiseSlow(signal);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void RaiseSlow(int signal)
    {
        if (!t_isReclaiming) Interlocked.Or(ref s_raised, signal | Unattended);
    }

    /// <summary>
    /// What is raised, for a thread that attends to it now. Nothing is unattended afterwards, and the new peak is
    /// reset.
    /// </summary>
    internal static int ReadAndResetUnattended() => Interlocked.And(ref s_raised, ~(Unattended | NewPeak));

    /// <summary>Which of some signals are raised; they are reset.</summary>
    internal static int ReadAndReset(int signals) => Interlocked.And(ref s_raised, ~signals) & signals;
}
