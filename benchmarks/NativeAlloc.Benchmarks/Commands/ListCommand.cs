using System.CommandLine;
using NativeAlloc.Benchmarks.Arms;
using NativeAlloc.Benchmarks.Comparing;
using NativeAlloc.Benchmarks.Workloads;
using Spectre.Console;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>
/// Shows what can be named on the command line of <c>compare</c>, and what is missing on this machine.
/// </summary>
internal static class ListCommand
{
    public static Command Create()
    {
        Command command = new("list", "Workloads, groups of them and allocators, and what is missing on this machine.");
        command.SetAction(_ => Run());
        return command;
    }

    private static int Run()
    {
        IAnsiConsole console = Terminal.Output();
        Table workloads = NewTable("Workloads", "name", "what it does");
        foreach (IWorkload workload in WorkloadRegistry.All)
            workloads.AddRow(workload.Name.EscapeMarkup(), workload.Description.EscapeMarkup());
        console.Write(workloads);

        Table groups = NewTable("Groups of workloads", "name", "workloads");
        foreach ((string name, IReadOnlyList<IWorkload> group) in WorkloadRegistry.Groups)
        {
            string members = string.Join(", ", group.Select(workload => workload.Name));
            groups.AddRow(name.EscapeMarkup(), members.EscapeMarkup());
        }

        console.Write(groups);

        Table arms = NewTable("Allocators", "name", "what it is", "available");
        foreach (Arm arm in ArmRegistry.All)
        {
            string there = arm.OnRequest ? "where it is named" : "yes";
            string available = MissingOf(arm) is { } reason ? $"no: {reason}" : there;
            arms.AddRow(arm.Name.EscapeMarkup(), arm.Description.EscapeMarkup(), available.EscapeMarkup());
        }

        arms.AddRow($"{ArmRegistry.Reference}-base", "the library of another build", "with --baseline FOLDER");
        console.Write(arms);
        int missing = ArmRegistry.All.Count(arm => MissingOf(arm) is not null);
        console.WriteLine(missing == 0 ? "Nothing is missing." : $"{missing} of {ArmRegistry.All.Count} are missing.");
        return 0;
    }

    private static string? MissingOf(Arm arm) => arm.Missing ?? (arm is NativeArm ? Staging.CompilerMissing : null);

    private static Table NewTable(string title, params string[] columns) =>
        new Table().Title(title).AddColumns(columns);
}
