using NativeAlloc.Benchmarks.Commands;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Shapes;
using NativeAlloc.Benchmarks.Traces;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>The workloads that can be named on the command line.</summary>
internal static class WorkloadRegistry
{
    private static readonly Dictionary<string, Func<WorkloadParameters, IWorkload>> s_synthetic = new()
    {
        [PagesWorkload.Kind] = parameters => new PagesWorkload(parameters),
        [LarsonWorkload.Kind] = parameters => new LarsonWorkload(parameters),
        [XmallocWorkload.Kind] = parameters => new XmallocWorkload(parameters),
        [AsyncWorkload.Kind] = parameters => new AsyncWorkload(parameters),
        [MstressWorkload.Kind] = parameters => new MstressWorkload(parameters),
        [RptestWorkload.Kind] = parameters => new RptestWorkload(parameters),
        [AllocTestWorkload.Kind] = parameters => new AllocTestWorkload(parameters),
        [CacheLineWorkload.Scratch] = parameters => new CacheLineWorkload(parameters),
        [CacheLineWorkload.Thrash] = parameters => new CacheLineWorkload(parameters),
        [GlibcSimpleWorkload.Kind] = parameters => new GlibcSimpleWorkload(parameters),
        [GlibcThreadWorkload.Kind] = parameters => new GlibcThreadWorkload(parameters),
        [MallocLargeWorkload.Kind] = parameters => new MallocLargeWorkload(parameters),
        [MleakWorkload.Kind] = parameters => new MleakWorkload(parameters),
        [GrowthWorkload.Kind] = parameters => new GrowthWorkload(parameters),
        [VmallocWorkload.Kind] = parameters => new VmallocWorkload(parameters),
        [SpikeWorkload.Spike] = parameters => new SpikeWorkload(parameters),
        [SpikeWorkload.Survivors] = parameters => new SpikeWorkload(parameters),
        [ThreadPoolWorkload.Kind] = parameters => new ThreadPoolWorkload(parameters),
        [ContainerWorkload.Kind] = parameters => new ContainerWorkload(parameters),
        [SparseShape.Kind] = parameters => new SparseShape(parameters),
        [ShrinkShape.Kind] = parameters => new ShrinkShape(parameters),
        [DriftShape.Kind] = parameters => new DriftShape(parameters),
        [ThreadCostShape.Kind] = parameters => new ThreadCostShape(parameters),
        [EventShape.Kind] = parameters => new EventShape(parameters),
        [SizeWasteShape.Kind] = parameters => new SizeWasteShape(parameters),
        [AddressShape.Kind] = parameters => new AddressShape(parameters),
        [StartShape.Kind] = parameters => new StartShape(parameters),
        [StallShape.Kind] = parameters => new StallShape(parameters),
        [ImpossibleShape.Kind] = parameters => new ImpossibleShape(parameters),
    };

    /// <summary>The shapes with the parameters that they are known to be bad with.</summary>
    private static readonly string[] s_shapes =
    [
        "sparse:size=512:blocks=3000",
        "sparse:size=8192:blocks=500",
        "sparse:size=64:blocks=20000",
        "sparse:size=16:blocks=60000:written=100",
        "shrink:size=65536:blocks=6",
        "shrink:size=1024:blocks=64",
        "shrink:size=512:blocks=128",
        "drift:survive=20",
        "drift:survive=5",
        "thread-cost",
        "thread-cost:threads=500:size=1024:sizes=all",
        "events",
        "size-waste",
        "addresses",
        "addresses:limit=4096",
        "start",
        "stalls",
        "impossible",
    ];

    /// <summary>The bundled traces: what is compared unless something else is named.</summary>
    public static IReadOnlyList<IWorkload> Traces { get; } =
        [.. TraceFile.Bundled().Select(path => new TraceWorkload(path))];

    /// <summary>The traces, and the workloads that are made up, with their usual parameters.</summary>
    public static IReadOnlyList<IWorkload> All { get; } =
        [.. Traces, .. s_synthetic.Select(entry => entry.Value(new WorkloadParameters(entry.Key)))];

    /// <summary>Names that stand for several workloads.</summary>
    public static IReadOnlyDictionary<string, IReadOnlyList<IWorkload>> Groups { get; } =
        new Dictionary<string, IReadOnlyList<IWorkload>>
        {
            ["traces"] = Traces,
            ["threads"] = [.. All.Where(workload => workload is HeapWorkload and not ResidentWorkload)],
            ["mapping"] =
            [
                .. new[] { "", ":live=4", ":phase=first",
                    ":phase=grow" }.Select(parameters => Find(VmallocWorkload.Kind + parameters)!),
                .. All.Where(workload => workload is MallocLargeWorkload),
            ],
            ["steady"] = [.. Traces, .. All.Where(workload => workload is LarsonWorkload)],
            ["return"] = [.. All.Where(workload => workload is ResidentWorkload)],
            ["shapes"] = [.. s_shapes.Select(name => Find(name)!)],
            // Those of return and shapes are not about time, and wait much; they run where they are named.
            ["all"] = [.. All.Where(workload => workload is not (ResidentWorkload or ShapeWorkload))],
        };

    /// <exception cref="UsageException">There is such a workload, but it does not have these parameters.</exception>
    public static IWorkload? Find(string name)
    {
        if (Traces.FirstOrDefault(workload => workload.Name == name) is { } trace)
            return trace;
        WorkloadParameters parameters = new(name);
        return s_synthetic.GetValueOrDefault(parameters.Kind)?.Invoke(parameters);
    }

    /// <summary>
    /// Makes a workload ready in a child. The registry need not know a trace that came from elsewhere: its staged file
    /// is all there is to it.
    /// </summary>
    public static IPreparedWorkload Prepare(string name, string? stagedFile, int threads)
    {
        IWorkload workload = stagedFile is null
            ? Find(name) ?? throw new ArgumentException($"no workload '{name}'", nameof(name))
            : new TraceWorkload(stagedFile);
        return workload.Prepare(stagedFile, threads);
    }
}
