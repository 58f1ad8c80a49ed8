using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <summary>
/// A spin lock that lives in native memory: eight bytes, no managed object, and never a wait that
/// <see cref="Thread.Interrupt"/> can break, as an allocator left half-way would be torn. Critical sections are short,
/// so a waiter spins, then yields, and sleeps only when the holder has lost its processor for long. Only growing a
/// table or bringing a section online makes a system call under a lock. Not reentrant.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 8)]
internal struct NativeLock
{
    /// <summary>0 free, 1 held. Any thread; only by <see cref="Interlocked"/> and <see cref="Volatile"/>.</summary>
    [FieldOffset(0)] private int _held;

    /// <summary>How often it was taken; written by the holder only.</summary>
    [FieldOffset(4)] private uint _acquisitions;

    private const int SpinsBeforeYield = 40, YieldsBeforeSleep = 200, SleepMicroseconds = 50;

    internal uint Acquisitions => Volatile.Read(ref _acquisitions);

    internal bool IsHeld => Volatile.Read(ref _held) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Acquire()
    {
        SchedulePoint.Reach();
        if (Interlocked.CompareExchange(ref _held, 1, 0) != 0) AcquireSlow();
        Volatile.Write(ref _acquisitions, unchecked(_acquisitions + 1));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Release()
    {
        Debug.Assert(IsHeld, "a lock that is released is held");
        Volatile.Write(ref _held, 0);
        SchedulePoint.Reach();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void AcquireSlow()
    {
        for (int round = 0; ; round++)
        {
            // Test before test-and-set: waiters then share the line instead of taking it from each other.
            if (Volatile.Read(ref _held) == 0 && Interlocked.CompareExchange(ref _held, 1, 0) == 0) return;
            SchedulePoint.GiveWay();
            if (round < SpinsBeforeYield) Thread.SpinWait(1 << Math.Min(round / 8, 4));
            else if (round < SpinsBeforeYield + YieldsBeforeSleep) Thread.Yield();
            else Platform.Current.Sleep(SleepMicroseconds);
        }
    }
}
