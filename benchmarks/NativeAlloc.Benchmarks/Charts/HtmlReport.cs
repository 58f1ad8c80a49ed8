using System.Globalization;
using System.Net;
using System.Text;
using NativeAlloc.Benchmarks.Arms;
using NativeAlloc.Benchmarks.Comparing;
using NativeAlloc.Benchmarks.Latency;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Charts;

/// <summary>
/// The results as one page that needs nothing else: charts of time, memory, threads, single calls and what stays
/// resident, each only where there is something to show; then all figures, the environment and the command.
/// </summary>
internal sealed class HtmlReport
{
    private readonly IReadOnlyList<Outcome> _outcomes;
    private readonly IReadOnlyList<(string Name, string Value)> _environment;
    private readonly Outcome[] _usable;
    private readonly string[] _allocators;
    private readonly int[] _threads;
    private readonly (string Workload, int Threads)[] _rows;
    private readonly StringBuilder _page = new();

    public HtmlReport(IReadOnlyList<Outcome> outcomes, IReadOnlyList<(string Name, string Value)> environment)
    {
        _outcomes = outcomes;
        _environment = environment;
        _usable = [.. outcomes.Where(outcome => outcome.Failure is null)];
        _allocators = [.. outcomes.Select(outcome => outcome.Allocator).Distinct()];
        _threads = [.. outcomes.Select(outcome => outcome.Threads).Distinct().Order()];
        _rows = [.. outcomes.Select(outcome => (outcome.Workload, outcome.Threads)).Distinct()];
    }

    public string ToHtml()
    {
        int workloads = _rows.Select(row => row.Workload).Distinct().Count();
        _page.Append(PageStyle.Head);
        _page.Append(CultureInfo.InvariantCulture,
            $"<header><h1>NativeAlloc, compared</h1><p>{workloads} workloads on {_allocators.Length} allocators, " +
            $"each in processes of its own. {Encode(_environment[0].Value)}</p></header>\n");
        AppendLegend();
        AppendMeans();
        AppendEach("Time", "Per operation, an allocation or a free: the median of the runs. Shorter is better.",
            new ThemedChart("ns"), outcome => outcome.NsPerOp);
        AppendEach("Memory", "The peak of resident memory, less what was resident before. Shorter is better.",
            new ThemedChart("MiB"), outcome => outcome.PeakKiB / 1024.0);
        AppendThreads();
        AppendLatencies();
        new ResidentCharts(_usable, _allocators, NameOf).AppendTo(_page);
        AppendTables();
        return _page.Append("</main></body></html>\n").ToString();
    }

    internal static string Encode(string text) => WebUtility.HtmlEncode(text);

    internal static void Begin(StringBuilder page, string title, string about) =>
        page.Append(CultureInfo.InvariantCulture,
            $"<section><h2>{Encode(title)}</h2><p>{Encode(about)}</p><div class=\"grid\">\n");

    internal static void End(StringBuilder page) => page.Append("</div></section>\n");

    private void AppendLegend()
    {
        _page.Append("<ul class=\"legend\">");
        for (int i = 0; i < _allocators.Length; i++)
        {
            _page.Append(CultureInfo.InvariantCulture,
                $"<li><i style=\"background:{ThemedChart.ColorOf(i)}\"></i>{Encode(_allocators[i])}</li>");
        }
        _page.Append("</ul>\n");
    }

    /// <summary>Of allocators that have a result for every row: means over different rows do not compare.</summary>
    private void AppendMeans()
    {
        if (_rows.Length < 2)
            return;
        Begin(_page, "All together", "Geometric means of those that ran every workload. Shorter is better.");
        Append("time per operation", new ThemedChart("ns"), outcome => outcome.NsPerOp);
        Append("peak of resident memory", new ThemedChart("MiB"), outcome => Math.Max(1, outcome.PeakKiB) / 1024.0);
        End(_page);

        void Append(string title, ThemedChart chart, Func<Outcome, double> value)
        {
            List<(string, double, int)> bars = [];
            for (int i = 0; i < _allocators.Length; i++)
            {
                double[] values = [.. _usable.Where(outcome => outcome.Allocator == _allocators[i]).Select(value)];
                if (values.Length == _rows.Length)
                    bars.Add((_allocators[i], Statistics.GeometricMean(values), i));
            }
            if (bars.Count > 0)
                _page.Append(chart.Bars(title, bars));
        }
    }

    private void AppendEach(string title, string about, ThemedChart chart, Func<Outcome, double> value)
    {
        Begin(_page, title, about);
        foreach ((string workload, int threads) in _rows)
        {
            List<(string, double, int)> bars =
            [
                .. _usable.Where(outcome => outcome.Workload == workload && outcome.Threads == threads)
                    .Select(outcome => (outcome.Allocator, value(outcome), ColorOf(outcome))),
            ];
            if (bars.Count > 0)
                _page.Append(chart.Bars(NameOf(workload, threads), bars));
        }
        End(_page);
    }

