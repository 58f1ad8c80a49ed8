using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// Scattered frees and bundles across threads. In every loop a thread takes the bundles that others pushed to it, frees
/// some of its slots, which lie a prime apart, frees the foreign blocks, and fills its slots again; every second loop
/// it pushes a bundle of new blocks to the next thread. Small sizes are more frequent than large ones, by a linear law.
/// Blocks below 4 KiB are unaligned, aligned to 8 and aligned to 16 in turn.
/// <para>
/// A thread waits while the next one has too many bundles before it, and frees its own meanwhile; without that bound
/// the peak would be the scheduler's and not the allocator's.
/// </para>
/// </summary>
internal sealed class RptestWorkload : HeapWorkload
{
    public const string Kind = "rptest";

    /// <summary>The distance of the slots that a loop frees: a prime, so that it comes to all of them.</summary>
    private const int Stride = 7;

    private const uint MinBatch = 30;
    private const uint MaxAlignedSize = 4096;

    /// <summary>A multiple of three: the alignments take turns along the table.</summary>
    private const int SizesInTable = 3 * 4096;

    private readonly int _loops;
    private readonly int _slots;
    private readonly uint _maxBatch;
    private readonly int _queue;
    private readonly uint _minSize;
    private readonly uint _maxSize;
    private readonly int _seed;

    public RptestWorkload(WorkloadParameters parameters)
        : base(parameters, "loops=16:slots=64")
    {
        _loops = parameters.Number("loops", 40_000, 1, 1_000_000);
        _slots = parameters.Number("slots", 1000, 1, 1_000_000);
        _maxBatch = (uint)parameters.Number("operations", 100, (int)MinBatch + 1, 10_000) - 1;
        _queue = parameters.Number("queue", 64, 1, 100_000);
        _minSize = (uint)parameters.Number("minsize", 8, 8, 1 << 20);
        _maxSize = (uint)parameters.Number("maxsize", 16_000, (int)_minSize, 1 << 20);
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_slots} slots per thread with {_minSize}..{_maxSize} B, up to {_maxBatch} at a time freed and filled " +
        "again, bundles to the " +
        "next thread; parameters: loops=IN-ALL, slots=PER-THREAD, operations=PER-LOOP, queue=BUNDLES, minsize=B, " +
        "maxsize=B, seed=N";

    /// <summary>It asks for alignment.</summary>
    public override bool Arrays => false;

