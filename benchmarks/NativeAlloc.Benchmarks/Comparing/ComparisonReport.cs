using NativeAlloc.Benchmarks.Arms;
using NativeAlloc.Benchmarks.Latency;
using NativeAlloc.Benchmarks.Measuring;
using Spectre.Console;

namespace NativeAlloc.Benchmarks.Comparing;

/// <summary>
/// The results as tables: a row per workload (and number of threads), a column per allocator, and geometric means
/// below. One table is about time, one about memory, one sets both in relation to the library (or to the first
/// allocator if it takes no part), and one has the figures that only some workloads add.
/// </summary>
internal sealed class ComparisonReport(IReadOnlyList<Outcome> outcomes, bool withCounters)
{
    private const string MeanLabel = "geometric mean";
    private const string Unsupported = "unsupported";

    /// <summary>
    /// What the names of figures about resident memory end with; they are set in relation to this arm's.
    /// </summary>
    private const string ResidentUnit = "KiB";
    private const string SystemAllocator = "nativememory";

    private readonly Row[] _rows = [.. outcomes.Select(Row.Of).Distinct()];
    private readonly int[] _threads = [.. outcomes.Select(outcome => outcome.Threads).Distinct()];
    private readonly string[] _allocators = [.. outcomes.Select(outcome => outcome.Allocator).Distinct()];

    private readonly Dictionary<(Row, string), Outcome> _usable =
        outcomes.Where(outcome => outcome.Failure is null)
            .ToDictionary(outcome => (Row.Of(outcome), outcome.Allocator));

    private readonly record struct Row(string Workload, int Threads)
    {
        public static Row Of(Outcome outcome) => new(outcome.Workload, outcome.Threads);
    }

    public void Print()
    {
        IAnsiConsole console = Terminal.Output();
        Write(
            console,
            $"Time in ns per operation: median (best){OnThreads}",
            Build(
                Describe(time => $"{time.NsPerOp:F1} ({time.NsPerOpBest:F1})"),
                allocator => Mean(_rows, allocator, Time) is { } mean ? $"{mean:F1}" : null));
        Write(
            console,
            $"Peak resident memory in KiB, less what was resident before{OnThreads}",
            Build(
                Describe(memory => $"{memory.PeakKiB}"),
                allocator => Mean(_rows, allocator, Peak) is { } mean ? $"{mean:F0}" : null,
                withLive: true));

        string reference = _allocators.Contains(ArmRegistry.Reference) ? ArmRegistry.Reference : _allocators[0];
        if (_allocators.Length > 1)
        {
            Write(
                console,
                $"Time and peak relative to {reference} (below 1 is better than {reference}){OnThreads}",
                Build(
                    (row, allocator) => Ratios([row], allocator, reference),
                    allocator => Ratios(_rows, allocator, reference)));
        }

        PrintFigures(console);
        foreach ((string workload, string conditions) in Conditions())
            console.WriteLine($"{workload}: {conditions}");

        foreach (Outcome failed in outcomes.Where(outcome => outcome.Failure is not null))
        {
            string threads = _threads.Length > 1 ? $" ({failed.Threads} threads)" : "";
            console.MarkupLineInterpolated(
                $"[red]{failed.Workload}{threads} on {failed.Allocator} failed: {failed.Failure}[/]");
        }
    }