    private void AppendThreads()
    {
        if (_threads.Length < 2)
            return;
        Begin(_page, "Threads", "Operations per second of all threads together. Higher is better.");
        ThemedChart chart = new("million operations/s");
        foreach (string workload in _rows.Select(row => row.Workload).Distinct())
        {
            _page.Append(chart.Lines(workload, [.. _threads.Select(threads => $"{threads}")],
                LinesOf(_usable.Where(outcome => outcome.Workload == workload),
                    outcomes => [.. _threads.Select(threads =>
                        outcomes.FirstOrDefault(outcome => outcome.Threads == threads) is { } found
                            ? 1e3 / found.NsPerOp : double.NaN)])));
        }
        End(_page);
    }

    private void AppendLatencies()
    {
        if (_usable.All(outcome => outcome.Latency.Count == 0))
            return;
        Begin(_page, "Single calls", "How long calls took: half of them, all but one in 100, 1,000 and 10,000, and " +
            "the longest. Lower is better. The scale is logarithmic.");
        ThemedChart chart = new("");
        foreach ((string workload, int threads) in _rows)
        {
            Outcome[] ofRow = [.. _usable.Where(o => o.Workload == workload && o.Threads == threads)];
            foreach (string call in ofRow.SelectMany(outcome => outcome.Latency.Keys).Distinct())
            {
                _page.Append(chart.Lines($"{NameOf(workload, threads)}: {call}",
                    ["p50", "p99", "p99.9", "p99.99", "max"],
                    LinesOf(ofRow.Where(outcome => outcome.Latency.ContainsKey(call)),
                        outcomes => Percentiles(outcomes[0].Latency[call])), logarithmic: true));
            }
        }
        End(_page);
    }

    private static double[] Percentiles(LatencySummary of) => [of.P50, of.P99, of.P999, of.P9999, of.Max];

    private List<(string, IReadOnlyList<double>, int)> LinesOf(IEnumerable<Outcome> outcomes,
        Func<Outcome[], IReadOnlyList<double>> values) =>
        [.. outcomes.GroupBy(outcome => outcome.Allocator).Select(group => ((Outcome[])[.. group]))
            .Select(group => (group[0].Allocator, values(group), ColorOf(group[0])))];

    private void AppendTables()
    {
        _page.Append("<section><h2>Figures</h2><details><summary>All of them, as a table</summary>" +
            "<div class=\"wide\"><table><tr><th>workload<th>threads<th>allocator<th>ns/op<th>best<th>peak KiB" +
            "<th>alive KiB</tr>\n");
        foreach (Outcome of in _usable)
        {
            _page.Append(CultureInfo.InvariantCulture, $"<tr><td>{Encode(of.Workload)}<td>{of.Threads}" +
                $"<td>{Encode(of.Allocator)}<td>{of.NsPerOp:0.00}<td>{of.NsPerOpBest:0.00}<td>{of.PeakKiB:#,0}" +
                $"<td>{of.LiveKiB:#,0}</tr>\n");
        }
        _page.Append("</table></div></details>\n");
        foreach (Outcome failed in _outcomes.Where(outcome => outcome.Failure is not null))
        {
            _page.Append(CultureInfo.InvariantCulture, $"<p class=\"failed\">{Encode(failed.Workload)} on " +
                $"{Encode(failed.Allocator)} failed: {Encode(failed.Failure!)}</p>\n");
        }
        foreach ((string workload, string conditions) in _outcomes.Where(outcome => outcome.Conditions is not null)
            .Select(outcome => (outcome.Workload, outcome.Conditions!)).Distinct())
            _page.Append(CultureInfo.InvariantCulture, $"<p>{Encode(workload)}: {Encode(conditions)}</p>\n");
        _page.Append("</section><section><h2>Environment</h2><table class=\"facts\">\n");
        foreach ((string name, string value) in _environment)
            _page.Append(CultureInfo.InvariantCulture, $"<tr><th>{Encode(name)}<td>{Encode(value)}</tr>\n");
        _page.Append(CultureInfo.InvariantCulture,
            $"</table><h2>Command</h2><pre>{Encode(Machine.Command)}</pre></section>\n");
    }

    private int ColorOf(Outcome outcome) => Array.IndexOf(_allocators, outcome.Allocator);

    private string NameOf(string workload, int threads) => _threads.Length > 1
        ? string.Create(CultureInfo.InvariantCulture, $"{workload}, {threads} thread{(threads == 1 ? "" : "s")}")
        : workload;
}
