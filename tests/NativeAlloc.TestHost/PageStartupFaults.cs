using System.Globalization;
using NativeAlloc.Os;

namespace NativeAlloc.TestHost;

/// <summary>
/// System calls that fail from the first moment of a process on that uses pages: also those that are made once only,
/// such as for the first high page. Once the system is well again everything is to be had.
/// </summary>
internal static class PageStartupFaults
{
    internal const string Name = "page-startup-faults";

    /// <summary>
    /// Arguments: kind of call, number of the first that fails, and whether all that follow fail too. Prints how many
    /// were made to fail and how many steps did.
    /// </summary>
    internal static int Run(string[] args)
    {
        FaultPlan plan =
            new(Enum.Parse<OsCall>(args[0]), int.Parse(args[1], CultureInfo.InvariantCulture), bool.Parse(args[2]));
        PageFaultScenario scenario = new();
        plan.Run(scenario.Run);
        NativeAllocator.Verify();
        scenario.CheckAll();
        scenario.FreeAll();
        PageFaultScenario again = new();
        again.Run();
        again.FreeAll();
        NativeAllocator.Verify();
        AllocatorStatistics statistics = NativeAllocator.GetStatistics();
        if (again.Failures != 0 || statistics.LiveBytes != 0 || statistics.LiveBlocks != 0)
        {
            Console.Error.WriteLine(
                $"{again.Failures} steps failed after the system was well again, and {statistics.LiveBlocks} blocks " +
                "are live after all were freed");
            return 1;
        }
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{plan.Injected} {scenario.Failures}"));
        return 0;
    }
}