    /// <summary>What only some of the workloads, allocators or options have.</summary>
    private void PrintFigures(IAnsiConsole console)
    {
        if (_usable.Values.Any(outcome => outcome.Figures.Count > 0))
        {
            Write(
                console,
                $"Further figures, median of the runs (KiB: in relation to {SystemAllocator}){OnThreads}",
                BuildFigures("figure", outcome => outcome.Figures));
        }

        if (withCounters && _usable.Values.Any(outcome => outcome.CpuNsPerOp is not null))
        {
            Write(
                console,
                $"Processor time of all threads in ns per operation, median of the runs{OnThreads}",
                Build(
                    Describe(outcome => outcome.CpuNsPerOp is { } cpu ? $"{cpu:F1}" : "-"),
                    allocator => Mean(_rows, allocator, Cpu) is double mean and > 0 ? $"{mean:F1}" : null));
        }

        if (withCounters && _usable.Values.Any(outcome => outcome.Counters.Count > 0))
        {
            Write(
                console,
                $"Counters per 1000 operations (allocations and frees), median of the runs{OnThreads}",
                BuildFigures("counter", outcome => outcome.Counters));
        }

        if (_usable.Values.Any(outcome => outcome.Latency.Count > 0))
            Write(console, $"Single calls: how long they took{OnThreads}", BuildLatencies());
    }

    /// <summary>The title is a line of its own: as the table's it would be broken to the table's width.</summary>
    private static void Write(IAnsiConsole console, string title, Table table)
    {
        console.WriteLine();
        console.WriteLine(title);
        console.Write(table);
    }

    private string OnThreads => _threads is [> 1 and int threads] ? $", {threads} threads" : "";

    private Table Build(
        Func<Row, string, string?> cell,
        Func<string, string?> mean,
        bool withLive = false)
    {
        Table table = new();
        AddRowHeads(table);
        if (withLive)
            table.AddColumn(new TableColumn("alive").RightAligned());
        foreach (string allocator in _allocators)
            table.AddColumn(new TableColumn(allocator.EscapeMarkup()).RightAligned());

        foreach (Row row in _rows)
        {
            List<string> cells = RowHead(row);
            if (withLive)
                cells.Add(Text(LiveOf(row)));
            cells.AddRange(_allocators.Select(allocator =>
                Text(IsSupported(row, allocator) ? cell(row, allocator) : Unsupported)));
            table.AddRow([.. cells]);
        }

        if (_rows.Length > 1)
        {
            List<string> cells = [MeanLabel];
            if (_threads.Length > 1)
                cells.Add("");
            if (withLive)
                cells.Add("");
            cells.AddRange(_allocators.Select(allocator => Text(mean(allocator))));
            table.AddEmptyRow().AddRow([.. cells]);
        }

        return table;
    }

    private Table BuildFigures(string title, Func<Outcome, IReadOnlyDictionary<string, double>> figures)
    {
        Table table = new();
        AddRowHeads(table);
        table.AddColumn(title);
        string[] allocators =
            [.. _allocators.Where(allocator => _rows.Any(row => FiguresOf(row, allocator).Count > 0))];
        foreach (string allocator in allocators)
            table.AddColumn(new TableColumn(allocator.EscapeMarkup()).RightAligned());
        foreach (Row row in _rows)
        {
            foreach (string name in allocators.SelectMany(allocator => FiguresOf(row, allocator).Keys).Distinct())
            {
                table.AddRow(
                [
                    .. RowHead(row),
                    name.EscapeMarkup(),
                    .. allocators.Select(allocator => Cell(row, name, allocator)),
                ]);
            }
        }

        return table;

        string Cell(Row row, string name, string allocator)
        {
            if (!FiguresOf(row, allocator).TryGetValue(name, out double value))
                return "-";
            bool compared = name.EndsWith(ResidentUnit, StringComparison.Ordinal) && allocator != SystemAllocator;
            return compared && FiguresOf(row, SystemAllocator).TryGetValue(name, out double system) && system > 0
                ? $"{value:0.###} ({value / system:0.00})"
                : $"{value:0.###}";
        }

        IReadOnlyDictionary<string, double> FiguresOf(Row row, string allocator) =>
            _usable.TryGetValue((row, allocator), out Outcome? outcome)
                ? figures(outcome)
                : new Dictionary<string, double>();
    }

