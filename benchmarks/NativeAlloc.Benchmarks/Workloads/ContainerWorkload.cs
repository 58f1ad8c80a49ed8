using System.Diagnostics;
using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// A program in a container whose live data comes near the limit: every thread keeps its share of the data alive, frees
/// the oldest block to make room for each new one, and draws sizes from another range whenever it has replaced its
/// share. What was left of one range has to serve the next, or come back to the system: else the process is killed, or
/// its allocations fail.
/// <para>
/// It goes by the clock, so how many operations there are depends on the allocator: they are counted.
/// </para>
/// </summary>
internal sealed class ContainerWorkload : ResidentWorkload
{
    public const string Kind = "container";

    /// <summary>What a thread does between two looks at the clock.</summary>
    private const int Batch = 64;

    /// <summary>Octaves of a range; the next one begins where it ends.</summary>
    private const int RangeOctaves = 3;

    private const uint LeastSize = 128;

    private static readonly SizeLaw[] s_ranges =
        [.. Enumerable.Range(0, 4).Select(range => SizeLaw.Octaves(LeastSize << (RangeOctaves * range), RangeOctaves))];

    private readonly int _workers;
    private readonly int _liveMiB;
    private readonly int _limitMiB;
    private readonly int _seconds;
    private readonly int _seed;

    public ContainerWorkload(WorkloadParameters parameters)
        : base(parameters, "live=1:seconds=0")
    {
        _workers = parameters.Number("workers", 4, 1, 1000);
        _liveMiB = parameters.Number("live", 200, 1, 1 << 20);
        _limitMiB = parameters.Number("limit", 256, 16, 1 << 20);
        _seconds = parameters.Number("seconds", 5, 0, 86_400);
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_workers} threads keep {_liveMiB} MiB alive under a limit of {_limitMiB} MiB for {_seconds} s, and change " +
        "sizes as they go; parameters: " +
        "workers=N, live=MIB, limit=MIB, seconds=N, seed=N";

    public override long? MemoryLimitBytes => (long)_limitMiB << 20;

    public override string Conditions => MemoryLimit.Describe(_limitMiB);

    public override int TeamSize(int threads) => _workers;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team) => new Run<THeap, TBlock>(this, team);

    protected override HeapWorkload Create(WorkloadParameters parameters) => new ContainerWorkload(parameters);

    private sealed class Run<THeap, TBlock> : ResidentRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly ContainerWorkload _of;
        private readonly ThreadTeam _team;
        private readonly long _shareBytes;
        private readonly Ring[] _rings;

        // Added to by all threads, by Interlocked only.
        private long _allocations;
        private long _failures;

        private long _deadline;

        public Run(ContainerWorkload of, ThreadTeam team)
        {
            _of = of;
            _team = team;
            _shareBytes = Math.Max(((long)of._liveMiB << 20) / of._workers, s_ranges[^1].Max);

            // Room for a share of the smallest range's blocks, with some to spare over their mean.
            int room = (int)(_shareBytes / s_ranges[0].Mean * 1.2) + 1;
            _rings = [.. Enumerable.Range(0, of._workers).Select(_ => new Ring(MakeResident<TBlock>(room)))];
        }

        /// <summary>Of the last pass: every block that is allocated is freed.</summary>
        public override long Operations => 2 * Volatile.Read(ref _allocations);

        public override long LiveBytes => _shareBytes * _of._workers;

        protected override void Load()
        {
            _allocations = _failures = 0;
            _deadline = Stopwatch.GetTimestamp() + (_of._seconds * Stopwatch.Frequency);
            _team.Run(Cycle);
            Note("failedAllocations", _failures);
            Note("processPeakKiB", ResidentMemory.PeakKiB);
            _team.Run(worker => FreeUntil(_rings[worker], 0));
        }

        private void Cycle(int worker)
        {
            Dice dice = new(_of._seed, worker);
            Ring ring = _rings[worker];
            long allocations = 0, failures = 0;
            do
            {
                int failed = Renew(ring, ref dice);
                failures += failed;
                allocations += Batch - failed;
            }
            while (Stopwatch.GetTimestamp() < _deadline);

            Interlocked.Add(ref _allocations, allocations);
            Interlocked.Add(ref _failures, failures);
        }

        /// <summary>A batch of new blocks in place of the oldest; returns how many there was no memory for.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        private int Renew(Ring ring, ref Dice dice)
        {
            int failed = 0;
            for (int i = 0; i < Batch; i++)
            {
                if (ring.LeftInRange <= 0)
                {
                    ring.Range = (int)dice.Below((uint)s_ranges.Length);
                    ring.LeftInRange = _shareBytes;
                }

                uint size = s_ranges[ring.Range].Draw(ref dice);
                ring.LeftInRange -= size;
                FreeUntil(ring, Math.Max(0, _shareBytes - size));
                TBlock block = AllocOrNone(size);
                if (THeap.IsNone(block))
                {
                    failed++;
                    continue;
                }

                ref byte bytes = ref THeap.At(block);
                BlockBytes.TouchPages(ref bytes, size);
                BlockBytes.TouchEnds(ref bytes, size);
                Unsafe.WriteUnaligned(ref bytes, size);
                ring.Push(block, size);
            }

            return failed;
        }

        /// <summary>Some allocators throw when there is no more memory, and some return null.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static TBlock AllocOrNone(uint size)
        {
            try
            {
                return THeap.Alloc(size);
            }
            catch (OutOfMemoryException)
            {
                return default;
            }
        }

        /// <summary>
        /// Frees the oldest blocks until no more bytes than so many live, and there is room for another block.
        /// </summary>
        private static void FreeUntil(Ring ring, long bytes)
        {
            while (ring.Bytes > bytes || ring.IsFull)
            {
                TBlock block = ring.Pop();
                uint size = Unsafe.ReadUnaligned<uint>(ref THeap.At(block));
                if (size < LeastSize || size > s_ranges[^1].Max)
                    ThrowCorrupt(Kind);
                ring.Bytes -= size;
                THeap.Free(block);
            }
        }

        /// <summary>A thread's blocks, from the oldest to the newest.</summary>
        private sealed class Ring(TBlock[] slots)
        {
            private int _oldest;
            private int _count;

            /// <summary>What the blocks add up to.</summary>
            public long Bytes { get; set; }

            /// <summary>Where sizes are drawn from at present.</summary>
            public int Range { get; set; }

            /// <summary>Bytes to draw until it is another's turn.</summary>
            public long LeftInRange { get; set; }

            public bool IsFull => _count == slots.Length;

            public void Push(TBlock block, uint bytes)
            {
                int end = _oldest + _count++;
                slots[end < slots.Length ? end : end - slots.Length] = block;
                Bytes += bytes;
            }

            public TBlock Pop()
            {
                TBlock block = slots[_oldest];
                if (++_oldest == slots.Length)
                    _oldest = 0;
                _count--;
                return block;
            }
        }
    }
}
