using NativeAlloc.Benchmarks.Arms;
using NativeAlloc.Benchmarks.Measuring;
using Spectre.Console;

namespace NativeAlloc.Benchmarks.Comparing;

/// <summary>
/// The results as tables: a row per workload, a column per allocator, and geometric means below. One table is about time,
/// one about memory, one sets both in relation to the library (or to the first allocator if it takes no part),
/// and one has the figures that only some workloads add.
/// </summary>
internal sealed class ComparisonReport(IReadOnlyList<Outcome> outcomes, int threads)
{
    private const string MeanLabel = "geometric mean";

    private readonly string[] _workloads = [.. outcomes.Select(outcome => outcome.Workload).Distinct()];
    private readonly string[] _allocators = [.. outcomes.Select(outcome => outcome.Allocator).Distinct()];

    private readonly Dictionary<(string, string), Outcome> _usable =
        outcomes.Where(outcome => outcome.Failure is null).ToDictionary(outcome => (outcome.Workload, outcome.Allocator));

    public void Print()
    {
        IAnsiConsole console = Terminal.Output();
        Write(
            console,
            $"Time in ns per operation: median (best){OnThreads}",
            Build(
                Describe(time => $"{time.NsPerOp:F1} ({time.NsPerOpBest:F1})"),
                allocator => Mean(_workloads, allocator, Time) is { } mean ? $"{mean:F1}" : null));
        Write(
            console,
            $"Peak resident memory in KiB, less what was resident before{OnThreads}",
            Build(
                Describe(memory => $"{memory.PeakKiB}"),
                allocator => Mean(_workloads, allocator, Peak) is { } mean ? $"{mean:F0}" : null,
                withLive: true));

        string reference = _allocators.Contains(ArmRegistry.Reference) ? ArmRegistry.Reference : _allocators[0];
        if (_allocators.Length > 1)
        {
            Write(
                console,
                $"Time and peak relative to {reference} (below 1 is better than {reference}){OnThreads}",
                Build(
                    (workload, allocator) => Ratios([workload], allocator, reference),
                    allocator => Ratios(_workloads, allocator, reference)));
        }

        if (_usable.Values.Any(outcome => outcome.Figures.Count > 0))
            Write(console, $"Further figures, median of the runs{OnThreads}", BuildFigures());

        foreach (Outcome failed in outcomes.Where(outcome => outcome.Failure is not null))
            console.MarkupLineInterpolated($"[red]{failed.Workload} on {failed.Allocator} failed: {failed.Failure}[/]");
    }

    /// <summary>The title is a line of its own: as the table's it would be broken to the table's width.</summary>
    private static void Write(IAnsiConsole console, string title, Table table)
    {
        console.WriteLine();
        console.WriteLine(title);
        console.Write(table);
    }

    private string OnThreads => threads > 1 ? $", {threads} threads" : "";

    private Table Build(
        Func<string, string, string?> cell,
        Func<string, string?> mean,
        bool withLive = false)
    {
        Table table = new();
        table.AddColumn("workload");
        if (withLive)
            table.AddColumn(new TableColumn("alive").RightAligned());
        foreach (string allocator in _allocators)
            table.AddColumn(new TableColumn(allocator.EscapeMarkup()).RightAligned());

        foreach (string workload in _workloads)
        {
            List<string> cells = [workload.EscapeMarkup()];
            if (withLive)
                cells.Add(Text(LiveOf(workload)));
            cells.AddRange(_allocators.Select(allocator => Text(cell(workload, allocator))));
            table.AddRow([.. cells]);
        }

        if (_workloads.Length > 1)
        {
            List<string> cells = [MeanLabel];
            if (withLive)
                cells.Add("");
            cells.AddRange(_allocators.Select(allocator => Text(mean(allocator))));
            table.AddEmptyRow().AddRow([.. cells]);
        }

        return table;
    }

    private Table BuildFigures()
    {
        Table table = new Table().AddColumns("workload", "allocator", "figure");
        table.AddColumn(new TableColumn("value").RightAligned());
        foreach (Outcome outcome in _usable.Values)
        {
            foreach ((string name, double value) in outcome.Figures)
            {
                table.AddRow(
                    outcome.Workload.EscapeMarkup(), outcome.Allocator.EscapeMarkup(), name.EscapeMarkup(), $"{value:0.###}");
            }
        }

        return table;
    }

    private Func<string, string, string?> Describe(Func<Outcome, string> describe) =>
        (workload, allocator) => _usable.TryGetValue((workload, allocator), out Outcome? outcome) ? describe(outcome) : null;

    private string? LiveOf(string workload) =>
        _usable.Values.FirstOrDefault(outcome => outcome.Workload == workload) is { } outcome ? $"{outcome.LiveKiB}" : null;

    private string? Ratios(IReadOnlyCollection<string> over, string allocator, string reference) =>
        Mean(over, allocator, Time) / Mean(over, reference, Time) is { } time &&
        Mean(over, allocator, Peak) / Mean(over, reference, Peak) is { } peak
            ? $"{time:F2}, {peak:F2}"
            : null;

    /// <summary>Null unless all the workloads have a result: means over different workloads do not compare.</summary>
    private double? Mean(IReadOnlyCollection<string> over, string allocator, Func<Outcome, double> value)
    {
        double[] values =
        [
            .. over.Where(workload => _usable.ContainsKey((workload, allocator)))
                .Select(workload => value(_usable[(workload, allocator)])),
        ];
        return values.Length == over.Count ? Statistics.GeometricMean(values) : null;
    }

    private static double Time(Outcome outcome) => outcome.NsPerOp;

    /// <summary>At least 1 KiB: a workload that fits what was resident before must not make every mean zero.</summary>
    private static double Peak(Outcome outcome) => Math.Max(1, outcome.PeakKiB);

    private static string Text(string? text) => text?.EscapeMarkup() ?? "-";
}
