using System.Globalization;
using NativeAlloc.Benchmarks.Comparing;
using Spectre.Console;

namespace NativeAlloc.Benchmarks.Growth;

/// <summary>The figures as tables: one per task and size, with a row per way.</summary>
internal sealed class GrowthReport(Dictionary<GrowthArm, Dictionary<string, GrowthFigure>> figures)
{
    public void Print()
    {
        IAnsiConsole console = Terminal.Output();
        foreach (IGrouping<(string Task, nuint Bytes), GrowthArm> group in figures.Keys.GroupBy(arm => (arm.Task, arm.Bytes)))
        {
            bool touch = group.Key.Task == FirstTouchArm.TaskName;
            console.WriteLine();
            console.WriteLine(touch
                ? $"First touch of {Size(group.Key.Bytes)}: ns per 64 KiB, median (best); 'first' is the first time in a process"
                : $"Clear {Size(group.Key.Bytes)}: GB/s, median (best)");
            console.Write(touch ? TouchTable(group) : ClearTable(group));
        }
    }

    private Table TouchTable(IEnumerable<GrowthArm> arms)
    {
        Table table = NewTable("touch", "first", "give back", "resident KiB", "after one write");
        foreach (GrowthArm arm in arms)
        {
            Dictionary<string, GrowthFigure> of = figures[arm];
            table.AddRow(
                arm.Way.EscapeMarkup(),
                Format($"{of[FirstTouchArm.TouchNs].Median:F0} ({of[FirstTouchArm.TouchNs].Best:F0})"),
                Format($"{of[FirstTouchArm.TouchNs].First:F0}"),
                Format($"{of[FirstTouchArm.GiveBackNs].Median:F0} ({of[FirstTouchArm.GiveBackNs].Best:F0})"),
                Format($"{of[FirstTouchArm.KiBAfterAll].Median:F0}"),
                Format($"{of[FirstTouchArm.KiBAfterOne].Median:F0}"));
        }

        return table;
    }

    private Table ClearTable(IEnumerable<GrowthArm> arms)
    {
        string[] columns = [ClearTask.Warm, ClearTask.WarmAndRead, ClearTask.Cold, ClearTask.ColdAndRead];
        Table table = NewTable(columns);
        foreach (GrowthArm arm in arms)
        {
            // Bytes per ns are GB/s.
            IEnumerable<string> cells = columns.Select(column => figures[arm][column]).Select(figure =>
                Format($"{arm.Bytes / figure.Median:F1} ({arm.Bytes / figure.Best:F1})"));
            table.AddRow([arm.Way.EscapeMarkup(), .. cells]);
        }

        return table;
    }

    private static Table NewTable(params string[] columns)
    {
        Table table = new();
        table.AddColumn("way");
        foreach (string column in columns)
            table.AddColumn(new TableColumn(column).RightAligned());
        return table;
    }

    private static string Size(nuint bytes) => bytes >= 1 << 20 ? $"{bytes >> 20} MiB" : $"{bytes >> 10} KiB";

    private static string Format(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
