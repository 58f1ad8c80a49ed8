using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>
/// Sizes one byte above each eighth of an octave, where allocators' classes end: so many blocks of each, every page
/// written, and what is resident for a byte that was asked for.
/// </summary>
internal sealed unsafe class SizeWasteShape : ShapeWorkload
{
    public const string Kind = "size-waste";

    private const int StepsPerOctave = 8;

    private readonly int _minBytes;
    private readonly int _maxBytes;
    private readonly int _mib;

    public SizeWasteShape(WorkloadParameters parameters)
        : base(parameters, "minsize=128:maxsize=512:mib=1")
    {
        _minBytes = parameters.Number("minsize", 128, 16, 1 << 26);
        _maxBytes = parameters.Number("maxsize", 8 << 20, _minBytes, 1 << 28);
        _mib = parameters.Number("mib", 8, 1, 1 << 12);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"blocks of sizes just above a class, {_minBytes} B to {_maxBytes >> 10} KiB, {_mib} MiB of " +
        "each; parameters: " +
        "minsize=B, maxsize=B, mib=N";

    public override void Run<TAllocator>(ShapeRun run)
    {
        const int Least = 8; // blocks of the largest sizes
        nint[] blocks = HeapRun.MakeResident<nint>((int)Math.Max(Least, ((long)_mib << 20) / _minBytes));
        double worst = 0, sum = 0;
        int worstSize = 0, sizes = 0;
        for (int octave = _minBytes; octave <= _maxBytes; octave *= 2)
        {
            for (int step = 0; step < StepsPerOctave; step++)
            {
                int size = octave + (octave / StepsPerOctave * step) + 1;
                if (size > _maxBytes + 1)
                    break;
                int count = Math.Max(Least, (_mib << 20) / size);
                TAllocator.Trim();
                run.BeginHere();
                foreach (ref nint block in blocks.AsSpan(0, count))
                {
                    block = (nint)TAllocator.Alloc((nuint)size);
                    Blocks<TAllocator>.Touch((byte*)block, 0, (nuint)size, 1);
                }

                long live = (long)count * size;
                double ratio = run.NoteResident("last", live) / (double)live;
                (worst, worstSize) = ratio > worst ? (ratio, size) : (worst, worstSize);
                sum += ratio;
                sizes++;
                Blocks<TAllocator>.FreeAll(blocks.AsSpan(0, count));
                run.CountOperations(2L * count);
            }
        }

        run.Note("worstPerRequestedByte", worst);
        run.Note("worstSize", worstSize);
        run.Note("meanPerRequestedByte", sum / sizes);
    }

    protected override ShapeWorkload Create(WorkloadParameters parameters) => new SizeWasteShape(parameters);
}
