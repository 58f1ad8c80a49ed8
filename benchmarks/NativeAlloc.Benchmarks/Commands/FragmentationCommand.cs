using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using NativeAlloc.Benchmarks.Comparing;
using NativeAlloc.Benchmarks.Fragmentation;
using NativeAlloc.Benchmarks.Measuring;
using Spectre.Console;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>
/// Shows what migrate types are for: a heap of pages is aged twice, with and without them, each time in a process of
/// its own and with the same requests, and the free blocks that are left are set side by side.
/// </summary>
internal static class FragmentationCommand
{
    private const int PageblockOrder = FreeBlockCounts.PageblockOrder;
    private const int SectionMiB = (int)(((long)PageAllocator.PageSize << PageAllocator.MaxOrder) >> 20);

    private static readonly Option<int> s_pool =
        CommandOptions.Number("--pool", "MIB", "Pages in the heap, in whole sections.", 1024, SectionMiB, 1 << 20);

    private static readonly Option<int> s_occupancy =
        CommandOptions.Number("--occupancy", "PERCENT", "How much of the pool is allocated.", 80, 1, 100);

    private static readonly Option<int> s_steps =
        CommandOptions.Number("--steps", "N", "Blocks that are replaced.", 1_000_000, 0, int.MaxValue);

    private static readonly Option<int> s_swing =
        CommandOptions.Number("--swing", "PERCENT", "How far the load swings.", 0, 0, 20);

    private static readonly Option<int> s_tries =
        CommandOptions.Number("--tries", "N", "Blocks of 16 pages that are asked for in the end.", 200, 0, 1_000_000);

    private static readonly Option<int> s_seed =
        CommandOptions.Number("--seed", "N", "Chooses the random numbers.", 1, 0, int.MaxValue);

    public static Command Create()
    {
        Command command = new("fragmentation", "Ages two heaps of pages, with and without migrate types.")
        {
            s_pool, s_occupancy, s_steps, s_swing, s_tries, s_seed,
        };
        command.SetAction(result => Run(new AgeingPlan(
            result.GetValue(s_pool) / SectionMiB * SectionMiB,
            result.GetValue(s_occupancy),
            result.GetValue(s_steps),
            result.GetValue(s_swing),
            result.GetValue(s_tries),
            result.GetValue(s_seed),
            MigrateTypes: true)));
        return command;
    }

    private static int Run(AgeingPlan plan)
    {
        AgeingResult with = Age(plan with { MigrateTypes = true });
        AgeingResult without = Age(plan with { MigrateTypes = false });
        Print(plan, with, without);

        bool sound = true;
        foreach ((string name, AgeingResult result) in new[] { ("with migrate types", with), ("without", without) })
        {
            if (result.GrownPages == 0 && result.FailedRequests == 0)
                continue;
            sound = false;
            Console.Error.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"error: {name}: the pool grew by {result.GrownPages} pages, {result.FailedRequests} requests " +
                $"failed; do not compare"));
        }

        return sound ? 0 : 1;
    }

    private static AgeingResult Age(AgeingPlan plan)
    {
        ProcessStartInfo start = ThisProgram.CreateChild(AgeCommand.Verb);
        foreach (string argument in plan.ToArguments())
            start.ArgumentList.Add(argument);
        start.RedirectStandardOutput = true;
        using Process child = Process.Start(start)!;
        string output = child.StandardOutput.ReadToEnd();
        child.WaitForExit();
        if (child.ExitCode != 0)
            throw new IOException($"the process that aged the heap ended with exit code {child.ExitCode}");
        try
        {
            return AgeingResult.Parse(output);
        }
        catch (JsonException e)
        {
            throw new IOException("the process that aged the heap printed no result", e);
        }
    }

    private static void Print(AgeingPlan plan, AgeingResult with, AgeingResult without)
    {
        IAnsiConsole console = Terminal.Output();
        console.WriteLine(Invariant(
            $"Pool of {with.PoolPages} pages ({plan.PoolMiB} MiB), {with.LivePages} allocated; seed {plan.Seed}"));
        console.WriteLine(Invariant($"After {plan.Steps} steps, load swinging by {plan.SwingPercent} %, by use:"));
        foreach (PageUse use in PageUse.ServerMix)
        {
            string weights = "orders from 0 weighted " + string.Join(':', use.OrderWeights);
            console.WriteLine(Invariant(
                $"  {use.Name}: {use.SharePercent} % of pages, {use.StepPercent} % of steps, {weights}"));
        }

        (string Label, AgeingMoment With, AgeingMoment Without)[] moments =
        [
            (Invariant($"at {plan.OccupancyPercent} %"), with.AtOccupancy, without.AtOccupancy),
            ("reclaimed", with.AfterReclaim, without.AfterReclaim),
        ];
        console.WriteLine();
        console.WriteLine("Free blocks by order");
        console.Write(Orders(moments));
        console.WriteLine();
        console.WriteLine(
            Invariant($"Free blocks of order {PageblockOrder} and up ({1 << PageblockOrder} pages and more)"));
        console.Write(Summary(plan, moments));
    }

    private static Table Orders((string Label, AgeingMoment With, AgeingMoment Without)[] moments)
    {
        Table table = new Table().AddColumns("", "migrate types");
        for (int order = 0; order <= PageAllocator.MaxOrder; order++)
            table.AddColumn(new TableColumn(Invariant($"{order}")).RightAligned());
        table.AddColumn(new TableColumn("free pages").RightAligned());
        foreach ((string label, AgeingMoment with, AgeingMoment without) in moments)
        {
            foreach ((string types, AgeingMoment moment) in new[] { ("with", with), ("without", without) })
            {
                IEnumerable<string> blocks = moment.Free.Blocks.Select(blocks => Invariant($"{blocks}"));
                table.AddRow([label, types, .. blocks, Invariant($"{moment.Free.Pages}")]);
            }
        }

        return table;
    }

    private static Table Summary(AgeingPlan plan, (string Label, AgeingMoment With, AgeingMoment Without)[] moments)
    {
        Table table = new Table().AddColumns("", "figure");
        foreach (string column in (string[])["with", "without", "ratio"])
            table.AddColumn(new TableColumn(column).RightAligned());
        foreach ((string label, AgeingMoment with, AgeingMoment without) in moments)
        {
            Add("blocks", moment => moment.Free.From(PageblockOrder));
            Add("pageblocks in them", moment => moment.Free.PagesFrom(PageblockOrder) >> PageblockOrder);
            Add(Invariant($"16-page blocks served, of {plan.Tries}"), moment => moment.TriesServed);
            table.AddRow(label, "pageblocks by type", Types(with), Types(without), "");

            void Add(string figure, Func<AgeingMoment, long> value) =>
                table.AddRow(
                    label,
                    figure,
                    Invariant($"{value(with)}"),
                    Invariant($"{value(without)}"),
                    value(without) == 0 ? "-" : Invariant($"{(double)value(with) / value(without):F2}"));
        }

        return table;
    }

    private static string Types(AgeingMoment moment) => string.Join('/', moment.Pageblocks);

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
