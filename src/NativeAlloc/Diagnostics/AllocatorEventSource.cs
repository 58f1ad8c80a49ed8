using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Diagnostics.Tracing;
using NativeAlloc.Os;

namespace NativeAlloc.Diagnostics;

/// <summary>
/// The event source named <c>NativeAlloc</c>, for dotnet-trace, event listeners and the tool <c>nativealloc</c>. What
/// the layers tell of themselves comes out of <see cref="EventRing"/>: it is written on a thread of its own, a little
/// later than it happened, so each event has its own time and thread.
/// </summary>
[EventSource(Name = "NativeAlloc")]
internal sealed unsafe partial class AllocatorEventSource : EventSource
{
    /// <summary>What can be asked for. All that the events use must be here: else nothing of them arrives.</summary>
    public static class Keywords // the runtime finds a public one only
    {
        public const EventKeywords Slabs = (EventKeywords)1;
        public const EventKeywords Pages = (EventKeywords)2;
        public const EventKeywords Purge = (EventKeywords)4;
        public const EventKeywords Reclaim = (EventKeywords)8;
        public const EventKeywords Threads = (EventKeywords)16;
        public const EventKeywords Samples = (EventKeywords)32;
        public const EventKeywords Figures = (EventKeywords)64;
        public const EventKeywords Reports = (EventKeywords)128;
    }

    // By kind: the keyword under which it is asked for.
    private static readonly EventKeywords[] s_keywords =
    [
        Keywords.Slabs, Keywords.Slabs, Keywords.Pages, Keywords.Pages, Keywords.Purge, Keywords.Reclaim,
        Keywords.Reclaim, Keywords.Threads, Keywords.Samples,
    ];

    /// <summary>Slabs were made.</summary>
    [Event(1, Keywords = Keywords.Slabs, Level = EventLevel.Informational)]
    public void SlabsMade(long microseconds, long threadId, long objectBytes, long slabs) =>
        Send(1, microseconds, threadId, objectBytes, slabs);

    /// <summary>Slabs went back to the page layer.</summary>
    [Event(2, Keywords = Keywords.Slabs, Level = EventLevel.Informational)]
    public void SlabsGiven(long microseconds, long threadId, long objectBytes, long slabs) =>
        Send(2, microseconds, threadId, objectBytes, slabs);

    /// <summary>A section came online.</summary>
    [Event(3, Keywords = Keywords.Pages, Level = EventLevel.Informational)]
    public void SectionOnline(long microseconds, long threadId, long firstPage, long pages) =>
        Send(3, microseconds, threadId, firstPage, pages);

    /// <summary>Pages came from another node than was wanted.</summary>
    [Event(4, Keywords = Keywords.Pages, Level = EventLevel.Informational)]
    public void PageFallback(long microseconds, long threadId, long pages, long node) =>
        Send(4, microseconds, threadId, pages, node);

    /// <summary>Memory went back to the system.</summary>
    [Event(5, Keywords = Keywords.Purge, Level = EventLevel.Informational)]
    public void Purged(long microseconds, long threadId, long bytes, long reserved) =>
        Send(5, microseconds, threadId, bytes, reserved);

    /// <summary>Memory was reclaimed because it ran short.</summary>
    [Event(6, Keywords = Keywords.Reclaim, Level = EventLevel.Warning)]
    public void Reclaimed(long microseconds, long threadId, long wantedBytes, long reserved) =>
        Send(6, microseconds, threadId, wantedBytes, reserved);

    /// <summary>An allocation ran into the resident limit.</summary>
    [Event(7, Keywords = Keywords.Reclaim, Level = EventLevel.Warning)]
    public void LimitHit(long microseconds, long threadId, long chargedBytes, long limitBytes) =>
        Send(7, microseconds, threadId, chargedBytes, limitBytes);

    /// <summary>A thread took over the caches of a thread that had ended.</summary>
    [Event(8, Keywords = Keywords.Threads, Level = EventLevel.Informational)]
    public void Adopted(long microseconds, long threadId, long newOwnerId, long reserved) =>
        Send(8, microseconds, threadId, newOwnerId, reserved);

    /// <summary>The profiler sampled an allocation.</summary>
    [Event(9, Keywords = Keywords.Samples, Level = EventLevel.Informational)]
    public void AllocationSampled(long microseconds, long threadId, long address, long bytes) =>
        Send(9, microseconds, threadId, address, bytes);

    /// <summary>Events were lost, as they came faster than they could be written.</summary>
    [Event(10, Level = EventLevel.Warning)]
    public void Dropped(long events) => WriteEvent(10, events);

    /// <summary>Passes on what the ring has, to <see cref="Dropped"/> at the end. One thread at a time.</summary>
    [NonEvent]
    internal void PassOn()
    {
        while (EventRing.TryRead(out AllocatorEvent next)) Pass(next);
        long dropped = EventRing.ReadAndResetDropped();
        if (dropped != 0) Dropped(dropped);
    }

    /// <summary>The kinds of the ring that somebody listens to, by their bits.</summary>
    [NonEvent]
    internal int WantedKinds()
    {
        int kinds = 0;
        for (int kind = 0; kind < s_keywords.Length; kind++)
            if (IsEnabled(EventLevel.Warning, s_keywords[kind])) kinds |= 1 << kind;
        return kinds;
    }

    /// <inheritdoc/>
    protected override void OnEventCommand(EventCommandEventArgs command)
    {
        ArgumentNullException.ThrowIfNull(command);
        NoteAsked(command);
        Change();
    }

    [NonEvent]
    private void Pass(in AllocatorEvent next)
    {
        long first = (long)next.First, second = (long)next.Second, thread = next.ThreadId;
        long time = (long)(next.Timestamp * (1e6 / Stopwatch.Frequency));
        switch (next.Kind)
        {
            case EventKind.SlabsMade: SlabsMade(time, thread, first, second); break;
            case EventKind.SlabsGiven: SlabsGiven(time, thread, first, second); break;
            case EventKind.SectionOnline: SectionOnline(time, thread, first, second); break;
            case EventKind.PageFallback: PageFallback(time, thread, first, second); break;
            case EventKind.Purged: Purged(time, thread, first, second); break;
            case EventKind.Reclaimed: Reclaimed(time, thread, first, second); break;
            case EventKind.LimitHit: LimitHit(time, thread, first, second); break;
            case EventKind.Adopted: Adopted(time, thread, first, second); break;
            case EventKind.Sampled: AllocationSampled(time, thread, first, second); break;
        }
    }

    // Four numbers without an array.
    [NonEvent]
    [UnconditionalSuppressMessage("Trimming", "IL2026", Justification = "Whole numbers have no properties to trim.")]
    private void Send(int id, long one, long two, long three, long four)
    {
        long* numbers = stackalloc long[] { one, two, three, four };
        EventData* data = stackalloc EventData[4];
        for (int i = 0; i < 4; i++) data[i] = new EventData { DataPointer = (nint)(numbers + i), Size = sizeof(long) };
        WriteEventCore(id, 4, data);
    }
}
