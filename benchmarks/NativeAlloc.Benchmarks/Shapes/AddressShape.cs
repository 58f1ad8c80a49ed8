using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>
/// Large blocks that nobody touches: addresses are all they need. There may be a limit on these, beyond what the
/// process has before the allocator is used; whether small blocks can still be had then is a figure, too.
/// </summary>
internal sealed unsafe class AddressShape : ShapeWorkload
{
    public const string Kind = "addresses";

    private readonly int _blocks;
    private readonly int _sizeMiB;
    private readonly int _limitMiB;

    public AddressShape(WorkloadParameters parameters)
        : base(parameters, "blocks=2")
    {
        _blocks = parameters.Number("blocks", 2000, 1, 1_000_000);
        _sizeMiB = parameters.Number("size", 1024, 1, 1 << 20);
        _limitMiB = parameters.Number("limit", 0, 0, 1 << 26);
        parameters.RejectOthers();
    }

    /// <summary>With a limit it is about the start, too: the allocator reserves its addresses under it.</summary>
    public override bool Cold => _limitMiB != 0;

    public override string Description =>
        $"{_blocks} blocks of {_sizeMiB} MiB that nobody touches; parameters: blocks=N, size=MIB, " +
        "limit=MIB (0 is none)";

    public override void Run<TAllocator>(ShapeRun run)
    {
        nint[] blocks = HeapRun.MakeResident<nint>(_blocks);
        run.BeginHere();
        using AddressLimit? limit = _limitMiB == 0 ? null : new AddressLimit((long)_limitMiB << 20);
        int made = 0;
        while (made < blocks.Length && Blocks<TAllocator>.AllocOrNull((nuint)_sizeMiB << 20) is var block
            && block != null)
            blocks[made++] = (nint)block;

        run.Note("blocks", made);
        run.NoteResident("held", 0);
        byte* small = Blocks<TAllocator>.AllocOrNull(1000);
        run.Note("smallBlockServed", small == null ? 0 : 1);
        if (small != null)
            TAllocator.Free(small);
        Blocks<TAllocator>.FreeAll(blocks);
        run.NoteResident("freed", 0);
        run.CountOperations(2L * (made + 1));
    }

    protected override ShapeWorkload Create(WorkloadParameters parameters) => new AddressShape(parameters);
}
