using System.Diagnostics;
using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// A large thread pool after a storm: many threads put new blocks into random slots that all share, and free what was
/// there, for so many seconds; then all but a few of them idle, while those few go on. What each thread kept for itself
/// is of use to nobody then, and what is resident should come down to what the slots hold.
/// <para>
/// Storm and aftermath go by the clock, so how many operations there are depends on the allocator: they are counted.
/// </para>
/// </summary>
internal sealed class ThreadPoolWorkload : ResidentWorkload
{
    public const string Kind = "threadpool";

    /// <summary>What a thread does between two looks at whether to go on.</summary>
    private const int Batch = 64;

    private readonly int _workers;
    private readonly int _busy;
    private readonly int _liveMiB;
    private readonly SizeLaw _sizes;
    private readonly int _seconds;
    private readonly int _idleSeconds;
    private readonly int _seed;

    public ThreadPoolWorkload(WorkloadParameters parameters)
        : base(parameters, "live=1:seconds=0:idle=0")
    {
        _workers = parameters.Number("workers", 64, 1, 1000);
        _busy = parameters.Number("busy", Math.Min(4, _workers), 0, _workers);
        _liveMiB = parameters.Number("live", 128, 1, 1 << 20);
        _sizes = SizeLaw.Of(parameters, 16, 4096);
        _seconds = parameters.Number("seconds", 5, 0, 86_400);
        _idleSeconds = parameters.Number("idle", 5, 0, 3600);
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_workers} threads swap blocks through {_liveMiB} MiB of shared slots for {_seconds} s, then all but " +
        $"{_busy} idle; figures are what " +
        "stays resident; parameters: workers=N, busy=N, live=MIB, minsize=B, maxsize=B, sizes=uniform|octaves, " +
        "seconds=N, idle=SECONDS, seed=N";

    /// <summary>One more than work: it keeps the time.</summary>
    public override int TeamSize(int threads) => _workers + 1;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team) => new Run<THeap, TBlock>(this, team);

    protected override HeapWorkload Create(WorkloadParameters parameters) => new ThreadPoolWorkload(parameters);

    private sealed class Run<THeap, TBlock> : ResidentRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly ThreadPoolWorkload _of;
        private readonly ThreadTeam _team;
        private readonly TBlock[] _slots;

        // Written and read by different threads, by Volatile and Interlocked only.
        private bool _stormOver;
        private bool _allOver;
        private long _allocations;
        private long _liveBytes;

        public Run(ThreadPoolWorkload of, ThreadTeam team)
        {
            _of = of;
            _team = team;
            _slots = MakeResident<TBlock>(Math.Max(1, (int)(((long)of._liveMiB << 20) / of._sizes.Mean)));
        }

        /// <summary>Of the last pass: every block that is allocated is freed.</summary>
        public override long Operations => 2 * Volatile.Read(ref _allocations);

        public override long LiveBytes => (long)((_slots.Length + _of._workers) * _of._sizes.Mean);

        protected override void Load()
        {
            _stormOver = _allOver = false;
            _allocations = 0;
            _team.Run(Work);
            _team.Run(FreeShare);
        }

        private void Work(int index)
        {
            if (index == _of._workers)
                KeepTime();
            else
                Swap(index);
        }

        private void KeepTime()
        {
            Thread.Sleep(TimeSpan.FromSeconds(_of._seconds));
            NoteResident("inTheStorm");
            Volatile.Write(ref _stormOver, true);
            Thread.Sleep(TimeSpan.FromSeconds(_of._idleSeconds));
            NoteResident($"after{_of._idleSeconds}s");
            Note("liveKiB", Math.Round(Volatile.Read(ref _liveBytes) / 1024.0));
            Volatile.Write(ref _allOver, true);
        }

        private void Swap(int worker)
        {
            Dice dice = new(_of._seed, worker);
            ref bool over = ref worker < _of._busy ? ref _allOver : ref _stormOver;
            long batches = 0;
            Fill(ref dice, worker);
            do
            {
                Interlocked.Add(ref _liveBytes, SwapBatch(ref dice));
                batches++;
            }
            // a storm of no time, as in the warm-up, is a batch of everybody's
            while (_of._seconds > 0 && !Volatile.Read(ref over));
            Interlocked.Add(ref _allocations, batches * Batch);
        }

        /// <summary>The thread's share of the slots, so that there is something to swap from the start.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Fill(ref Dice dice, int worker)
        {
            Span<TBlock> share = ShareOf(worker);
            long more = 0;
            foreach (ref TBlock slot in share)
                more += Put(ref slot, ref dice);
            Interlocked.Add(ref _liveBytes, more);
            Interlocked.Add(ref _allocations, share.Length);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private long SwapBatch(ref Dice dice)
        {
            long more = 0;
            for (int i = 0; i < Batch; i++)
                more += Put(ref _slots[dice.Below((uint)_slots.Length)], ref dice);
            return more;
        }

        /// <summary>Puts a new block into a slot and frees what was there; returns how many bytes more live.</summary>
        private long Put(ref TBlock slot, ref Dice dice)
        {
            uint size = _of._sizes.Draw(ref dice);
            TBlock block = THeap.Alloc(size);
            ref byte bytes = ref THeap.At(block);
            BlockBytes.TouchPages(ref bytes, size);
            BlockBytes.TouchEnds(ref bytes, size);
            Unsafe.WriteUnaligned(ref bytes, size);
            block = THeap.Exchange(ref slot, block);
            return THeap.IsNone(block) ? size : (long)size - Free(block);
        }

        /// <summary>Returns the size, which the block itself tells.</summary>
        private uint Free(TBlock block)
        {
            uint size = Unsafe.ReadUnaligned<uint>(ref THeap.At(block));
            if (size > _of._sizes.Max)
                ThrowCorrupt(Kind);
            THeap.Free(block);
            return size;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void FreeShare(int index)
        {
            if (index == _of._workers)
                return;
            long less = 0;
            foreach (ref TBlock slot in ShareOf(index))
            {
                if (!THeap.IsNone(slot))
                    less += Free(slot);
                slot = default;
            }

            Interlocked.Add(ref _liveBytes, -less);
        }

        private Span<TBlock> ShareOf(int worker)
        {
            int from = (int)((long)_slots.Length * worker / _of._workers),
                to = (int)((long)_slots.Length * (worker + 1) / _of._workers);
            return _slots.AsSpan(from, to - from);
        }
    }
}
