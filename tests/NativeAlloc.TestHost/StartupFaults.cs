using System.Globalization;
using NativeAlloc.Os;

namespace NativeAlloc.TestHost;

/// <summary>
/// System calls that fail from the first moment of the process on, when the allocator's static tables are made.
/// Whatever could be made or not, calls end as they are documented to; once the system is well again, what was
/// allocated is whole and can be freed.
/// </summary>
internal static unsafe class StartupFaults
{
    internal const string Name = "startup-faults";

    internal const string Once = "once", FromThenOn = "from-then-on";

    /// <summary>
    /// Arguments: kind of call, number of the first that fails, and whether it is the only one. Prints how many were
    /// made to fail and how many steps did.
    /// </summary>
    internal static int Run(string[] args)
    {
        bool fromThenOn = args[2] == FromThenOn;
        FaultPlan plan = new(Enum.Parse<OsCall>(args[0]), int.Parse(args[1], CultureInfo.InvariantCulture), fromThenOn);
        BlockFaultScenario scenario = new();
        plan.Run(() =>
        {
            AskForNothing();
            scenario.Run();
            AskForNothing();
        });
        NativeAllocator.Verify();
        scenario.CheckAll();
        scenario.FreeAll();
        NativeAllocator.Verify();
        AskForNothing();
        if (!RunAgain(mustSucceed: !fromThenOn || plan.First < TriedFirst(args[0]))) return 1;
        AllocatorStatistics statistics = NativeAllocator.GetStatistics();
        if (statistics.LiveBytes != 0 || statistics.LiveBlocks != 0)
        {
            Console.Error.WriteLine(
                $"{statistics.LiveBlocks} blocks of {statistics.LiveBytes} bytes in all are live after everything " +
                "was freed");
            return 1;
        }
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{plan.Injected} {scenario.Failures}"));
        return 0;
    }

    // So many calls are tried before anything is set up.
    private static int TriedFirst(string kind) => kind == nameof(OsCall.Commit) ? Startup.Tables : 1;

    // A process that starts at a bad moment must not suffer for ever: not from a single refused call, and not where the
    // system gave nothing from the first one on.
    private static bool RunAgain(bool mustSucceed)
    {
        BlockFaultScenario scenario = new();
        scenario.Run();
        scenario.FreeAll();
        NativeAllocator.Verify();
        if (!mustSucceed || scenario.Failures == 0) return true;
        Console.Error.WriteLine(
            $"{scenario.Failures} steps are still out of memory after the system calls that failed");
        return false;
    }

    // The members that need no memory work with whatever there is.
    private static void AskForNothing()
    {
        int local = 0;
        if (NativeAllocator.Owns(&local))
            throw new InvalidOperationException("The stack is said to be the allocator's.");
        NativeAllocator.Free(null);
        ExpectArgumentException(() => NativeAllocator.Free((void*)0x10000));
        ExpectArgumentException(() => NativeAllocator.UsableSize((void*)0x10000));
        NativeAllocator.Trim();
        NativeAllocator.ReleaseThreadCache();
        _ = NativeAllocator.GetStatistics();
    }

    private static void ExpectArgumentException(Action action)
    {
        try
        {
            action();
        }
        catch (ArgumentException)
        {
            return;
        }
        throw new InvalidOperationException("A foreign pointer was taken.");
    }
}
