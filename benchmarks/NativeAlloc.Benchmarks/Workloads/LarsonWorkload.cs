using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// A server that hands memory to its successors. The calling thread allocates the blocks of all threads, shuffles them
/// and replaces four times as many. Every thread then replaces random blocks of its own share, and ends when it has
/// done its rounds, after it has started a successor on the same share: blocks are freed by threads that did not
/// allocate them, and threads come and go.
/// <para>
/// A pass is so many generations of threads, not so many seconds.
/// </para>
/// </summary>
internal sealed class LarsonWorkload : HeapWorkload
{
    public const string Kind = "larson";

    /// <summary>How often the calling thread replaces a block before the threads begin, per block.</summary>
    private const int InitialRounds = 4;

    private readonly int _blocks;
    private readonly uint _minSize;
    private readonly uint _maxSize;
    private readonly int _rounds;
    private readonly int _generations;
    private readonly int _seed;

    public LarsonWorkload(WorkloadParameters parameters)
        : base(parameters, "blocks=16:rounds=64:generations=1")
    {
        _blocks = parameters.Number("blocks", 5000, 1, 10_000_000);
        _minSize = (uint)parameters.Number("minsize", 8, 2, 1 << 20);
        _maxSize = (uint)parameters.Number("maxsize", 1000, (int)_minSize, 1 << 20);
        _rounds = parameters.Number("rounds", 1_000_000, 1, 1_000_000_000);
        _generations = parameters.Number("generations", 20, 1, 1000);
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_blocks} blocks of {_minSize}..{_maxSize} B per thread, replaced at random; threads end and hand them on; " +
        "parameters: " +
        "blocks=PER-THREAD, minsize=B, maxsize=B, rounds=PER-GENERATION-IN-ALL, generations=N, seed=N";

    public override int TeamSize(int threads) => 1;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team) => new Run<THeap, TBlock>(this, threads);

    protected override HeapWorkload Create(WorkloadParameters parameters) => new LarsonWorkload(parameters);

    private sealed class Run<THeap, TBlock>(LarsonWorkload of, int threads) : HeapRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly TBlock[] _slots = MakeResident<TBlock>(of._blocks * threads);

        private readonly int _rounds = Share(of._rounds, threads);

        /// <summary>Shares on which there still is a thread; guarded by the slots.</summary>
        private int _served;

        public override long Operations =>
            2 * (((1L + InitialRounds) * _slots.Length) + ((long)_rounds * of._generations * threads));

        public override long LiveBytes => _slots.Length * (long)(of._minSize + of._maxSize) / 2;

        public override void Pass()
        {
            Dice dice = new(of._seed, 0);
            Fill(ref dice);
            Shuffle(ref dice);
            Replace(ref dice, _slots, InitialRounds * _slots.Length);

            _served = threads;
            for (int thread = 0; thread < threads; thread++)
                StartServing(thread, 0);
            lock (_slots)
            {
                while (_served > 0)
                    Monitor.Wait(_slots);
            }

            FreeAll();
        }

        private void StartServing(int thread, int generation) => FreshThreads.Start(() => Serve(thread, generation));

        private void Serve(int thread, int generation)
        {
            Dice dice = new(of._seed, 1 + thread + (generation * threads));
            Replace(ref dice, _slots.AsSpan(thread * of._blocks, of._blocks), _rounds);
            if (generation + 1 < of._generations)
            {
                StartServing(thread, generation + 1);
                return;
            }

            lock (_slots)
            {
                _served--;
                Monitor.Pulse(_slots);
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Fill(ref Dice dice)
        {
            foreach (ref TBlock slot in _slots.AsSpan())
                slot = Allocate(ref dice);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Shuffle(ref Dice dice)
        {
            for (int i = _slots.Length - 1; i > 0; i--)
            {
                int other = (int)dice.Below((uint)i + 1);
                (_slots[i], _slots[other]) = (_slots[other], _slots[i]);
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Replace(ref Dice dice, Span<TBlock> slots, int rounds)
        {
            for (int round = 0; round < rounds; round++)
            {
                ref TBlock slot = ref slots[(int)dice.Below((uint)slots.Length)];
                THeap.Free(slot);
                slot = Allocate(ref dice);
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void FreeAll()
        {
            foreach (ref TBlock slot in _slots.AsSpan())
            {
                THeap.Free(slot);
                slot = default;
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private TBlock Allocate(ref Dice dice)
        {
            TBlock block = THeap.Alloc(dice.Between(of._minSize, of._maxSize));
            ref byte bytes = ref THeap.At(block);
            bytes = 1;
            Unsafe.Add(ref bytes, 1) = 2;
            return block;
        }
    }
}
