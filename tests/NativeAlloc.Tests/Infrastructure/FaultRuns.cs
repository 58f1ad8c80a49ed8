using NativeAlloc.Os;
using NativeAlloc.TestHost;
using Xunit;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// Goes through a scenario again and again: the first system call of a kind fails, then the second, and so on, until
/// the scenario does not make so many.
/// </summary>
internal static class FaultRuns
{
    // More calls of a kind than any scenario makes by far; one that makes one more each time must not go on for ever.
    private const int MostCalls = 1_000;

    /// <summary>
    /// Returns the number of the first call that the scenario did not make, and how many steps ended as out of memory
    /// in all.
    /// </summary>
    /// <param name="kind">Null for any.</param>
    /// <param name="prepare">Makes a scenario, for the number of the first call that is to fail.</param>
    /// <param name="check">Looks at what is left when a scenario has freed all it had.</param>
    /// <param name="inFull">So many calls fail in turn; behind them are the same steps again, and only each
    /// <paramref name="step"/>th fails.</param>
    internal static (int Calls, int Failures) FailEach(OsCall? kind, bool andAllLater, Func<int, FaultScenario> prepare,
        Action check, int inFull = MostCalls, int step = 1)
    {
        int failures = 0;
        for (int first = 0; ; first += first < inFull ? 1 : step)
        {
            Watchdog.Progress();
            Assert.True(first < MostCalls, "the scenario does not come to an end");
            FaultScenario scenario = prepare(first);
            FaultPlan plan = new(kind, first, andAllLater);
            plan.Run(scenario.Run);
            NativeAllocator.Verify();
            scenario.CheckAll();
            scenario.FreeAll();
            check();
            failures += scenario.Failures;
            if (plan.Injected != 0) continue;
            Assert.Equal(0, scenario.Failures); // no call failed, so no step may
            TestContext.Current.SendDiagnosticMessage(
                $"{kind?.ToString() ?? "any"}: {first} calls, {failures} steps out of memory");
            return (first, failures);
        }
    }
}
