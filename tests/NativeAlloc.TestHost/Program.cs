namespace NativeAlloc.TestHost;

/// <summary>
/// Runs the scenario that the first argument names. Exit code 0: it went as it should; anything else comes with a
/// reason on standard error.
/// </summary>
internal static class Program
{
    private static int Main(string[] args) =>
        args.Length == 0 ? Complain("no scenario given") : Run(args[0], args[1..]);

    private static int Run(string name, string[] rest) => name switch
    {
        AddressLimit.Name => AddressLimit.Run(rest),
        BadCallback.Name => BadCallback.Run(rest),
        AddressesEnd.Name => AddressesEnd.Run(),
        CommitCharged.Name => CommitCharged.Run(),
        BadFrees.Name => BadFrees.Run(rest),
        CacheLimit.Name => CacheLimit.Run(),
        CheckedCalls.Name => CheckedCalls.Run(),
        DataLimit.Name => DataLimit.Run(),
        DumpedProcess.Name => DumpedProcess.Run(),
        DecaySurvives.Name => DecaySurvives.Run(rest),
        FirstBlockLimit.Name => FirstBlockLimit.Run(),
        FileLimit.Name => FileLimit.Run(),
        Soak.Name => Soak.Run(rest),
        GuardFaults.Name => GuardFaults.Run(rest),
        MisuseTable.Name => MisuseTable.Run(),
        Misuse.Name => Misuse.Run(rest),
        LoadHandler.Name => LoadHandler.Run(),
        WrongOption.Name => WrongOption.Run(),
        FakeNodes.Name => FakeNodes.Run(rest),
        HugePageRequests.Name => HugePageRequests.Run(),
        FirstMiss.Name => FirstMiss.Run(),
        ForeignThreads.Name => ForeignThreads.Run(),
        GoesBack.Name => GoesBack.Run(),
        NativeHeapGoesBack.Name => NativeHeapGoesBack.Run(),
        CrossesThreshold.Name => CrossesThreshold.Run(rest),
        LockLimit.Name => LockLimit.Run(rest),
        PageStartupFaults.Name => PageStartupFaults.Run(rest),
        ResidentLimit.Name => ResidentLimit.Run(),
        TwiceToDepot.Name => TwiceToDepot.Run(),
        TrimAtExit.Name => TrimAtExit.Run(),
        CodeProbes.Name => CodeProbes.Run(),
        ResidentEstimate.Name => ResidentEstimate.Run(),
        LastLoad.Name => LastLoad.Run(),
        ReadNativeHeap.Name => ReadNativeHeap.Run(),
        ReadWhilePurged.Name => ReadWhilePurged.Run(),
        RefusedStart.Name => RefusedStart.Run(rest),
        ReturnSides.Name => ReturnSides.Run(),
        ShowOptions.Name => ShowOptions.Run(rest),
        StreamToItself.Name => StreamToItself.Run(),
        SparseBlocks.Name => SparseBlocks.Run(rest),
        StartupFaults.Name => StartupFaults.Run(rest),
        UnloadedContext.Name => UnloadedContext.Run(),
        PlantedLeak.Name => PlantedLeak.Run(),
        Busy.Name => Busy.Run(),
        EndlessReport.Name => EndlessReport.Run(),
        MappedHeap.Name => MappedHeap.Run(rest),
        ReportHistory.Name => ReportHistory.Run(rest),
        TableFaults.Name => TableFaults.Run(rest),
        Telemetry.Name => Telemetry.Run(rest),
        UnsupportedCalls.Name => UnsupportedCalls.Run(rest),
        ThreadChurn.Name => ThreadChurn.Run(rest),
        VmallocAccess.Name => VmallocAccess.Run(rest),
        _ => Complain($"no scenario is called {name}"),
    };

    private static int Complain(string reason)
    {
        Console.Error.WriteLine(reason);
        return 2;
    }
}
