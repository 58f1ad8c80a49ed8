using System.Diagnostics.Metrics;
using Microsoft.Extensions.Diagnostics.Metrics.Testing;
using NativeAlloc.Diagnostics;
using NativeAlloc.Tests.Infrastructure;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using Xunit;

namespace NativeAlloc.Tests.Diagnostics;

/// <summary>Proves that monitoring systems find the meter and read the figures of the statistics from it.</summary>
public sealed unsafe class MeterTests : LeakCheckedTests
{
    [Fact]
    public void There_is_an_instrument_for_each_figure()
    {
        List<Instrument> instruments = Instruments();
        foreach (Figure<AllocatorStatistics> figure in StatisticsTable.All)
        {
            Instrument instrument =
                Assert.Single(instruments, instrument => instrument.Name == FigureName.Instrument(figure));
            Assert.True(instrument.IsObservable);
            Assert.Equal(figure.Kind == FigureKind.Counter, instrument is ObservableCounter<long>);
            Assert.Equal(figure.Unit == FigureUnit.Bytes ? "By" : "{count}", instrument.Unit);
            Assert.Equal(figure.Meaning, instrument.Description);
        }
        Assert.Equal(StatisticsTable.All.Length + 1, instruments.Count);
    }

    [Fact]
    public void Each_collection_reads_anew()
    {
        using MetricCollector<long> collector = new(Find("nativealloc.memory.live"));
        collector.RecordObservableInstruments();
        void* block = NativeAllocator.Alloc(50_000);
        collector.RecordObservableInstruments();
        nuint bytes = NativeAllocator.UsableSize(block);
        NativeAllocator.Free(block);
        long[] values = [.. collector.GetMeasurementSnapshot().Select(measurement => measurement.Value)];
        Assert.Equal(2, values.Length);
        Assert.Equal((long)bytes, values[1] - values[0]);
    }

    [Fact]
    public void What_is_unattributed_is_less_than_what_the_process_has()
    {
        using MetricCollector<long> collector = new(Find("nativealloc.memory.unattributed"));
        collector.RecordObservableInstruments();
        Assert.InRange(collector.LastMeasurement!.Value, 0, Environment.WorkingSet);
    }

    [Fact]
    public void An_exporter_of_OpenTelemetry_gets_all_of_them_with_few_series()
    {
        Find("nativealloc.memory.live");
        List<Metric> exported = [];
        using (MeterProvider provider = Sdk.CreateMeterProviderBuilder()
            .AddMeter(AllocatorMeter.Name).AddInMemoryExporter(exported).Build()!)
        {
            provider.ForceFlush();
        }
        foreach (Figure<AllocatorStatistics> figure in StatisticsTable.All)
        {
            Metric metric = exported.First(metric => metric.Name == FigureName.Instrument(figure));
            int points = 0;
            foreach (ref readonly MetricPoint point in metric.GetMetricPoints())
            {
                points++;
                Assert.Equal(0, point.Tags.Count);
            }
            Assert.Equal(1, points);
        }
    }

    private static ObservableInstrument<long> Find(string name) =>
        (ObservableInstrument<long>)Instruments().Single(instrument => instrument.Name == name);

    // The decay's thread would have it made too, if no test had switched the decay off.
    private static List<Instrument> Instruments()
    {
        AllocatorTelemetry.MakeOnce();
        List<Instrument> found = [];
        using MeterListener listener = new();
        listener.InstrumentPublished = (instrument, _) =>
        {
            if (instrument.Meter.Name != AllocatorMeter.Name) return;
            lock (found) found.Add(instrument);
        };
        listener.Start();
        bool all = SpinWait.SpinUntil(() =>
        {
            lock (found) return found.Count > StatisticsTable.All.Length;
        }, TimeSpan.FromSeconds(30));
        Assert.True(all, "The meter was not made.");
        lock (found) return [.. found];
    }
}
