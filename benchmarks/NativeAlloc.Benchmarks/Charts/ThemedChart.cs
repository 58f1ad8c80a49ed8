using System.Globalization;
using System.Net;
using System.Text;
using OxyPlot;
using OxyPlot.Annotations;
using OxyPlot.Axes;
using OxyPlot.Series;

namespace NativeAlloc.Benchmarks.Charts;

/// <summary>
/// Charts as SVG inside a page. OxyPlot draws them with colours that stand for roles, and each such colour becomes a
/// variable of the page's style sheet, so that one drawing is both light and dark.
/// </summary>
internal sealed class ThemedChart(string unit)
{
    /// <summary>How many colours the style sheet has for allocators; further ones are drawn with dashes.</summary>
    public const int SeriesColors = 8;

    private const int BarHeight = 20, LineHeight = 210, Width = 360, AroundBars = 14;
    private const double RoomForLabels = 1.28;

    // The page's font is the reader's, so margins are wide enough for a wide one instead of measured.
    private const double CharacterWidth = 7.4, NumbersWidth = 56, StepsHeight = 24, Edge = 6;

    // Drawn with colours that nothing else has: the red part is the mark, the blue part the role.
    private const byte Mark = 1;
    private static readonly OxyColor s_text = OxyColor.FromRgb(Mark, 0, 100), s_grid = OxyColor.FromRgb(Mark, 0, 101);

    private static int s_charts;

    /// <summary>A bar for each value, the first on top.</summary>
    /// <param name="title">What the chart is about.</param>
    /// <param name="bars">Labels, values and colours (see <see cref="ColorOf"/>).</param>
    public string Bars(string title, IReadOnlyList<(string Label, double Value, int Color)> bars)
    {
        PlotModel model = NewModel(bars.Max(bar => bar.Label.Length) * CharacterWidth + Edge, Edge);
        CategoryAxis names = new()
        {
            Key = "names",
            Position = AxisPosition.Left,
            StartPosition = 1,
            EndPosition = 0,
            GapWidth = 0.35,
            TickStyle = TickStyle.None,
            AxislineStyle = LineStyle.Solid,
            AxislineColor = s_grid,
        };
        double max = bars.Max(bar => bar.Value);
        BarSeries series = new()
        {
            YAxisKey = names.Key,
            XAxisKey = "values",
        };
        string format = max >= 1000 ? "#,0" : max >= 100 ? "0" : max >= 1 ? "0.0" : "0.00";
        foreach ((string label, double value, int color) in bars)
        {
            model.Annotations.Add(new TextAnnotation
            {
                Text = "\u00a0" + value.ToString(format, CultureInfo.InvariantCulture), // a gap behind the bar
                TextPosition = new DataPoint(value, names.Labels.Count),
                TextHorizontalAlignment = HorizontalAlignment.Left,
                TextVerticalAlignment = VerticalAlignment.Middle,
                StrokeThickness = 0,
                XAxisKey = "values",
                YAxisKey = names.Key,
            });
            names.Labels.Add(label);
            series.Items.Add(new BarItem(value) { Color = Role(color) });
        }

        model.Axes.Add(names);
        model.Axes.Add(new LinearAxis
        {
            Key = "values",
            Position = AxisPosition.Bottom,
            Minimum = 0,
            Maximum = max > 0 ? max * RoomForLabels : 1,
            IsAxisVisible = false,
        });
        model.Series.Add(series);
        string said = string.Join(", ", bars.Select(bar => $"{bar.Label} {bar.Value:0.#}"));
        return Figure(title, model, (bars.Count * BarHeight) + AroundBars, said);
    }

