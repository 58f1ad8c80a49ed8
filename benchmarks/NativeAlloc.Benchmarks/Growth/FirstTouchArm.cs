using System.Diagnostics;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Growth;

/// <summary>How memory comes to a batch of fresh addresses before they are written to.</summary>
internal enum BatchBy
{
    /// <summary>It does not: faults bring it.</summary>
    Faults,

    /// <summary>By <c>MADV_POPULATE_WRITE</c>.</summary>
    Populate,

    /// <summary>One small page is touched and becomes a huge one by <c>MADV_COLLAPSE</c>; the range is not marked.</summary>
    Collapse,

    /// <summary>The range is marked for huge pages, populated, and marked for small ones again.</summary>
    MarkAndPopulate,
}

/// <summary>
/// Writes to every small page of fresh memory in ascending order, as a heap that grows does, and then gives the memory back. Where it is
/// populated, that happens batch by batch, each right before its first write.
/// </summary>
/// <param name="marks">What the whole range is marked for at first.</param>
/// <param name="by">How memory comes to a batch.</param>
/// <param name="batchBytes">Bytes of a batch.</param>
internal sealed unsafe class FirstTouchArm(string way, nuint bytes, PageMark marks, BatchBy by, nuint batchBytes)
    : GrowthArm(TaskName, way, bytes)
{
    public const string TaskName = "first touch";

    public const string TouchNs = "touch, ns per page";
    public const string GiveBackNs = "give back, ns per page";
    public const string KiBAfterAll = "KiB after all";
    public const string KiBAfterOne = "KiB after one write";

    /// <summary>The unit of the figures: the library's page.</summary>
    private const nuint PageBytes = 64 << 10;

    private const nuint WarmUpBytes = 256 << 10;
    private const int WarmUpRepeats = 64;

    private long _touchTicks;
    private long _giveBackTicks;
    private long _residentKiB;

    public override List<GrowthFigure> Measure()
    {
        Tiering.RunUntilOptimised(() =>
        {
            for (int i = 0; i < WarmUpRepeats; i++)
                Sample(WarmUpBytes, withMemory: false);
            // Once is enough: what this brings into memory must not count as the arm's.
            Sample(WarmUpBytes, withMemory: true);
            MeasureFirstWrite(WarmUpBytes);
        });

        double nsPerTickPerPage = 1e9 / Stopwatch.Frequency / (Bytes / PageBytes);
        List<double> touches = [], giveBacks = [];
        Sampling.Repeat(_ =>
        {
            Sample(Bytes, withMemory: false);
            touches.Add(_touchTicks * nsPerTickPerPage);
            giveBacks.Add(_giveBackTicks * nsPerTickPerPage);
        });

        Sample(Bytes, withMemory: true);
        return
        [
            GrowthFigure.Of(TouchNs, touches),
            GrowthFigure.Of(GiveBackNs, giveBacks),
            GrowthFigure.Of(KiBAfterAll, [_residentKiB]),
            GrowthFigure.Of(KiBAfterOne, [MeasureFirstWrite(Bytes)]),
        ];
    }

    private void Sample(nuint length, bool withMemory)
    {
        byte* address = PrivatePages.Map(length, marks);
        long residentBefore = withMemory ? ResidentMemory.ResetPeak() : 0;

        long start = Stopwatch.GetTimestamp();
        nuint step = Math.Min(batchBytes, length);
        for (nuint at = 0; at < length; at += step)
        {
            Prepare(address + at, step);
            for (nuint page = at; page < at + step; page += PrivatePages.SmallPageBytes)
                Volatile.Write(ref address[page], 1);
        }

        long touched = Stopwatch.GetTimestamp();
        if (withMemory)
            _residentKiB = ResidentMemory.ResetPeak() - residentBefore;

        long giveBack = Stopwatch.GetTimestamp();
        PrivatePages.GiveBack(address, length);
        long end = Stopwatch.GetTimestamp();
        PrivatePages.Unmap(address, length);

        _touchTicks = touched - start;
        _giveBackTicks = end - giveBack;
    }

    private void Prepare(byte* batch, nuint length)
    {
        switch (by)
        {
            case BatchBy.Populate:
                PrivatePages.Populate(batch, length);
                break;
            case BatchBy.Collapse:
                Volatile.Write(ref *batch, 1);
                if (length >= PrivatePages.HugePageBytes) // less than that happens in the warm-up only
                    PrivatePages.Collapse(batch, length);
                break;
            case BatchBy.MarkAndPopulate:
                PrivatePages.Mark(batch, length, PageMark.Huge);
                PrivatePages.Populate(batch, length);
                PrivatePages.Mark(batch, length, PageMark.Small);
                break;
            default:
                break;
        }
    }

    /// <summary>What a heap costs that needs one byte.</summary>
    private double MeasureFirstWrite(nuint length)
    {
        byte* address = PrivatePages.Map(length, marks);
        long before = ResidentMemory.ResetPeak();
        Prepare(address, Math.Min(batchBytes, length));
        Volatile.Write(ref *address, 1);
        long after = ResidentMemory.ResetPeak();
        PrivatePages.Unmap(address, length);
        return after - before;
    }
}
