using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using NativeAlloc.Benchmarks.Arms;
using NativeAlloc.Benchmarks.Measuring;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Comparing;

/// <summary>
/// Runs every workload on every arm, a number of times, each time in a process of its own: allocators have state that
/// lasts as long as the process, and one workload would spoil the next. The arms take turns, in another order every
/// time, so that whatever else the machine does hits all of them alike.
/// </summary>
internal sealed class Comparison(IReadOnlyList<IWorkload> workloads, IReadOnlyList<Arm> arms, Staging staging)
{
    /// <summary>
    /// What a shell, and .NET, make of the signal that cannot be refused: the kernel sends it to whom it takes memory
    /// from.
    /// </summary>
    private const int KilledExitCode = 128 + 9;

    /// <summary>Every workload runs with each of these numbers of threads.</summary>
    public required IReadOnlyList<int> Threads { get; init; }

    public required int Runs { get; init; }

    public required PassPolicy Policy { get; init; }

    /// <summary>Whether every run is followed by another in which calls are timed one by one.</summary>
    public required bool Latency { get; init; }

    public int TotalRuns => Runs * Threads.Count * workloads.Sum(workload => arms.Count(arm => arm.Supports(workload)));

    public List<Outcome> Run(Action<string> report)
    {
        (IWorkload Workload,
            int Threads)[] rows = [.. workloads.SelectMany(_ => Threads, (workload, threads) => (workload, threads))];
        Dictionary<(IWorkload, int, Arm), Outcome> outcomes = [];
        foreach ((IWorkload workload, int threads) in rows)
        {
            foreach (Arm arm in arms.Where(arm => arm.Supports(workload)))
                outcomes.Add((workload, threads, arm),
                    new Outcome(workload.Name, threads, arm.Name) { Conditions = workload.Conditions });
        }

        for (int run = 0; run < Runs; run++)
        {
            for (int r = 0; r < rows.Length; r++)
            {
                for (int a = 0; a < arms.Count; a++)
                {
                    Arm arm = arms[(a + run + r) % arms.Count];
                    if (outcomes.TryGetValue((rows[r].Workload, rows[r].Threads, arm), out Outcome? outcome))
                        report($"{Describe(outcome)}: {RunOnce(rows[r].Workload, arm, outcome)}");
                }
            }
        }

        return [.. outcomes.Values];
    }

    private string Describe(Outcome outcome) =>
        $"{outcome.Workload}{(Threads.Count > 1 ? $" ({outcome.Threads} threads)" : "")} on {outcome.Allocator}";

    private string RunOnce(IWorkload workload, Arm arm, Outcome outcome)
    {
        if (outcome.Failure is not null)
            return "left out";

        string said = Measure(workload, arm, outcome, outcome.Add);
        if (Latency && outcome.Failure is null)
            Measure(workload, arm, outcome, outcome.AddLatency, latency: true);
        return outcome.Failure is null ? said : $"failed ({outcome.Failure})";
    }

    private string Measure(IWorkload workload, Arm arm, Outcome outcome, Action<RunResult> add, bool latency = false)
    {
        RunRequest request =
            new(workload.Name, staging.FileOf(workload), outcome.Threads, Policy, staging.Replayer, latency);
        ProcessStartInfo start = arm.CreateChild(request);
        using MemoryGroup? group = workload.MemoryLimitBytes is { } limit ? MemoryLimit.Set(ref start, limit) : null;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        using Process child = Process.Start(start)!;
        Task<string> errors = child.StandardError.ReadToEndAsync();
        string output = child.StandardOutput.ReadToEnd();
        child.WaitForExit();

        if (child.ExitCode != 0)
        {
            string text = errors.Result.Trim();
            string killed = child.ExitCode == KilledExitCode ? "killed, " : "";
            outcome.Fail(
                $"{killed}exit code {child.ExitCode}{(text.Length > 0 ? $", {text.Split('\n')[0].Trim()}" : "")}");
            return "";
        }

        try
        {
            RunResult result = RunResult.Parse(output);
            add(result);
            return string.Create(
                CultureInfo.InvariantCulture,
                $"{result.NsPerOp:F1} ns/op, peak {result.PeakKiB} KiB ({result.Passes} passes)");
        }
        catch (JsonException)
        {
            outcome.Fail("its process printed no result");
            return "";
        }
    }
}