    /// <summary>A line for each allocator, over named steps.</summary>
    /// <param name="title">What the chart is about.</param>
    /// <param name="steps">What stands below the chart, from left to right.</param>
    /// <param name="lines">Labels, a value for each step (NaN if there is none) and colours.</param>
    /// <param name="logarithmic">Whether the values differ by orders of magnitude.</param>
    public string Lines(string title, IReadOnlyList<string> steps,
        IReadOnlyList<(string Label, IReadOnlyList<double> Values, int Color)> lines, bool logarithmic = false)
    {
        PlotModel model = NewModel(NumbersWidth, StepsHeight);
        CategoryAxis axis = new()
        {
            Position = AxisPosition.Bottom,
            TickStyle = TickStyle.None,
            AxislineStyle = LineStyle.Solid,
            AxislineColor = s_grid,
            Minimum = -0.3,
            Maximum = steps.Count - 0.7,
        };
        axis.Labels.AddRange(steps);
        model.Axes.Add(axis);
        model.Axes.Add(ValueAxis(logarithmic));
        foreach ((string label, IReadOnlyList<double> values, int color) in lines)
        {
            LineSeries series = new()
            {
                Title = label,
                Color = Role(color),
                StrokeThickness = 2,
                LineStyle = color < SeriesColors ? LineStyle.Solid : LineStyle.Dash,
                MarkerType = MarkerType.Circle,
                MarkerSize = 3,
                MarkerFill = Role(color),
            };
            for (int i = 0; i < values.Count; i++)
                series.Points.Add(new DataPoint(i, logarithmic ? Math.Max(1, values[i]) : values[i]));
            model.Series.Add(series);
        }

        string said = string.Join("; ", lines.Select(line =>
            $"{line.Label}: {string.Join(", ", line.Values.Select(value => $"{value:0.#}"))}"));
        return Figure(title, model, LineHeight, said);
    }

    /// <summary>The variable of the style sheet that an allocator is drawn with.</summary>
    public static string ColorOf(int color) => $"var(--series-{color % SeriesColors})";

    private static Axis ValueAxis(bool logarithmic)
    {
        Axis axis = logarithmic
            ? new LogarithmicAxis { Base = 10, MinorTickSize = 0, LabelFormatter = Duration }
            : new LinearAxis { Minimum = 0, MaximumPadding = 0.1, StringFormat = "#,0.###" };
        axis.Position = AxisPosition.Left;
        axis.TickStyle = TickStyle.None;
        axis.AxislineStyle = LineStyle.None;
        axis.MajorGridlineStyle = LineStyle.Solid;
        axis.MajorGridlineColor = s_grid;
        return axis;
    }

    private static string Duration(double ns) => ns switch
    {
        < 1e3 => $"{ns:0} ns",
        < 1e6 => $"{ns / 1e3:0} µs",
        < 1e9 => $"{ns / 1e6:0} ms",
        _ => $"{ns / 1e9:0} s",
    };

    private static PlotModel NewModel(double left, double bottom) => new()
    {
        PlotMargins = new OxyThickness(left, Edge, Edge, bottom),
        DefaultFont = "inherit",
        DefaultFontSize = 11.5,
        TextColor = s_text,
        PlotAreaBorderThickness = new OxyThickness(0),
        Padding = new OxyThickness(0),
    };

    private static OxyColor Role(int color) => OxyColor.FromRgb(Mark, 0, (byte)(color % SeriesColors));

    private string Figure(string title, PlotModel model, int height, string said)
    {
        SvgExporter exporter = new()
        {
            Width = Width,
            Height = height,
            UseVerticalTextAlignmentWorkaround = true,
        };
        StringBuilder svg = new(exporter.ExportToString(model));
        svg.Remove(0, svg.ToString().IndexOf("<svg", StringComparison.Ordinal));
        svg.Replace($"width=\"{Width}\" height=\"{height}\" version=\"1.1\"",
            $"viewBox=\"0 0 {Width} {height}\" role=\"img\" aria-label=\"{WebUtility.HtmlEncode(said)}\"");
        svg.Replace("clipPath", $"chart{++s_charts}clip"); // names of things are for the whole page
        svg.Replace($"<chart{s_charts}clip", "<clipPath").Replace($"</chart{s_charts}clip", "</clipPath");
        SetColor(svg, s_text, "var(--text)");
        SetColor(svg, s_grid, "var(--grid)");
        for (int color = 0; color < SeriesColors; color++)
            SetColor(svg, Role(color), ColorOf(color));
        return $"<figure><figcaption>{WebUtility.HtmlEncode(title)} <small>{WebUtility.HtmlEncode(unit)}</small>" +
            $"</figcaption>{svg}</figure>\n";
    }

    // An attribute takes no variable in every browser, a style does.
    private static void SetColor(StringBuilder svg, OxyColor color, string variable)
    {
        string drawn = $"rgb({color.R},{color.G},{color.B})";
        svg.Replace($"fill=\"{drawn}\"", $"style=\"fill:{variable}\"").Replace(drawn, variable);
    }
}
