using System.Diagnostics;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>
/// A program with warm caches asks for more memory than there is, and goes on: what the refusal costs, and how much
/// slower the next blocks are than those before it.
/// </summary>
internal sealed unsafe class ImpossibleShape : ShapeWorkload
{
    public const string Kind = "impossible";

    private const int BlockBytes = 1024;

    private readonly int _gib;
    private readonly int _warmMiB;

    public ImpossibleShape(WorkloadParameters parameters)
        : base(parameters, "warm=1")
    {
        _gib = parameters.Number("size", 200, 1, 1 << 20);
        _warmMiB = parameters.Number("warm", 64, 1, 1 << 14);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"a request of {_gib} GiB while {_warmMiB} MiB of freed blocks are kept; parameters: size=GIB, warm=MIB";

    public override void Run<TAllocator>(ShapeRun run)
    {
        nint[] blocks = HeapRun.MakeResident<nint>(_warmMiB << 10);
        run.BeginHere();
        FillAndFree<TAllocator>(blocks);
        run.Note("beforeNsPerBlock", FillAndFree<TAllocator>(blocks));
        run.NoteResident("before", 0);

        long began = Stopwatch.GetTimestamp();
        byte* block = Blocks<TAllocator>.AllocOrNull((nuint)_gib << 30);
        run.Note("requestMs", Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        run.Note("refused", block == null ? 1 : 0);
        run.NoteResident("after", 0);
        if (block != null)
            TAllocator.Free(block);

        run.Note("afterNsPerBlock", FillAndFree<TAllocator>(blocks));
        run.CountOperations((6L * blocks.Length) + 1);
    }

    protected override ShapeWorkload Create(WorkloadParameters parameters) => new ImpossibleShape(parameters);

    /// <summary>Returns ns per block.</summary>
    private static double FillAndFree<TAllocator>(nint[] blocks)
        where TAllocator : struct, IAllocator
    {
        long began = Stopwatch.GetTimestamp();
        foreach (ref nint slot in blocks.AsSpan())
        {
            byte* block = (byte*)TAllocator.Alloc(BlockBytes);
            *block = 1;
            slot = (nint)block;
        }

        Blocks<TAllocator>.FreeAll(blocks);
        return Stopwatch.GetElapsedTime(began).TotalNanoseconds / blocks.Length;
    }
}
