using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>
/// A store with so much alive whose items have another size every day. In the evening some of them, random ones, stay,
/// and the next day fills the room that the others left.
/// </summary>
internal sealed unsafe class DriftShape : ShapeWorkload
{
    public const string Kind = "drift";

    private const int MinBytes = 50;
    private const int SmallestItem = 40; // a fifth less than the smallest size of a day

    private readonly int _liveMiB;
    private readonly int _days;
    private readonly int _survivePercent;
    private readonly int _maxBytes;
    private readonly int _nightMs;
    private readonly int _restMs;
    private readonly int _seed;

    public DriftShape(WorkloadParameters parameters)
        : base(parameters, "live=1:days=2:night=0:rest=0")
    {
        _liveMiB = parameters.Number("live", 48, 1, 1 << 16);
        _days = parameters.Number("days", 8, 1, 10_000);
        _survivePercent = parameters.Number("survive", 20, 0, 99);
        _maxBytes = parameters.Number("maxsize", 2048, MinBytes, 1 << 20);
        _nightMs = parameters.Number("night", 200, 0, 3_600_000);
        _restMs = parameters.Number("rest", 4000, 0, 3_600_000);
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_liveMiB} MiB alive whose items have another size on each of {_days} days, {_survivePercent} " +
        "% of which stay; parameters: " +
        "live=MIB, days=N, survive=PERCENT, maxsize=B, night=MS, rest=MS, seed=N";

    public override void Run<TAllocator>(ShapeRun run)
    {
        long liveBytes = (long)_liveMiB << 20;
        Store<TAllocator> store = new((int)(liveBytes / SmallestItem) + 1);
        Dice dice = new(_seed, 0);
        run.BeginHere();
        double worstDay = 0, worstNight = 0;
        for (int day = 0; day < _days; day++)
        {
            double size = MinBytes * Math.Pow((double)_maxBytes / MinBytes, dice.Fraction());
            store.Fill(liveBytes, (uint)(size * 0.8), (uint)(size * 1.25), ref dice);
            worstDay = Math.Max(worstDay, run.NoteResident("lastDay", store.LiveBytes));
            if (!store.Thin((uint)_survivePercent, ref dice))
                ThrowCorrupt();
            run.Idle(_nightMs);
            worstNight = Math.Max(worstNight, run.NoteResident("lastNight", store.LiveBytes));
        }

        run.Note("worstDayKiB", worstDay / 1024);
        run.Note("worstDayPerLive", worstDay / liveBytes);
        run.Note("worstNightKiB", worstNight / 1024);
        run.Idle(_restMs);
        run.NoteResident("rested", store.LiveBytes);
        if (!store.Thin(0, ref dice))
            ThrowCorrupt();
        run.CountOperations(store.Operations);
    }

    protected override ShapeWorkload Create(WorkloadParameters parameters) => new DriftShape(parameters);

    /// <summary>
    /// The items, in tables that are resident from the start. The last byte of each holds its size's low byte.
    /// </summary>
    private sealed class Store<TAllocator>(int capacity)
        where TAllocator : struct, IAllocator
    {
        private readonly nint[] _items = HeapRun.MakeResident<nint>(capacity);
        private readonly uint[] _sizes = HeapRun.MakeResident<uint>(capacity);
        private int _count;

        public long LiveBytes { get; private set; }

        public long Operations { get; private set; }

        public void Fill(long liveBytes, uint min, uint max, ref Dice dice)
        {
            while (LiveBytes < liveBytes)
            {
                uint size = dice.Between(min, max);
                byte* item = (byte*)TAllocator.Alloc(size);
                Blocks<TAllocator>.Touch(item, 0, size, (byte)size);
                _items[_count] = (nint)item;
                _sizes[_count++] = size;
                LiveBytes += size;
                Operations++;
            }
        }

        /// <summary>
        /// Frees all but a share of the items; returns whether all of these still held what was written to them.
        /// </summary>
        public bool Thin(uint keepPercent, ref Dice dice)
        {
            int kept = 0;
            bool sound = true;
            for (int i = 0; i < _count; i++)
            {
                if (dice.Percent(keepPercent))
                {
                    _items[kept] = _items[i];
                    _sizes[kept++] = _sizes[i];
                    continue;
                }

                byte* item = (byte*)_items[i];
                sound &= item[_sizes[i] - 1] == (byte)_sizes[i];
                TAllocator.Free(item);
                LiveBytes -= _sizes[i];
                Operations++;
            }

            _count = kept;
            return sound;
        }
    }
}
