using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Reports;

namespace NativeAlloc.BenchmarkDotNet;

/// <summary>A column: one of the counts, for each operation.</summary>
internal sealed class CountDescriptor : IMetricDescriptor
{
    private static readonly CountDescriptor
        s_blocks = new(0, "AllocatedBlocks", "Native blocks", UnitType.Dimensionless,
            "Native blocks allocated per operation"),
        s_bytes = new(1, "AllocatedBytes", "Native bytes", UnitType.Size,
            "Native bytes allocated per operation, in the sizes that the allocator keeps for blocks"),
        s_leakedBlocks = new(2, "LeakedBlocks", "Leaked blocks", UnitType.Dimensionless,
            "Native blocks per operation that are still live when it has ended"),
        s_leakedBytes = new(3, "LeakedBytes", "Leaked bytes", UnitType.Size,
            "Native bytes per operation that are still live when it has ended");

    private CountDescriptor(int priority, string id, string name, UnitType unit, string legend) =>
        (PriorityInCategory, Id, DisplayName, UnitType, Legend) = (priority, "NativeAlloc" + id, name, unit, legend);

    public string Id { get; }

    public string DisplayName { get; }

    public string Legend { get; }

    public string NumberFormat => "0.####";

    public UnitType UnitType { get; }

    public string Unit => UnitType == UnitType.Size ? "B" : "Count";

    public bool TheGreaterTheBetter => false;

    public int PriorityInCategory { get; }

    public bool GetIsAvailable(Metric metric) => true;

    internal static Metric[] MetricsOf(in OperationCounts counts)
    {
        double operations = counts.Operations;
        return
        [
            new Metric(s_blocks, counts.Blocks / operations), new Metric(s_bytes, counts.Bytes / operations),
            new Metric(s_leakedBlocks, counts.LeakedBlocks / operations),
            new Metric(s_leakedBytes, counts.LeakedBytes / operations),
        ];
    }
}
