using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <summary>What happened. The number is the bit in the set of kinds that are wanted.</summary>
internal enum EventKind
{
    /// <summary>Slabs were made: bytes of an object, number of slabs.</summary>
    SlabsMade,

    /// <summary>Slabs went back to the page layer: bytes of an object, number of slabs.</summary>
    SlabsGiven,

    /// <summary>A section came online: first page, number of pages.</summary>
    SectionOnline,

    /// <summary>Pages came from another node than was wanted: pages, the node they came from.</summary>
    PageFallback,

    /// <summary>Memory went back to the system: bytes.</summary>
    Purged,

    /// <summary>Memory was reclaimed because it ran short: bytes that the shrinkers were asked for.</summary>
    Reclaimed,

    /// <summary>An allocation ran into the resident limit: charged bytes, the limit.</summary>
    LimitHit,

    /// <summary>A thread took over the block of a dead thread: the new owner's id.</summary>
    Adopted,

    /// <summary>The profiler sampled an allocation: its address, its bytes.</summary>
    Sampled,
}

/// <summary>One event.</summary>
/// <param name="Kind">What happened; it says what the two numbers are.</param>
/// <param name="Timestamp">When, in ticks of <see cref="Stopwatch"/>.</param>
/// <param name="ThreadId">The managed thread on which it happened.</param>
internal readonly record struct AllocatorEvent(EventKind Kind, long Timestamp, int ThreadId, ulong First, ulong Second);

/// <summary>
/// What the layers have to tell of single events, on its way to those who listen: a ring that any thread writes, also
/// under a lock, and that one thread reads. So no listener's code ever runs inside of the allocator. An event that
/// finds the ring full is counted and dropped. While nobody listens an event costs one read.
/// </summary>
/// <remarks>
/// Each entry has a sequence number that says whose turn it is (Vyukov's bounded queue): the entry of position p is
/// free for the writer of p while it holds p, and full for the reader while it holds p + 1.
/// </remarks>
internal static unsafe class EventRing
{
    private const int Entries = 4096;

    [StructLayout(LayoutKind.Sequential)]
    private struct Entry
    {
        /// <summary>By Volatile; see the remarks.</summary>
        public long Sequence;

        /// <summary>Written by the writer whose turn it is, before the sequence.</summary>
        public AllocatorEvent Event;
    }

    /// <summary>Bits of the kinds that are wanted. Any thread, by Volatile.</summary>
    private static int s_wanted;

    /// <summary>The ring; null before anybody listened. By Volatile, written once.</summary>
    private static Entry[]? s_entries;

    /// <summary>The next position to write, by Interlocked.</summary>
    private static long s_tail;

    /// <summary>The next position to read. Only for the thread that reads.</summary>
    private static long s_head;

    /// <summary>Events that found the ring full. By Interlocked.</summary>
    private static long s_dropped;

    /// <summary>Tells of an event, if anybody wants to know. Any thread, also under a lock.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Raise(EventKind kind, ulong first, ulong second = 0)
    {
        if ((Volatile.Read(ref s_wanted) >> (int)kind & 1) != 0) Write(kind, first, second);
    }

    /// <summary>Sets which kinds are wanted from now on, by their bits. Allocates managed memory once.</summary>
    internal static void Want(int kinds)
    {
        if (kinds != 0 && Volatile.Read(ref s_entries) == null) Volatile.Write(ref s_entries, Make());
        Volatile.Write(ref s_wanted, kinds);
    }

    /// <summary>Events that found the ring full since this was asked last.</summary>
    internal static long ReadAndResetDropped() => Interlocked.Exchange(ref s_dropped, 0);

    /// <summary>Reads the oldest event. One thread at a time.</summary>
    internal static bool TryRead(out AllocatorEvent next)
    {
        next = default;
        if (Volatile.Read(ref s_entries) is not { } entries) return false;
        ref Entry entry = ref entries[(int)(s_head % Entries)];
        if (Volatile.Read(ref entry.Sequence) != s_head + 1) return false;
        next = entry.Event;
        Volatile.Write(ref entry.Sequence, s_head + Entries);
        s_head++;
        return true;
    }

    private static Entry[] Make()
    {
        Entry[] entries = new Entry[Entries];
        for (int i = 0; i < Entries; i++) entries[i].Sequence = i;
        return entries;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Write(EventKind kind, ulong first, ulong second)
    {
        Entry[] entries = Volatile.Read(ref s_entries)!; // there before any kind is wanted
        while (true)
        {
            long position = Volatile.Read(ref s_tail);
            ref Entry entry = ref entries[(int)(position % Entries)];
            long turn = Volatile.Read(ref entry.Sequence) - position;
            if (turn < 0)
            {
                Interlocked.Increment(ref s_dropped);
                return;
            }
            if (turn > 0 || Interlocked.CompareExchange(ref s_tail, position + 1, position) != position) continue;
            entry.Event = new AllocatorEvent(
                kind, Stopwatch.GetTimestamp(), Environment.CurrentManagedThreadId, first, second);
            Volatile.Write(ref entry.Sequence, position + 1);
            return;
        }
    }
}
