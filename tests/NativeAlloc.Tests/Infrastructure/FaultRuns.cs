using System.Globalization;
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

    /// <summary>
    /// The same for a scenario of the test host, which prints how many calls it made to fail and how many steps ended
    /// as out of memory: in processes of their own, as many at one time as there are processors.
    /// </summary>
    /// <param name="scenario">The name of the scenario.</param>
    /// <param name="arguments">Its arguments, for the number of the first call that is to fail.</param>
    /// <param name="mayRunOut">A step may end as out of memory where a call fails.</param>
    /// <param name="inFull">So many calls fail in turn; behind them only each <paramref name="step"/>th does.</param>
    internal static void FailEachInProcesses(string scenario, Func<int, string[]> arguments, bool mayRunOut,
        int inFull = MostCalls, int step = 1)
    {
        ChildProcess[] children = new ChildProcess[Environment.ProcessorCount];
        for (int index = 0; ; index += children.Length)
        {
            Parallel.For(0, children.Length,
                i => children[i] = ChildProcess.RunHost(scenario, arguments(NumberOf(index + i))));
            for (int i = 0; i < children.Length; i++)
            {
                int first = NumberOf(index + i);
                string named = $"{scenario} {string.Join(' ', arguments(first))}:\n{children[i].Output}";
                Assert.True(children[i].ExitCode == 0, named + children[i].Errors);
                Assert.True(first < MostCalls, "the scenario does not come to an end");
                int[] figures = [.. children[i].Output.Split().Where(word => word.Length != 0)
                    .Select(word => int.Parse(word, CultureInfo.InvariantCulture))];
                Assert.Equal(2, figures.Length);
                bool wasLast = figures[0] == 0; // no call failed, so no step may
                Assert.True(figures[1] == 0 || (mayRunOut && !wasLast), named);
                Assert.False(wasLast && first == 0, $"the process makes no such call: {named}");
                if (wasLast) return;
            }
        }

        int NumberOf(int index) => index < inFull ? index : inFull + (index - inFull) * step;
    }
}
