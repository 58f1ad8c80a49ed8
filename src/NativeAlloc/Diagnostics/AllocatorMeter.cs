using System.Diagnostics.Metrics;

namespace NativeAlloc.Diagnostics;

/// <summary>
/// The <see cref="Meter"/> named <c>NativeAlloc</c>: an observable instrument for each figure of the first table of the
/// statistics, and what of the process's memory belongs to nothing that is known.
/// </summary>
internal static class AllocatorMeter
{
    internal const string Name = "NativeAlloc";

    // What another instrument has read so long ago is read anew.
    private const long FreshMilliseconds = 200;

    private static Meter? s_meter;

    /// <summary>The last snapshot. Replaced as a whole, any thread.</summary>
    private static Snapshot? s_last;

    // Each instrument uses a snapshot once: when one comes again, a new collection has begun.
    private sealed record Snapshot(AllocatorStatistics Figures, long Milliseconds, ulong[] Used);

    /// <summary>Makes the meter. Once.</summary>
    internal static void Make()
    {
        Meter meter = new(new MeterOptions(Name) { Version = StatisticsTable.Version.ToString("0", null) });
        for (int i = 0; i < StatisticsTable.All.Length; i++) Add(meter, i, StatisticsTable.All[i]);
        meter.CreateObservableGauge("nativealloc.memory.unattributed", static () => ReadUnattributedBytes(), "By",
            "What the process has resident less the managed heap and less this library: code, stacks, and what other "
            + "native libraries have. It is a difference of estimates: small numbers mean nothing.");
        Volatile.Write(ref s_meter, meter); // the runtime has meters by weak references
    }

    private static void Add(Meter meter, int index, Figure<AllocatorStatistics> figure)
    {
        string name = FigureName.Instrument(figure), unit = figure.Unit == FigureUnit.Bytes ? "By" : "{count}";
        if (figure.Kind == FigureKind.Counter)
            meter.CreateObservableCounter(name, () => figure.Read(Figures(index)), unit, figure.Meaning);
        else
            meter.CreateObservableGauge(name, () => figure.Read(Figures(index)), unit, figure.Meaning);
    }

    private static long ReadUnattributedBytes()
    {
        AllocatorStatistics figures = Figures(StatisticsTable.All.Length);
        long own = (long)figures.ResidentEstimateBytes, managed = GC.GetGCMemoryInfo().TotalCommittedBytes;
        return Math.Max(0, Environment.WorkingSet - managed - own);
    }

    private static AllocatorStatistics Figures(int instrument)
    {
        Snapshot? last = Volatile.Read(ref s_last);
        long now = Environment.TickCount64;
        ulong bit = 1UL << instrument % 64;
        if (last == null || now - last.Milliseconds > FreshMilliseconds
            || (Interlocked.Or(ref last.Used[instrument / 64], bit) & bit) != 0)
        {
            last = new Snapshot(NativeAllocator.GetStatistics(), now, new ulong[StatisticsTable.All.Length / 64 + 1]);
            last.Used[instrument / 64] = bit;
            Volatile.Write(ref s_last, last);
        }
        return last.Figures;
    }
}
