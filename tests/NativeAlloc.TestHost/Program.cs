namespace NativeAlloc.TestHost;

/// <summary>
/// Runs the scenario that the first argument names. Exit code 0: it went as it should; anything else comes with a
/// reason on standard error.
/// </summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        if (args.Length == 0) return Complain("no scenario given");
        string[] rest = args[1..];
        switch (args[0])
        {
            case AddressLimit.Name: return AddressLimit.Run(rest);
            case BadCallback.Name: return BadCallback.Run(rest);
            case AddressesEnd.Name: return AddressesEnd.Run();
            case CommitCharged.Name: return CommitCharged.Run();
            case BadFrees.Name: return BadFrees.Run(rest);
            case CacheLimit.Name: return CacheLimit.Run();
            case CheckedCalls.Name: return CheckedCalls.Run();
            case DataLimit.Name: return DataLimit.Run();
            case DumpedProcess.Name: return DumpedProcess.Run();
            case DecaySurvives.Name: return DecaySurvives.Run(rest);
            case FirstBlockLimit.Name: return FirstBlockLimit.Run();
            case FileLimit.Name: return FileLimit.Run();
            case Soak.Name: return Soak.Run(rest);
            case GuardFaults.Name: return GuardFaults.Run(rest);
            case MisuseTable.Name: return MisuseTable.Run();
            case Misuse.Name: return Misuse.Run(rest);
            case LoadHandler.Name: return LoadHandler.Run();
            case WrongOption.Name: return WrongOption.Run();
            case FakeNodes.Name: return FakeNodes.Run(rest);
            case HugePageRequests.Name: return HugePageRequests.Run();
            case FirstMiss.Name: return FirstMiss.Run();
            case ForeignThreads.Name: return ForeignThreads.Run();
            case GoesBack.Name: return GoesBack.Run();
            case NativeHeapGoesBack.Name: return NativeHeapGoesBack.Run();
            case CrossesThreshold.Name: return CrossesThreshold.Run(rest);
            case LockLimit.Name: return LockLimit.Run(rest);
            case PageStartupFaults.Name: return PageStartupFaults.Run(rest);
            case ResidentLimit.Name: return ResidentLimit.Run();
            case TwiceToDepot.Name: return TwiceToDepot.Run();
            case TrimAtExit.Name: return TrimAtExit.Run();
            case CodeProbes.Name: return CodeProbes.Run();
            case ResidentEstimate.Name: return ResidentEstimate.Run();
            case LastLoad.Name: return LastLoad.Run();
            case ReadNativeHeap.Name: return ReadNativeHeap.Run();
            case ReadWhilePurged.Name: return ReadWhilePurged.Run();
            case RefusedStart.Name: return RefusedStart.Run(rest);
            case ReturnSides.Name: return ReturnSides.Run();
            case ShowOptions.Name: return ShowOptions.Run(rest);
            case StreamToItself.Name: return StreamToItself.Run();
            case SparseBlocks.Name: return SparseBlocks.Run(rest);
            case StartupFaults.Name: return StartupFaults.Run(rest);
            case UnloadedContext.Name: return UnloadedContext.Run();
            case PlantedLeak.Name: return PlantedLeak.Run();
            case Busy.Name: return Busy.Run();
            case EndlessReport.Name: return EndlessReport.Run();
            case MappedHeap.Name: return MappedHeap.Run(rest);
            case ReportHistory.Name: return ReportHistory.Run(rest);
            case TableFaults.Name: return TableFaults.Run(rest);
            case Telemetry.Name: return Telemetry.Run(rest);
            case UnsupportedCalls.Name: return UnsupportedCalls.Run(rest);
            case ThreadChurn.Name: return ThreadChurn.Run(rest);
            case VmallocAccess.Name: return VmallocAccess.Run(rest);
            default: return Complain($"no scenario is called {args[0]}");
        }
    }

    private static int Complain(string reason)
    {
        Console.Error.WriteLine(reason);
        return 2;
    }
}
