using System.CommandLine;
using System.Globalization;
using NativeAlloc.Benchmarks.Arms;
using NativeAlloc.Benchmarks.Measuring;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>
/// What children of <c>compare</c> are started with: one workload, one allocator, and the result on standard output.
/// Its arguments come from <see cref="ManagedArm.AddArguments"/>, in the same order. Other builds of the program start
/// it, too (<c>--baseline</c>): arguments are added at the end only.
/// </summary>
internal static class MeasureCommand
{
    public const string Verb = "measure";

    /// <summary>The last argument, where calls are to be timed one by one.</summary>
    public const string Latency = "latency";

    private const int ArgumentCount = 6;

    public static Command Create()
    {
        Argument<string[]> what = new("what");
        Command command = new(Verb) { what };
        command.Hidden = true;
        command.SetAction(result => Run(result.GetRequiredValue(what)));
        return command;
    }

    private static int Run(string[] arguments)
    {
        bool latency = arguments is [.., Latency];
        if (arguments.Length != ArgumentCount + (latency ? 1 : 0))
            throw new UsageException($"'{Verb}' is for compare's own use");

        string armName = arguments[0];
        ManagedArm arm = ArmRegistry.Managed.First(arm => arm.Name == armName);
        string? stagedFile = arguments[2].Length > 0 ? arguments[2] : null;
        int threads = int.Parse(arguments[3], CultureInfo.InvariantCulture);
        PassPolicy policy = new(
            int.Parse(arguments[4], CultureInfo.InvariantCulture),
            double.Parse(arguments[5], CultureInfo.InvariantCulture));

        using IPreparedWorkload workload = WorkloadRegistry.Prepare(arguments[1], stagedFile, threads);
        RunResult result = latency || workload.TimesCalls
            ? arm.MeasureLatency(workload, policy)
            : arm.Measure(workload, policy);
        Console.WriteLine(result.ToJson());
        return 0;
    }
}
