using System.Globalization;
using NativeAlloc.Os;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.SystemTests;

/// <summary>
/// Proves that any system call may fail at any time while pages of all zones are taken and freed: each call ends as
/// documented, no block is harmed, and when the system is well again all is in order and everything is to be had.
/// </summary>
[Trait("Category", "Slow")]
public sealed class PageFaultTests : LeakCheckedTests
{
    // Beyond the first ones most calls of a kind are the same step again: from there on every thirteenth fails.
    private const int FirstInFull = 12, Step = 13;

    // Sections that are brought online stay: so many calls that bring some fail.
    private const int SectionCalls = 5;

    public static MatrixTheoryData<string, bool> Faults => new(Enum.GetNames<OsCall>(), [false, true]);

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_system_call_that_fails_does_no_harm(string kindName, bool andAllLater)
    {
        OsCall kind = Enum.Parse<OsCall>(kindName);
        long locked = 0;
        (int calls, int failures) = FaultRuns.FailEach(
            kind,
            andAllLater,
            first =>
            {
                NativeAllocator.Trim(); // so that what other tests left does not count
                locked = ProcessMemory.LockedBytes();
                PageFaultScenario scenario = new();
                if (first < SectionCalls && kind is (OsCall.Commit or OsCall.GrowFile)) scenario.TakeFreeSections();
                return scenario;
            },
            check: () =>
            {
                NativeAllocator.Trim(); // tries again to unlock what the system refused to
                Assert.Equal(locked, ProcessMemory.LockedBytes());
            },
            FirstInFull,
            Step);
        // Otherwise this would prove nothing: these the scenario must come by, and those must be felt.
        if (kind is OsCall.Commit or OsCall.GrowFile or OsCall.Lock or OsCall.Purge or OsCall.PurgeFile)
            Assert.True(calls > 0, $"the scenario makes no {kind}");
        if (kind is OsCall.Commit or OsCall.Lock && andAllLater)
            Assert.True(failures > 0, $"no step felt that {kind} failed");
    }

    [Theory]
    [InlineData(nameof(OsCall.CreateFile), false)]
    [InlineData(nameof(OsCall.CreateFile), true)]
    [InlineData(nameof(OsCall.GrowFile), true)]
    public void A_system_call_that_is_made_for_the_first_high_pages_and_fails_does_no_harm(string kind,
        bool andAllLater) =>
        FaultRuns.FailEachInProcesses(
            PageStartupFaults.Name,
            first => [kind, first.ToString(CultureInfo.InvariantCulture), andAllLater.ToString()],
            mayRunOut: false); // without high pages there are others
}
