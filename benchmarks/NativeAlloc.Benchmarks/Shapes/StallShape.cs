using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>A heap that grows by blocks of whole pages: single calls that take long are what it is about.</summary>
internal sealed unsafe class StallShape : ShapeWorkload
{
    public const string Kind = "stalls";

    private readonly int _blocks;
    private readonly int _sizeKiB;

    public StallShape(WorkloadParameters parameters)
        : base(parameters, "blocks=16")
    {
        _blocks = parameters.Number("blocks", 20_000, 1, 10_000_000);
        _sizeKiB = parameters.Number("size", 64, 1, 1 << 20);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_blocks} blocks of {_sizeKiB} KiB, the ends written, all kept and then freed; parameters: " +
        "blocks=N, size=KIB";

    public override void Run<TAllocator>(ShapeRun run)
    {
        nint[] blocks = HeapRun.MakeResident<nint>(_blocks);
        run.BeginHere();
        nuint size = (nuint)_sizeKiB << 10;
        foreach (ref nint slot in blocks.AsSpan())
        {
            byte* block = (byte*)TAllocator.Alloc(size);
            block[0] = block[size - 1] = 1;
            slot = (nint)block;
        }

        run.NoteResident("held", (long)_blocks * 2 * 4096);
        Blocks<TAllocator>.FreeAll(blocks);
        run.CountOperations(2L * _blocks);
    }

    protected override ShapeWorkload Create(WorkloadParameters parameters) => new StallShape(parameters);
}