    /// <summary>A row for each kind of call of each allocator: percentiles do not fit side by side.</summary>
    private Table BuildLatencies()
    {
        Table table = new();
        AddRowHeads(table);
        table.AddColumns("call", "allocator");
        foreach (string percentile in (string[])["p50", "p99", "p99.9", "p99.99", "max", "calls"])
            table.AddColumn(new TableColumn(percentile).RightAligned());
        foreach (Row row in _rows)
        {
            Outcome[] outcomesOfRow =
                [.. _allocators.Select(name => _usable.GetValueOrDefault((row, name))).OfType<Outcome>()];
            foreach (string call in outcomesOfRow.SelectMany(outcome => outcome.Latency.Keys).Distinct())
            {
                foreach (Outcome outcome in outcomesOfRow.Where(outcome => outcome.Latency.ContainsKey(call)))
                {
                    LatencySummary summary = outcome.Latency[call];
                    IEnumerable<string> times =
                        new[] { summary.P50, summary.P99, summary.P999, summary.P9999, summary.Max }.Select(Duration);
                    string allocator = outcome.Allocator.EscapeMarkup();
                    table.AddRow([.. RowHead(row), call, allocator, .. times, $"{summary.Count}"]);
                }
            }
        }

        return table;
    }

    private static string Duration(long ns) => ns switch
    {
        < 1000 => $"{ns} ns",
        < 1_000_000 => $"{ns / 1e3:F1} µs",
        _ => $"{ns / 1e6:F1} ms",
    };

    /// <summary>What the results depend on, once for each workload that says so.</summary>
    private IEnumerable<(string Workload, string Conditions)> Conditions() => outcomes
        .Where(outcome => outcome.Conditions is not null)
        .Select(outcome => (outcome.Workload, outcome.Conditions!))
        .Distinct();

    private void AddRowHeads(Table table)
    {
        table.AddColumn("workload");
        if (_threads.Length > 1)
            table.AddColumn(new TableColumn("threads").RightAligned());
    }

    private List<string> RowHead(Row row) =>
        _threads.Length > 1 ? [row.Workload.EscapeMarkup(), $"{row.Threads}"] : [row.Workload.EscapeMarkup()];

    private Func<Row, string, string?> Describe(Func<Outcome, string> describe) =>
        (row, allocator) => _usable.TryGetValue((row, allocator), out Outcome? outcome) ? describe(outcome) : null;

    private bool IsSupported(Row row, string allocator) =>
        outcomes.Any(outcome => Row.Of(outcome) == row && outcome.Allocator == allocator);

    private string? LiveOf(Row row) =>
        _usable.Values.FirstOrDefault(outcome => Row.Of(outcome) == row) is { } outcome ? $"{outcome.LiveKiB}" : null;

    private string? Ratios(IReadOnlyCollection<Row> over, string allocator, string reference) =>
        Mean(over, allocator, Time) / Mean(over, reference, Time) is { } time &&
        Mean(over, allocator, Peak) / Mean(over, reference, Peak) is { } peak
            ? $"{time:F3}, {peak:F2}"
            : null;

    /// <summary>Null unless all the rows have a result: means over different rows do not compare.</summary>
    private double? Mean(IReadOnlyCollection<Row> over, string allocator, Func<Outcome, double> value)
    {
        double[] values =
        [
            .. over.Where(row => _usable.ContainsKey((row, allocator)))
                .Select(row => value(_usable[(row, allocator)])),
        ];
        return values.Length == over.Count ? Statistics.GeometricMean(values) : null;
    }

    private static double Time(Outcome outcome) => outcome.NsPerOp;

    private static double Cpu(Outcome outcome) => outcome.CpuNsPerOp ?? double.NaN;

    /// <summary>At least 1 KiB: a workload that fits what was resident before must not make every mean zero.</summary>
    private static double Peak(Outcome outcome) => Math.Max(1, outcome.PeakKiB);

    private static string Text(string? text) => text?.EscapeMarkup() ?? "-";
}
