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
    public required int Threads { get; init; }

    public required int Runs { get; init; }

    public required PassPolicy Policy { get; init; }

    public int TotalRuns => Runs * workloads.Sum(workload => arms.Count(arm => arm.Supports(workload)));

    public List<Outcome> Run(Action<string> report)
    {
        Dictionary<(IWorkload, Arm), Outcome> outcomes = [];
        foreach (IWorkload workload in workloads)
        {
            foreach (Arm arm in arms.Where(arm => arm.Supports(workload)))
                outcomes.Add((workload, arm), new Outcome(workload.Name, arm.Name));
        }

        for (int run = 0; run < Runs; run++)
        {
            for (int w = 0; w < workloads.Count; w++)
            {
                for (int a = 0; a < arms.Count; a++)
                {
                    Arm arm = arms[(a + run + w) % arms.Count];
                    if (outcomes.TryGetValue((workloads[w], arm), out Outcome? outcome))
                        report($"{outcome.Workload} on {outcome.Allocator}: {RunOnce(workloads[w], arm, outcome)}");
                }
            }
        }

        return [.. outcomes.Values];
    }

    private string RunOnce(IWorkload workload, Arm arm, Outcome outcome)
    {
        if (outcome.Failure is not null)
            return "left out";

        RunRequest request = new(workload.Name, staging.FileOf(workload), Threads, Policy, staging.Replayer);
        ProcessStartInfo start = arm.CreateChild(request);
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        using Process child = Process.Start(start)!;
        Task<string> errors = child.StandardError.ReadToEndAsync();
        string output = child.StandardOutput.ReadToEnd();
        child.WaitForExit();

        if (child.ExitCode != 0)
        {
            string text = errors.Result.Trim();
            outcome.Fail($"exit code {child.ExitCode}{(text.Length > 0 ? $", {text.Split('\n')[0].Trim()}" : "")}");
            return $"failed ({outcome.Failure})";
        }

        try
        {
            RunResult result = RunResult.Parse(output);
            outcome.Add(result);
            return string.Create(
                CultureInfo.InvariantCulture,
                $"{result.NsPerOp:F1} ns/op, peak {result.PeakKiB} KiB ({result.Passes} passes)");
        }
        catch (JsonException)
        {
            outcome.Fail("its process printed no result");
            return $"failed ({outcome.Failure})";
        }
    }
}
