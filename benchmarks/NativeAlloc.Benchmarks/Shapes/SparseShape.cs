using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>Buffers that are large on paper and of which only the beginning is written.</summary>
internal sealed unsafe class SparseShape : ShapeWorkload
{
    public const string Kind = "sparse";

    private readonly int _sizeKiB;
    private readonly int _blocks;
    private readonly int _writtenBytes;
    private readonly int _restMs;

    public SparseShape(WorkloadParameters parameters)
        : base(parameters, "blocks=4:rest=0")
    {
        _sizeKiB = parameters.Number("size", 512, 1, 1 << 20);
        _blocks = parameters.Number("blocks", 3000, 1, 10_000_000);
        _writtenBytes = parameters.Number("written", 4096, 1, _sizeKiB << 10);
        _restMs = parameters.Number("rest", 2500, 0, 3_600_000);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_blocks} blocks of {_sizeKiB} KiB, {_writtenBytes} B written in each; parameters: size=KIB, " +
        "blocks=N, written=B, rest=MS";

    public override void Run<TAllocator>(ShapeRun run)
    {
        nint[] blocks = HeapRun.MakeResident<nint>(_blocks);
        run.BeginHere();
        foreach (ref nint block in blocks.AsSpan())
        {
            block = (nint)TAllocator.Alloc((nuint)_sizeKiB << 10);
            Blocks<TAllocator>.Touch((byte*)block, 0, (nuint)_writtenBytes, 1);
        }

        long live = (long)_blocks * _writtenBytes;
        run.NoteResident("written", live);
        run.Idle(_restMs);
        run.NoteResident("rested", live);
        Blocks<TAllocator>.FreeAll(blocks);
        run.CountOperations(2L * _blocks);
    }

    protected override ShapeWorkload Create(WorkloadParameters parameters) => new SparseShape(parameters);
}
