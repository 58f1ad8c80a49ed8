using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// Producers allocate, consumers free: no block is ever freed by the thread that allocated it. For N threads there are
/// N of either kind. A producer fills a batch and pushes it on a stack that all share, and waits while that is full; a
/// consumer pops a batch and frees what is in it.
/// <para>
/// The batches themselves are made beforehand and used again, so every operation is one on a block. How many batches
/// wait at a time is up to the scheduler, and the peak with it: it is bounded by the full stack.
/// </para>
/// </summary>
internal sealed class XmallocWorkload : HeapWorkload
{
    public const string Kind = "xmalloc";

    private static readonly uint[] s_mixedSizes =
        [8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048];

    private readonly int _batch;
    private readonly int _batches;
    private readonly int _queue;
    private readonly uint[] _sizes;
    private readonly int _seed;

    public XmallocWorkload(WorkloadParameters parameters)
        : base(parameters, "batch=16:batches=4:queue=2")
    {
        _batch = parameters.Number("batch", 4096, 1, 1 << 20);
        _batches = parameters.Number("batches", 4000, 1, 10_000_000);
        _queue = parameters.Number("queue", 100, 1, 100_000);
        uint size = (uint)parameters.Number("size", 64, 1, 1 << 20);
        _sizes = parameters.Choice("sizes", "fixed", "mixed") == "fixed" ? [size] : s_mixedSizes;
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"N threads allocate batches of {_batch} blocks, N others free them; parameters: batch=BLOCKS, " +
        "batches=IN-ALL, " +
        "queue=BATCHES, size=B, sizes=fixed|mixed, seed=N";

    public override int TeamSize(int threads) => 2 * threads;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team) =>
        new Run<THeap, TBlock>(this, threads, team);

    protected override HeapWorkload Create(WorkloadParameters parameters) => new XmallocWorkload(parameters);

    private sealed class Run<THeap, TBlock> : HeapRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly XmallocWorkload _of;
        private readonly int _producers;
        private readonly int _batches;
        private readonly ThreadTeam _team;

        // All three are guarded by the first, which also is what threads wait on.
        private readonly Stack<TBlock[]> _full;
        private readonly Stack<TBlock[]> _empty;
        private int _producing;

        public Run(XmallocWorkload of, int threads, ThreadTeam team)
        {
            _of = of;
            _producers = threads;
            _batches = Share(of._batches, threads);
            _team = team;

            // On top of the queue's: every producer may exceed it by one and hold another, and every consumer holds
            // one.
            int batches = of._queue + (3 * threads);
            _full = new Stack<TBlock[]>(batches);
            _empty = new Stack<TBlock[]>(batches);
            for (int i = 0; i < batches; i++)
                _empty.Push(MakeResident<TBlock>(of._batch));
        }

        public override long Operations => 2L * _producers * _batches * _of._batch;

        /// <summary>With all batches full.</summary>
        public override long LiveBytes =>
            Math.Min(_of._queue + (2L * _producers), (long)_producers * _batches) *
            _of._batch * _of._sizes.Sum(size => size) / _of._sizes.Length;

        public override void Pass()
        {
            _producing = _producers;
            _team.Run(Work);
        }

        private void Work(int index)
        {
            if (index < _producers)
                Produce(index);
            else
                Consume();
        }

        private void Produce(int index)
        {
            Dice dice = new(_of._seed, index);
            for (int i = 0; i < _batches; i++)
            {
                TBlock[] batch;
                lock (_full)
                {
                    while (_full.Count >= _of._queue)
                        Monitor.Wait(_full);
                    batch = _empty.Pop();
                }

                Fill(batch, ref dice);
                lock (_full)
                {
                    _full.Push(batch);
                    Monitor.PulseAll(_full);
                }
            }

            lock (_full)
            {
                _producing--;
                Monitor.PulseAll(_full);
            }
        }

        private void Consume()
        {
            while (true)
            {
                TBlock[] batch;
                lock (_full)
                {
                    while (_full.Count == 0)
                    {
                        if (_producing == 0)
                            return;
                        Monitor.Wait(_full);
                    }

                    batch = _full.Pop();
                    Monitor.PulseAll(_full);
                }

                FreeAll(batch);
                lock (_full)
                    _empty.Push(batch);
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Fill(TBlock[] batch, ref Dice dice)
        {
            uint[] sizes = _of._sizes;
            foreach (ref TBlock slot in batch.AsSpan())
            {
                uint size = sizes.Length == 1 ? sizes[0] : sizes[dice.Below((uint)sizes.Length)];
                TBlock block = THeap.Alloc(size);
                BlockBytes.TouchEnds(ref THeap.At(block), size);
                slot = block;
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void FreeAll(TBlock[] batch)
        {
            foreach (ref TBlock slot in batch.AsSpan())
            {
                THeap.Free(slot);
                slot = default;
            }
        }
    }
}
