using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// Every thread frees and allocates random slots of its own, and fills the blocks. Their sizes follow an inverse-square
/// law: small ones are by far the most frequent. No block goes from thread to thread.
/// </summary>
internal sealed class GlibcThreadWorkload : HeapWorkload
{
    public const string Kind = "glibc-thread";

    /// <summary>A power of two. Sizes are drawn from a table: computing them would cost more than allocating.</summary>
    private const int SizesInTable = 8192;

    private readonly int _slots;
    private readonly int _rounds;
    private readonly int _minSize;
    private readonly int _maxSize;
    private readonly int _seed;

    public GlibcThreadWorkload(WorkloadParameters parameters)
        : base(parameters, "slots=16:rounds=64")
    {
        _slots = parameters.Number("slots", 1024, 1, 10_000_000);
        _rounds = parameters.Number("rounds", 8_000_000, 1, 1_000_000_000);
        _minSize = parameters.Number("minsize", 4, 1, 1 << 20);
        _maxSize = parameters.Number("maxsize", 32_768, _minSize, 1 << 24);
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_slots} slots per thread with {_minSize}..{_maxSize} B by an inverse-square law, freed and allocated at " +
        "random; parameters: " +
        "slots=PER-THREAD, rounds=IN-ALL, minsize=B, maxsize=B, seed=N";

    public override int TeamSize(int threads) => threads;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team) =>
        new Run<THeap, TBlock>(this, threads, team);

    protected override HeapWorkload Create(WorkloadParameters parameters) => new GlibcThreadWorkload(parameters);

    private sealed class Run<THeap, TBlock> : HeapRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly GlibcThreadWorkload _of;
        private readonly ThreadTeam _team;
        private readonly TBlock[][] _slots;
        private readonly int _rounds;
        private readonly uint[] _sizes = new uint[SizesInTable];

        public Run(GlibcThreadWorkload of, int threads, ThreadTeam team)
        {
            _of = of;
            _team = team;
            _rounds = Share(of._rounds, threads);
            _slots = [.. Enumerable.Range(0, threads).Select(_ => MakeResident<TBlock>(of._slots))];

            // The law's distribution function, turned around.
            Dice dice = new(of._seed, -1);
            double least = 1.0 / of._maxSize, most = 1.0 / of._minSize;
            foreach (ref uint size in _sizes.AsSpan())
                size = (uint)(1 / (most - (dice.Fraction() * (most - least))));
        }

        public override long Operations => 2L * _slots.Length * (_of._slots + _rounds);

        public override long LiveBytes => (long)_slots.Length * _of._slots * _sizes.Sum(size => size) / SizesInTable;

        public override void Pass() => _team.Run(Work);

        private void Work(int thread)
        {
            Dice dice = new(_of._seed, thread);
            TBlock[] slots = _slots[thread];
            Fill(slots, ref dice);
            Replace(slots, ref dice);
            FreeAll(slots);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Fill(TBlock[] slots, ref Dice dice)
        {
            foreach (ref TBlock slot in slots.AsSpan())
                slot = Allocate(ref dice);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Replace(TBlock[] slots, ref Dice dice)
        {
            for (int round = 0; round < _rounds; round++)
            {
                ref TBlock slot = ref slots[dice.Below((uint)slots.Length)];
                THeap.Free(slot);
                slot = Allocate(ref dice);
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void FreeAll(TBlock[] slots)
        {
            foreach (ref TBlock slot in slots.AsSpan())
            {
                THeap.Free(slot);
                slot = default;
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private TBlock Allocate(ref Dice dice)
        {
            uint size = _sizes[dice.Below(SizesInTable)];
            TBlock block = THeap.Alloc(size);
            BlockBytes.Fill(ref THeap.At(block), size, 1);
            return block;
        }
    }
}
