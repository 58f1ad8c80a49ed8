using System.Globalization;
using NativeAlloc.Benchmarks.Arms;
using NativeAlloc.Benchmarks.Measuring;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>
/// What children of <c>compare</c> are started with: one workload, one allocator, and the result on standard output. Its
/// arguments come from <see cref="ManagedArm.CreateChild"/>, in the same order.
/// </summary>
internal static class MeasureCommand
{
    public const string Verb = "measure";

    public static int Run(ReadOnlySpan<string> arguments)
    {
        if (arguments.Length != 6)
            throw new UsageException($"'{Verb}' is for compare's own use");

        string armName = arguments[0];
        ManagedArm arm = ArmRegistry.Managed.First(arm => arm.Name == armName);
        string? stagedFile = arguments[2].Length > 0 ? arguments[2] : null;
        int threads = int.Parse(arguments[3], CultureInfo.InvariantCulture);
        PassPolicy policy = new(
            int.Parse(arguments[4], CultureInfo.InvariantCulture),
            double.Parse(arguments[5], CultureInfo.InvariantCulture));

        using IPreparedWorkload workload = WorkloadRegistry.Prepare(arguments[1], stagedFile, threads);
        Console.WriteLine(arm.Measure(workload, policy).ToJson());
        return 0;
    }
}
