using NativeAlloc.Os;
using static NativeAlloc.TestHost.ProcessLimit;

namespace NativeAlloc.TestHost;

/// <summary>
/// How much memory the machine has is asked again while the system's files cannot be read. The process has a limit of
/// the managed heap, which is far from that.
/// </summary>
internal static class LastLoad
{
    internal const string Name = "last-load";

    internal static int Run()
    {
        MemoryLoad before = Machine.ReadLoad(), after = default;
        FaultPlan plan = new(OsCall.ReadFigure, 0, andAllLater: true);
        plan.Run(() => after = Machine.ReadLoad());
        if (plan.Injected == 0) return Complain("the system's files were read");
        return after == new MemoryLoad(before.TotalBytes, IsScarce: false) ? 0 : Complain($"{before}, then {after}");
    }
}
