using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// What .NET programs do: thousands of tasks on the thread pool, each of which allocates a few blocks, awaits,
/// allocates more, awaits, and frees all of them. Where it goes on after an await is up to the pool: with N threads, a
/// block is freed by another thread than the one that allocated it in about (N-1)/N of the cases.
/// <para>
/// N is the number of the pool's threads, neither more nor less; the process is started so. Tasks, their state and
/// timers are managed objects: the passes allocate those, the same ones for all allocators, and collections of them are
/// part of the time.
/// </para>
/// </summary>
internal sealed class AsyncWorkload : HeapWorkload
{
    public const string Kind = "async";

    /// <summary>In which so many blocks are allocated, and after which is an await.</summary>
    private const int Steps = 2;

    private static readonly TimeSpan s_delay = TimeSpan.FromMilliseconds(1);

    private readonly int _tasks;
    private readonly int _rounds;
    private readonly int _blocks;
    private readonly uint _minSize;
    private readonly int _sizeSteps;
    private readonly uint _timerPercent;
    private readonly int _seed;

    public AsyncWorkload(WorkloadParameters parameters)
        : base(parameters, "tasks=64:rounds=2")
    {
        _tasks = parameters.Number("tasks", 2000, 1, 1_000_000);
        _rounds = parameters.Number("rounds", 160, 1, 1_000_000);
        _blocks = parameters.Number("blocks", 4, 1, 1000);
        _minSize = (uint)parameters.Number("minsize", 64, 1, 1 << 20);
        _sizeSteps = parameters.Number("doublings", 8, 0, 16);
        _timerPercent = (uint)parameters.Number("timers", 1, 0, 100);
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_tasks} tasks on a thread pool of N, each allocates {_blocks} blocks of " +
        $"{_minSize}..{_minSize << _sizeSteps} B, awaits, " +
        "allocates as many, awaits, frees all; parameters: tasks=N, rounds=PER-TASK, blocks=PER-STEP, minsize=B, " +
        "doublings=N, " +
        "timers=PERCENT, seed=N";

    public override int TeamSize(int threads) => 1;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team)
    {
        ThreadPool.GetMaxThreads(out int most, out _);
        if (most != threads)
            throw new InvalidOperationException($"the thread pool has up to {most} threads instead of {threads}");
        return new Run<THeap, TBlock>(this);
    }

    protected override HeapWorkload Create(WorkloadParameters parameters) => new AsyncWorkload(parameters);

    private sealed class Run<THeap, TBlock>(AsyncWorkload of) : HeapRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly TBlock[] _slots = MakeResident<TBlock>(of._tasks * Steps * of._blocks);
        private readonly Dice[] _dice = MakeResident<Dice>(of._tasks);
        private readonly Task[] _running = MakeResident<Task>(of._tasks);

        public override long Operations => 2L * _slots.Length * of._rounds;

        /// <summary>With all tasks about to free.</summary>
        public override long LiveBytes
        {
            get
            {
                // Sizes lie between a power of two and its half, all powers alike; 3/4 of it in the mean.
                long sum = 0;
                for (int step = 0; step <= of._sizeSteps; step++)
                    sum += step == 0 ? of._minSize : (of._minSize << step) * 3L / 4;
                return _slots.Length * sum / (of._sizeSteps + 1);
            }
        }

        public override void Pass()
        {
            for (int task = 0; task < _running.Length; task++)
            {
                _dice[task] = new Dice(of._seed, task);
                _running[task] = Serve(task);
            }

            Task.WhenAll(_running).GetAwaiter().GetResult();
        }

        private async Task Serve(int task)
        {
            // From here on it runs on the pool.
            await Task.Yield();
            for (int round = 0; round < of._rounds; round++)
            {
                Allocate(task, 0);
                await Task.Yield();
                Allocate(task, 1);
                if (_dice[task].Percent(of._timerPercent))
                    await Task.Delay(s_delay);
                else
                    await Task.Yield();
                Free(task);
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Allocate(int task, int step)
        {
            Dice dice = _dice[task];
            foreach (ref TBlock slot in _slots.AsSpan(((task * Steps) + step) * of._blocks, of._blocks))
            {
                int doublings = (int)dice.Below((uint)of._sizeSteps + 1);
                uint size = of._minSize << doublings;
                if (doublings > 0)
                    size -= dice.Below(size / 2);
                TBlock block = THeap.Alloc(size);
                ref byte bytes = ref THeap.At(block);
                BlockBytes.TouchPages(ref bytes, size);
                BlockBytes.TouchEnds(ref bytes, size);
                slot = block;
            }

            _dice[task] = dice;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Free(int task)
        {
            foreach (ref TBlock slot in _slots.AsSpan(task * Steps * of._blocks, Steps * of._blocks))
            {
                THeap.Free(slot);
                slot = default;
            }
        }
    }
}
