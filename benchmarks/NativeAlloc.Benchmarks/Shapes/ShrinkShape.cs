using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>Buffers that grow by doubling and are cut to what is used in the end: half and a little.</summary>
internal sealed unsafe class ShrinkShape : ShapeWorkload
{
    public const string Kind = "shrink";

    private const nuint FirstBytes = 4096;

    private readonly int _sizeKiB;
    private readonly int _blocks;
    private readonly int _percent;
    private readonly int _restMs;

    public ShrinkShape(WorkloadParameters parameters)
        : base(parameters, "size=64:blocks=2:rest=0")
    {
        _sizeKiB = parameters.Number("size", 65_536, 4, 1 << 21);
        _blocks = parameters.Number("blocks", 6, 1, 1_000_000);
        _percent = parameters.Number("percent", 52, 1, 100);
        _restMs = parameters.Number("rest", 2500, 0, 3_600_000);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_blocks} blocks grow to {_sizeKiB} KiB by doubling and are cut to {_percent} %; " +
        "parameters: size=KIB, blocks=N, percent=N, rest=MS";

    public override void Run<TAllocator>(ShapeRun run)
    {
        nint[] blocks = HeapRun.MakeResident<nint>(_blocks);
        run.BeginHere();
        nuint full = (nuint)_sizeKiB << 10, cut = full * (nuint)_percent / 100;
        for (int i = 0; i < blocks.Length; i++)
        {
            byte mark = (byte)(i + 1);
            byte* block = Grow<TAllocator>(run, full, mark);
            block[cut - 1] = mark;
            block = (byte*)TAllocator.Realloc(block, cut);
            if (block[0] != mark || block[cut - 1] != mark)
                ThrowCorrupt();
            blocks[i] = (nint)block;
            run.CountOperations(1);
        }

        long live = (long)cut * _blocks;
        run.NoteResident("cut", live);
        run.Idle(_restMs);
        run.NoteResident("rested", live);
        TAllocator.Trim();
        run.NoteResident("trimmed", live);
        Blocks<TAllocator>.FreeAll(blocks);
        run.CountOperations(_blocks);
    }

    protected override ShapeWorkload Create(WorkloadParameters parameters) => new ShrinkShape(parameters);

    private static byte* Grow<TAllocator>(ShapeRun run, nuint full, byte mark)
        where TAllocator : struct, IAllocator
    {
        nuint size = Math.Min(full, FirstBytes);
        byte* block = (byte*)TAllocator.Alloc(size);
        Blocks<TAllocator>.Touch(block, 0, size, mark);
        run.CountOperations(1);
        while (size < full)
        {
            nuint next = Math.Min(full, 2 * size);
            block = (byte*)TAllocator.Realloc(block, next);
            Blocks<TAllocator>.Touch(block, size, next, mark);
            size = next;
            run.CountOperations(1);
        }

        return block;
    }
}
