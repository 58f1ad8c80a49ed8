using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// A burst of load: threads allocate a great many small blocks, free them all and are idle then, but alive. What is
/// resident is noted every second while nobody calls the allocator.
/// <para>
/// In <c>survivors</c> the burst comes again and again, and each time a random block in every hundred stays until the
/// next one's have been chosen. What is resident is noted some seconds after each; it should not grow from burst to
/// burst.
/// </para>
/// </summary>
internal sealed class SpikeWorkload : ResidentWorkload
{
    public const string Spike = "spike";
    public const string Survivors = "survivors";

    private readonly int _workers;
    private readonly int _mib;
    private readonly SizeLaw _sizes;
    private readonly int _spikes;
    private readonly int _keepPercent;
    private readonly bool _across;
    private readonly int _idleSeconds;
    private readonly int _seed;

    public SpikeWorkload(WorkloadParameters parameters)
        : base(parameters, "mib=1:spikes=2:keep=10:idle=0")
    {
        bool single = parameters.Kind == Spike;
        _workers = parameters.Number("workers", 8, 1, 1000);
        _mib = parameters.Number("mib", 1024, 1, 1 << 20);
        _sizes = SizeLaw.Of(parameters, 16, 4096);
        _spikes = parameters.Number("spikes", single ? 1 : 11, 1, 1000);
        _keepPercent = parameters.Number("keep", single ? 0 : 1, 0, 50);
        _across = parameters.Choice("free", "own", "across") == "across";
        _idleSeconds = parameters.Number("idle", single ? 3 : 2, 0, 3600);
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_workers} threads allocate {_mib} MiB of small blocks{(_spikes > 1 ? $" {_spikes} times" : "")}, free all " +
        $"but {_keepPercent} %, " +
        "and idle; figures are what stays resident; parameters: workers=N, mib=IN-ALL, minsize=B, maxsize=B, " +
        "sizes=uniform|octaves, " +
        "spikes=N, keep=PERCENT, free=own|across, idle=SECONDS, seed=N";

    public override int TeamSize(int threads) => _workers;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team) => new Run<THeap, TBlock>(this, team);

    protected override HeapWorkload Create(WorkloadParameters parameters) => new SpikeWorkload(parameters);

    private sealed class Run<THeap, TBlock> : ResidentRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly SpikeWorkload _of;
        private readonly ThreadTeam _team;

        // Both per worker: the blocks of a spike, and those that outlive it.
        private readonly TBlock[][] _blocks;
        private readonly TBlock[][] _survivors;

        /// <summary>One block in so many survives; 0 if none does.</summary>
        private readonly int _oneIn;

        private int _spike;

        public Run(SpikeWorkload of, ThreadTeam team)
        {
            _of = of;
            _team = team;
            int blocks = Math.Max(1, (int)(((long)of._mib << 20) / of._workers / of._sizes.Mean));
            _oneIn = of._keepPercent == 0 ? 0 : 100 / of._keepPercent;
            int survivors = _oneIn == 0 ? 0 : blocks / _oneIn;
            _blocks = [.. Enumerable.Range(0, of._workers).Select(_ => MakeResident<TBlock>(blocks))];
            _survivors = [.. Enumerable.Range(0, of._workers).Select(_ => MakeResident<TBlock>(survivors))];
        }

        public override long Operations => 2L * _of._spikes * _of._workers * _blocks[0].Length;

        public override long LiveBytes =>
            (long)(_of._workers * ((double)_blocks[0].Length + _survivors[0].Length) * _of._sizes.Mean);

        protected override void Load()
        {
            for (_spike = 1; _spike <= _of._spikes; _spike++)
            {
                _team.Run(Fill);
                _team.Run(FreeButSurvivors);
                if (_of._spikes > 1)
                {
                    Idle(_of._idleSeconds);
                    NoteResident($"afterSpike{_spike}");
                    continue;
                }

                NoteResident("after0s");
                for (int second = 1; second <= _of._idleSeconds; second++)
                {
                    Idle(1);
                    NoteResident($"after{second}s");
                }
            }

            _team.Run(FreeSurvivors);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Fill(int worker)
        {
            Dice dice = new(_of._seed, DiceStream(worker, 0));
            SizeLaw sizes = _of._sizes;
            foreach (ref TBlock slot in _blocks[worker].AsSpan())
            {
                uint size = sizes.Draw(ref dice);
                TBlock block = THeap.Alloc(size);
                BlockBytes.TouchPages(ref THeap.At(block), size);
                BlockBytes.TouchEnds(ref THeap.At(block), size);
                slot = block;
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void FreeButSurvivors(int worker)
        {
            int owner = _of._across ? (worker + 1) % _of._workers : worker;
            FreeSurvivors(owner);

            Dice dice = new(_of._seed, DiceStream(worker, 1));
            TBlock[] blocks = _blocks[owner];
            TBlock[] survivors = _survivors[owner];
            int first = 0;
            foreach (ref TBlock survivor in survivors.AsSpan())
            {
                int chosen = first + (int)dice.Below((uint)_oneIn);
                Free(blocks.AsSpan(first, chosen - first));
                survivor = blocks[chosen];
                Free(blocks.AsSpan(chosen + 1, first + _oneIn - chosen - 1));
                first += _oneIn;
            }

            Free(blocks.AsSpan(first));
        }

        /// <summary>Slots are empty in the first spike.</summary>
        private void FreeSurvivors(int worker)
        {
            TBlock[] survivors = _survivors[worker];
            if (survivors.Length > 0 && !THeap.IsNone(survivors[0]))
                Free(survivors);
            survivors.AsSpan().Clear();
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Free(Span<TBlock> blocks)
        {
            foreach (TBlock block in blocks)
                THeap.Free(block);
        }

        /// <summary>Every spike has other sizes and other survivors.</summary>
        private int DiceStream(int worker, int purpose) => (((_spike * _of._workers) + worker) * 2) + purpose;
    }
}
