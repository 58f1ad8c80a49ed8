using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using NativeAlloc.Benchmarks.Comparing;

namespace NativeAlloc.Benchmarks.Charts;

/// <summary>
/// What stays resident, over time: workloads name such figures by the moment (<c>after2sKiB</c>,
/// <c>afterSpike7KiB</c>), and figures that differ by the number alone are one line.
/// </summary>
/// <param name="outcomes">Those that have figures.</param>
/// <param name="allocators">In the order of their colours.</param>
/// <param name="nameOf">What a row is called, of its workload and number of threads.</param>
internal sealed partial class ResidentCharts(IReadOnlyList<Outcome> outcomes, string[] allocators,
    Func<string, int, string> nameOf)
{
    public void AppendTo(StringBuilder page)
    {
        bool begun = false;
        ThemedChart chart = new("MiB");
        foreach (IGrouping<(string, int), Outcome> row in outcomes.GroupBy(of => (of.Workload, of.Threads)))
        {
            foreach (IGrouping<string, Moment> series in row.SelectMany(of => of.Figures.Keys).Distinct()
                .Select(Moment.Of).OfType<Moment>().GroupBy(moment => moment.Series))
            {
                Moment[] moments = [.. series.OrderBy(moment => moment.At)];
                if (moments.Length < 2)
                    continue;
                if (!begun)
                {
                    HtmlReport.Begin(page, "What stays resident", "Resident memory beyond what was before, after the " +
                        "program has freed its blocks. Lower is better.");
                }
                begun = true;
                page.Append(chart.Lines($"{nameOf(row.Key.Item1, row.Key.Item2)}: {series.Key}",
                    [.. moments.Select(moment => moment.Label)],
                    [.. row.Where(of => of.Figures.ContainsKey(moments[0].Figure)).Select(of => (of.Allocator,
                        (IReadOnlyList<double>)[.. moments.Select(moment => Value(of, moment))],
                        Array.IndexOf(allocators, of.Allocator)))]));
            }
        }
        if (begun)
            HtmlReport.End(page);
    }

    private static double Value(Outcome of, Moment moment) =>
        of.Figures.TryGetValue(moment.Figure, out double kiB) ? Math.Max(0, kiB) / 1024 : double.NaN;

    private sealed partial record Moment(string Figure, string Series, int At, string Label)
    {
        public static Moment? Of(string figure)
        {
            Match match = Form().Match(figure);
            if (!match.Success)
                return null;
            string number = match.Groups["at"].Value, unit = match.Groups["unit"].Value;
            return new Moment(figure, match.Groups["series"].Value + (unit.Length > 0 ? " seconds" : ""),
                int.Parse(number, CultureInfo.InvariantCulture), number + unit);
        }

        [GeneratedRegex("^(?<series>[A-Za-z]+?)(?<at>[0-9]+)(?<unit>s?)KiB$")]
        private static partial Regex Form();
    }
}