    public override int TeamSize(int threads) => threads;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team) =>
        new Run<THeap, TBlock>(this, threads, team);

    protected override HeapWorkload Create(WorkloadParameters parameters) => new RptestWorkload(parameters);

    /// <summary>
    /// How many blocks a loop frees and allocates; <see cref="Run{THeap, TBlock}.Operations"/> counts by it.
    /// </summary>
    private uint DrawBatch(ref Dice dice) => dice.Between(MinBatch, _maxBatch);

    private static bool Pushes(int loop) => loop % 2 == 1;

    /// <summary>A block, and by which function it is to be freed.</summary>
    private struct Slot<TBlock>
    {
        public TBlock Block;
        public bool IsAligned;
    }

    /// <summary>Blocks on their way to another thread.</summary>
    private sealed class Bundle<TBlock>(int capacity)
    {
        public readonly Slot<TBlock>[] Blocks = HeapRun.MakeResident<Slot<TBlock>>(capacity);
        public int Count;
        public Bundle<TBlock>? Next;

        /// <summary>How many there are from this one on.</summary>
        public int Depth;
    }

    /// <summary>What belongs to one thread.</summary>
    private sealed class Worker<TBlock>(RptestWorkload of)
    {
        public readonly Slot<TBlock>[] Slots = HeapRun.MakeResident<Slot<TBlock>>(of._slots);

        /// <summary>
        /// Used in turn. As many as the queue holds may be before the next thread while it frees as many others, and
        /// one is being filled.
        /// </summary>
        public readonly Bundle<TBlock>[] Bundles =
            [.. Enumerable.Range(0, (2 * of._queue) + 1).Select(_ => new Bundle<TBlock>((int)of._maxBatch))];

        /// <summary>Bundles that the thread before pushed, the last one first.</summary>
        public Bundle<TBlock>? Inbox;

        public Bundle<TBlock>? TakeInbox() => Interlocked.Exchange(ref Inbox, null);
    }

    private sealed class Run<THeap, TBlock> : HeapRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly RptestWorkload _of;
        private readonly ThreadTeam _team;
        private readonly int _loops;
        private readonly Worker<TBlock>[] _workers;
        private readonly uint[] _sizes = new uint[SizesInTable];

        /// <summary>Threads that still push.</summary>
        private int _pushing;

        public Run(RptestWorkload of, int threads, ThreadTeam team)
        {
            _of = of;
            _team = team;
            _loops = Share(of._loops, threads);
            _workers = [.. Enumerable.Range(0, threads).Select(_ => new Worker<TBlock>(of))];

            Dice dice = new(of._seed, -1);
            foreach (ref uint size in _sizes.AsSpan())
                size = of._minSize + (uint)((of._maxSize - of._minSize) * (1 - Math.Sqrt(dice.Fraction())));
            Operations = CountOperations();
        }

        public override long Operations { get; }

        /// <summary>With all slots full and the queues, too; the mean is at a third of the range.</summary>
        public override long LiveBytes => _workers.Length *
            (_of._slots
                + ((_workers.Length == 1 ? 1 : Math.Min(_of._queue, _loops / 2)) * (MinBatch + _of._maxBatch) / 2)) *
            (_of._minSize + ((_of._maxSize - _of._minSize) / 3));

        public override void Pass()
        {
            _pushing = _workers.Length;
            _team.Run(Work);
        }

        private void Work(int thread)
        {
            Worker<TBlock> worker = _workers[thread], next = _workers[(thread + 1) % _workers.Length];
            Dice dice = new(_of._seed, thread);
            for (int loop = 0; loop < _loops; loop++)
                Loop(worker, next, loop, ref dice);
            FreeAll(worker.Slots);

            // Who has done its loops first is still pushed to.
            Interlocked.Decrement(ref _pushing);
            while (Volatile.Read(ref _pushing) > 0)
                FreeInboxAndYield(worker);
            FreeBundles(worker.TakeInbox());
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Loop(Worker<TBlock> worker, Worker<TBlock> next, int loop, ref Dice dice)
        {
            Bundle<TBlock>? foreign = worker.TakeInbox();
            Slot<TBlock>[] slots = worker.Slots;
            uint batch = DrawAll(ref dice, out uint pushed, out uint first, out uint sizeAt, loop);

            uint at = first % (uint)slots.Length;
            for (uint i = 0; i < batch; i++)
            {
                Free(ref slots[at]);
                at = (at + Stride) % (uint)slots.Length;
            }

            FreeBundles(foreign);

            at = first % (uint)slots.Length;
            for (uint i = 0; i < batch; i++)
            {
                // With few slots the stride may come to one again within the batch.
                Free(ref slots[at]);
                Allocate(ref slots[at], ref sizeAt);
                at = (at + Stride) % (uint)slots.Length;
            }

            if (pushed > 0)
            {
                while (Volatile.Read(ref next.Inbox) is { } head && head.Depth >= _of._queue)
                    FreeInboxAndYield(worker);
                Push(worker.Bundles[loop / 2 % worker.Bundles.Length], next, pushed, ref sizeAt);
            }
        }

        private uint DrawAll(ref Dice dice, out uint pushed, out uint first, out uint sizeAt, int loop)
        {
            uint batch = _of.DrawBatch(ref dice);
            pushed = Pushes(loop) ? _of.DrawBatch(ref dice) : 0;
            first = dice.Below(uint.MaxValue);
            sizeAt = dice.Below(SizesInTable);
            return batch;
        }

        private void Push(Bundle<TBlock> bundle, Worker<TBlock> to, uint count, ref uint sizeAt)
        {
            bundle.Count = (int)count;
            for (int i = 0; i < bundle.Count; i++)
                Allocate(ref bundle.Blocks[i], ref sizeAt);

            Bundle<TBlock>? head;
            do
            {
                head = Volatile.Read(ref to.Inbox);
                bundle.Next = head;
                bundle.Depth = head is null ? 1 : head.Depth + 1;
            }
            while (Interlocked.CompareExchange(ref to.Inbox, bundle, head) != head);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Allocate(ref Slot<TBlock> slot, ref uint sizeAt)
        {
            uint index = sizeAt;
            sizeAt = index + 1 == SizesInTable ? 0 : index + 1;
            uint size = _sizes[index], turn = index % 3;
            slot.IsAligned = turn != 0 && size < MaxAlignedSize;
            slot.Block = slot.IsAligned ? THeap.AlignedAlloc(size, turn * 8) : THeap.Alloc(size);

            ref byte bytes = ref THeap.At(slot.Block);
            Unsafe.As<byte, ulong>(ref bytes) = size;
            BlockBytes.TouchPages(ref bytes, size, 4096);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Free(ref Slot<TBlock> slot)
        {
            if (THeap.IsNone(slot.Block))
                return;
            if (slot.IsAligned)
                THeap.AlignedFree(slot.Block);
            else
                THeap.Free(slot.Block);
            slot.Block = default;
        }

        private static void FreeAll(Span<Slot<TBlock>> slots)
        {
            foreach (ref Slot<TBlock> slot in slots)
                Free(ref slot);
        }

        private static void FreeInboxAndYield(Worker<TBlock> worker)
        {
            FreeBundles(worker.TakeInbox());
            Thread.Yield();
        }

        private static void FreeBundles(Bundle<TBlock>? bundle)
        {
            for (; bundle is not null; bundle = bundle.Next)
                FreeAll(bundle.Blocks.AsSpan(0, bundle.Count));
        }

        /// <summary>Draws what the threads will draw. All that is allocated is freed once.</summary>
        private long CountOperations()
        {
            long allocations = 0;
            for (int thread = 0; thread < _workers.Length; thread++)
            {
                Dice dice = new(_of._seed, thread);
                for (int loop = 0; loop < _loops; loop++)
                    allocations += DrawAll(ref dice, out uint pushed, out _, out _, loop) + pushed;
            }

            return 2 * allocations;
        }
    }
}
