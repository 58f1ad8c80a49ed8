using NativeAlloc.Diagnostics;
using static NativeAlloc.TestHost.ProcessLimit;

namespace NativeAlloc.TestHost;

/// <summary>
/// Looks whether the decay's thread keeps the figures of the last minutes: none before the first report, then what was
/// live while it was, and last what the program rests with. With a file's name the report goes there.
/// </summary>
internal static unsafe class ReportHistory
{
    internal const string Name = "report-history";

    private const int Bytes = 40_000_000, Steps = 5, StepMilliseconds = 200, WaitMilliseconds = 30_000;

    internal static int Run(string[] arguments)
    {
        nint* blocks = stackalloc nint[Steps];
        NativeAllocator.Free(NativeAllocator.AllocZeroed(Bytes));
        Thread.Sleep(StepMilliseconds);
        if (History.Read().Length != 0) return Complain("something was kept before the first report");
        AllocatorReport.WriteHtmlReport(TextWriter.Null);
        for (int step = 0; step < Steps; step++)
        {
            blocks[step] = (nint)NativeAllocator.AllocZeroed(Bytes);
            new Span<byte>((void*)blocks[step], Bytes).Fill(1);
            Thread.Sleep(StepMilliseconds);
        }
        if (!Await(static last => last.Live >= (nuint)Steps * Bytes)) return Complain("what is live was not kept");
        for (int step = 0; step < Steps; step++) NativeAllocator.Free((void*)blocks[step]);
        if (!Await(static last => last is { Live: < Bytes, Cached: 0 })) return Complain("the rest was not kept");
        if (arguments.Length == 0) return 0;
        using StreamWriter writer = File.CreateText(arguments[0]);
        AllocatorReport.WriteHtmlReport(writer);
        return 0;
    }

    private static bool Await(Predicate<HistorySample> isLast) =>
        SpinWait.SpinUntil(() => isLast(History.Read()[^1]), WaitMilliseconds);
}
