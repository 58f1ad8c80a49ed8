using NativeAlloc.Benchmarks.Commands;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// Large areas, of which a byte is written every 4 KiB: allocated, touched and freed again and again; allocated for the
/// first time, with nothing kept from earlier ones; or grown by doubling, each new part touched.
/// </summary>
internal sealed class VmallocWorkload : IWorkload
{
    public const string Kind = "vmalloc";

    private const int BytesPerMiB = 1 << 20;
    private const int MaxMiB = 1 << 16;

    private readonly AreaPhase _phase;
    private readonly int _minMiB;
    private readonly int _maxMiB;
    private readonly int _areas;
    private readonly int _live;
    private readonly int _seed;

    /// <exception cref="UsageException">It does not have these parameters.</exception>
    public VmallocWorkload(WorkloadParameters parameters)
    {
        Name = parameters.Text;
        string phase = parameters.Choice("phase", "cycle", "first", "grow");
        _phase = Enum.Parse<AreaPhase>(phase, ignoreCase: true);
        (int min, int max) = _phase switch
        {
            AreaPhase.Cycle => (1, 256),
            AreaPhase.First => (64, 64),
            _ => (1, 1024),
        };
        _minMiB = parameters.Number("min", min, 1, MaxMiB);
        _maxMiB = parameters.Number("max", Math.Max(max, _minMiB), _minMiB, MaxMiB);
        if (_phase != AreaPhase.Grow)
            _areas = parameters.Number("areas", 8, 1, 100_000);
        if (_phase == AreaPhase.Cycle)
        {
            _live = parameters.Number("live", 1, 1, 1000);
            _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        }

        parameters.RejectOthers();
    }

    public string Name { get; }

    public string Description => _phase switch
    {
        AreaPhase.First => $"{_areas} areas of {Sizes} are allocated and touched, with nothing kept from before",
        AreaPhase.Grow => $"an area grows by doubling, {Sizes}, each new part touched",
        _ => $"areas of {Sizes} are allocated, touched and freed, {_live} at a time",
    } + "; parameters: phase=cycle|first|grow, min=MIB, max=MIB, areas=IN-ALL, live=PER-THREAD, seed=N";

    public bool LargeBlocks => true;

    public string Conditions => HugePages.Setting;

    /// <summary>The same three phases with few and small areas.</summary>
    public static IReadOnlyList<VmallocWorkload> Small { get; } =
    [
        new(new WorkloadParameters($"{Kind}:max=2:areas=8:live=2")),
        new(new WorkloadParameters($"{Kind}:phase=first:min=1:max=1:areas=4")),
        new(new WorkloadParameters($"{Kind}:phase=grow:max=4")),
    ];

    private string Sizes => _minMiB == _maxMiB ? $"{_minMiB} MiB" : $"{_minMiB}..{_maxMiB} MiB";

    public string? Stage(string folder) => null;

    public IPreparedWorkload Prepare(string? stagedFile, int threads)
    {
        nuint min = (nuint)_minMiB * BytesPerMiB, max = (nuint)_maxMiB * BytesPerMiB;
        AreaPlan[] plans = new AreaPlan[threads];
        for (int thread = 0; thread < threads; thread++)
        {
            nuint[] sizes = _phase == AreaPhase.Grow
                ? AreaPlan.Doublings(min, max)
                : AreaPlan.DrawSizes(new Dice(_seed, thread), Math.Max(1, _areas / threads), min, max);
            plans[thread] = new AreaPlan(_phase, sizes, _phase == AreaPhase.First ? sizes.Length : Math.Max(1, _live));
        }

        return new PreparedAreas(plans);
    }
}
