using NativeAlloc.Benchmarks.Arms;
using NativeAlloc.Benchmarks.Comparing;
using NativeAlloc.Benchmarks.Workloads;
using Spectre.Console;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>Shows what can be named on the command line of <c>compare</c>.</summary>
internal static class ListCommand
{
    public static int Run()
    {
        Table workloads = new Table().Title("Workloads").AddColumns("Name", "What it does");
        foreach (IWorkload workload in WorkloadRegistry.All)
            workloads.AddRow(workload.Name.EscapeMarkup(), workload.Description.EscapeMarkup());

        foreach ((string name, IReadOnlyList<IWorkload> group) in WorkloadRegistry.Groups)
            workloads.AddRow(name.EscapeMarkup(), $"group: {string.Join(", ", group.Select(w => w.Name))}".EscapeMarkup());

        Table arms = new Table().Title("Allocators").AddColumns("Name", "What it is", "Available");
        foreach (Arm arm in ArmRegistry.All)
        {
            string? missing = arm.Missing ?? (arm is NativeArm ? Staging.CompilerMissing : null);
            arms.AddRow(
                arm.Name.EscapeMarkup(), arm.Description.EscapeMarkup(), missing is null ? arm.OnRequest ? "by name" : "yes" : $"no: {missing.EscapeMarkup()}");
        }

        IAnsiConsole console = Terminal.Output();
        console.Write(workloads);
        console.Write(arms);
        return 0;
    }
}
