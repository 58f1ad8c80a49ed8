using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// Large zeroed buffers: a random owner gets a new one, which is made before its old one is freed. A byte is written
/// every 4 KiB, as the owner would use what it asked for; otherwise it would not matter how the zeros come about.
/// Several threads share the owners and the rounds among themselves.
/// </summary>
internal sealed class MallocLargeWorkload : HeapWorkload
{
    public const string Kind = "malloc-large";

    private readonly int _owners;
    private readonly int _rounds;
    private readonly uint _minKiB;
    private readonly uint _maxKiB;
    private readonly int _seed;

    public MallocLargeWorkload(WorkloadParameters parameters)
        : base(parameters, "owners=1:rounds=1:min=512:max=512")
    {
        _owners = parameters.Number("owners", 20, 1, 100_000);
        _rounds = parameters.Number("rounds", 200, 1, 100_000_000);
        _minKiB = (uint)parameters.Number("min", 5 * 1024, 1, 1 << 20);
        _maxKiB = (uint)parameters.Number("max", 25 * 1024, (int)_minKiB, 1 << 20);
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_owners} owners of zeroed buffers of {_minKiB / 1024}..{_maxKiB / 1024} MiB, a random one gets a new one; " +
        "parameters: " +
        "owners=IN-ALL, rounds=IN-ALL, min=KIB, max=KIB, seed=N";

    public override int TeamSize(int threads) => threads;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team) =>
        new Run<THeap, TBlock>(this, threads, team);

    protected override HeapWorkload Create(WorkloadParameters parameters) => new MallocLargeWorkload(parameters);

    private sealed class Run<THeap, TBlock> : HeapRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly MallocLargeWorkload _of;
        private readonly ThreadTeam _team;
        private readonly TBlock[][] _owners;
        private readonly int _rounds;

        public Run(MallocLargeWorkload of, int threads, ThreadTeam team)
        {
            _of = of;
            _team = team;
            _owners = [.. Enumerable.Range(0, threads).Select(_ => new TBlock[Share(of._owners, threads)])];
            _rounds = Share(of._rounds, threads);
        }

        public override long Operations => 2L * _owners.Length * _rounds;

        /// <summary>With all owners having one, and each thread another.</summary>
        public override long LiveBytes =>
            _owners.Length * (_owners[0].Length + 1L) * (_of._minKiB + _of._maxKiB) / 2 * 1024;

        public override void Pass() => _team.Run(Work);

        private void Work(int thread)
        {
            Dice dice = new(_of._seed, thread);
            for (int round = 0; round < _rounds; round++)
                Replace(ref _owners[thread][dice.Below((uint)_owners[thread].Length)],
                    dice.Between(_of._minKiB, _of._maxKiB) * 1024);
            foreach (ref TBlock owned in _owners[thread].AsSpan())
                Free(ref owned);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Replace(ref TBlock owned, uint bytes)
        {
            TBlock block = THeap.AllocZeroed(bytes);
            BlockBytes.TouchPages(ref THeap.At(block), bytes);
            Free(ref owned);
            owned = block;
        }

        private static void Free(ref TBlock owned)
        {
            if (THeap.IsNone(owned))
                return;
            THeap.Free(owned);
            owned = default;
        }
    }
}
