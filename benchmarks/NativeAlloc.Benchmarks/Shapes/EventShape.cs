using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>
/// Many threads make events of a few blocks each and put them into shared slots; the event that was there is freed by
/// the thread that finds it, which in most cases did not make it.
/// </summary>
internal sealed unsafe class EventShape : ShapeWorkload
{
    public const string Kind = "events";

    private const int MinBlocks = 5, MaxBlocks = 24;

    /// <summary>
    /// An event is a record in memory of the shape's own: its blocks' number, their bytes, and the blocks.
    /// </summary>
    private const int RecordWords = 2 + MaxBlocks;

    private readonly int _threads;
    private readonly int _events;
    private readonly int _slots;
    private readonly int _restMs;
    private readonly int _seed;

    public EventShape(WorkloadParameters parameters)
        : base(parameters, "threads=2:events=16:slots=4:rest=0")
    {
        _threads = parameters.Number("threads", 50, 1, 10_000);
        _events = parameters.Number("events", 60_000, 1, 100_000_000);
        _slots = parameters.Number("slots", 5000, 1, 1_000_000);
        _restMs = parameters.Number("rest", 3000, 0, 3_600_000);
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_threads} threads pass {_events} events of {MinBlocks} to {MaxBlocks} blocks through {_slots} " +
        "shared slots; parameters: " +
        "threads=N, events=IN-ALL, slots=N, rest=MS, seed=N";

    public override void Run<TAllocator>(ShapeRun run)
    {
        // Each thread has a record to make its next event in, and each slot may hold another.
        int records = _slots + _threads, used = _threads;
        nint* pool = (nint*)MappedPages.Allocate((nuint)records * RecordWords * (nuint)sizeof(nint));
        int[] slots = HeapRun.MakeResident<int>(_slots);
        run.BeginHere();
        _ = ResidentMemory.ResetPeak();
        long baseKiB = ResidentMemory.ResetPeak(), live = 0, maxLive = 0, blocks = 0;
        FreshThreads.Run(_threads, thread =>
        {
            Dice dice = new(_seed, thread);
            int spare = thread;
            for (int i = Math.Max(1, _events / _threads); i > 0; i--)
            {
                nint* record = pool + ((long)spare * RecordWords);
                Make<TAllocator>(record, ref dice);
                long now = Interlocked.Add(ref live, record[1]);
                RaiseTo(ref maxLive, now);
                Interlocked.Add(ref blocks, record[0]);

                // Slots hold a record's number plus one; the record that comes out is the thread's spare one.
                int old = Interlocked.Exchange(ref slots[dice.Below((uint)_slots)], spare + 1);
                spare = old != 0 ? old - 1 : Interlocked.Increment(ref used) - 1;
                Interlocked.Add(ref live, -Free<TAllocator>(pool + ((long)spare * RecordWords)));
            }
        });
        run.Note("peakPerMaxLive", (ResidentMemory.PeakKiB - baseKiB) * 1024 / (double)maxLive);
        run.Note("peakKiB", ResidentMemory.PeakKiB - baseKiB);
        run.NoteResident("end", live);
        for (int i = 0; i < records; i++)
            Free<TAllocator>(pool + ((long)i * RecordWords));
        run.Idle(_restMs);
        run.NoteResident("freed", 0);
        run.CountOperations(2 * blocks);
    }

    protected override ShapeWorkload Create(WorkloadParameters parameters) => new EventShape(parameters);

    private static void Make<TAllocator>(nint* record, ref Dice dice)
        where TAllocator : struct, IAllocator
    {
        int count = (int)dice.Between(MinBlocks, MaxBlocks);
        nint bytes = 0;
        for (int i = 0; i < count; i++)
        {
            double largest = i == 0 ? 65_536 : 2048; // the event's payload, and small parts
            nuint size = (nuint)(16 * Math.Pow(largest / 16, dice.Fraction()));
            byte* block = (byte*)TAllocator.Alloc(size);
            Blocks<TAllocator>.Touch(block, 0, size, 1);
            record[2 + i] = (nint)block;
            bytes += (nint)size;
        }

        record[0] = count;
        record[1] = bytes;
    }

    /// <summary>Frees an event's blocks, if the record has one; returns their bytes.</summary>
    private static long Free<TAllocator>(nint* record)
        where TAllocator : struct, IAllocator
    {
        long bytes = record[1];
        for (int i = 0; i < record[0]; i++)
            TAllocator.Free((void*)record[2 + i]);
        record[0] = record[1] = 0;
        return bytes;
    }

    private static void RaiseTo(ref long max, long value)
    {
        long seen = Volatile.Read(ref max);
        while (value > seen && Interlocked.CompareExchange(ref max, value, seen) is var now && now != seen)
            seen = now;
    }
}
