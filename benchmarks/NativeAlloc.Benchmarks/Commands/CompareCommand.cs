using System.CommandLine;
using NativeAlloc.Benchmarks.Arms;
using NativeAlloc.Benchmarks.Charts;
using NativeAlloc.Benchmarks.Comparing;
using NativeAlloc.Benchmarks.Measuring;
using NativeAlloc.Benchmarks.Traces;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>Measures workloads on allocators, and shows the outcome side by side.</summary>
internal static class CompareCommand
{
    public static Command Create()
    {
        Command command = new("compare", "Workloads on allocators, side by side; the traces unless told otherwise.");
        foreach (Option option in CompareOptions.All)
            command.Options.Add(option);
        command.SetAction(result => Run(CompareOptions.Of(result)));
        return command;
    }

    public static int Run(CompareOptions options)
    {
#if DEBUG
        Console.Error.WriteLine("warning: this is a debug build, its figures mean nothing; build with -c Release");
#endif
        CheckFile("--json", options.JsonFile);
        CheckFile("--html", options.HtmlFile);
        List<IWorkload> workloads = ChooseWorkloads(options);
        List<Arm> arms = ChooseArms(options, workloads);

        using Staging staging = new();
        foreach (IWorkload workload in workloads)
            Stage(staging, workload);
        if (arms.Any(arm => arm is NativeArm) && staging.BuildReplayer() is { } problem)
            arms.RemoveAll(arm => arm is NativeArm && Skip(arm, problem));
        if (arms.Count == 0)
            throw new UsageException("none of the allocators asked for is available; 'list' tells which are");

        Comparison comparison = new(workloads, arms, staging)
        {
            Threads = options.Threads,
            Runs = options.Runs,
            Latency = options.Latency,
            Policy = options.Quick ? PassPolicy.Quick : PassPolicy.Thorough,
        };
        List<Outcome> outcomes = ProgressDisplay.Show(comparison.TotalRuns, comparison.Run);

        new ComparisonReport(outcomes, options.Counters).Print();
        if (options.JsonFile is not null)
            JsonReport.Write(options.JsonFile, outcomes);
        if (options.HtmlFile is not null)
            File.WriteAllText(options.HtmlFile, new HtmlReport(outcomes, Machine.Describe(options.Runs)).ToHtml());
        return outcomes.Any(outcome => outcome.Failure is not null) ? 1 : 0;
    }

    private static List<IWorkload> ChooseWorkloads(CompareOptions options)
    {
        List<IWorkload> chosen = [];
        foreach (string path in options.Traces)
        {
            if (!TraceFile.HasKnownExtension(path))
            {
                throw new UsageException(
                    $"'{path}' is not a trace by its name: {TraceFile.PlainExtension} and " +
                    $"{TraceFile.PackedExtension} are");
            }

            if (!File.Exists(path))
                throw new UsageException($"there is no trace '{path}'");
            chosen.Add(new TraceWorkload(path));
        }

        foreach (string name in options.Workloads.Distinct())
        {
            if (WorkloadRegistry.Groups.TryGetValue(name, out IReadOnlyList<IWorkload>? group))
            {
                chosen.AddRange(group.Except(chosen));
                continue;
            }

            chosen.Add(WorkloadRegistry.Find(name) ?? throw new UsageException(
                $"unknown workload '{name}'; there are: " +
                $"{string.Join(", ", WorkloadRegistry.All.Select(w => w.Name))}; " +
                $"and groups of them: {string.Join(", ", WorkloadRegistry.Groups.Keys)}"));
        }

        if (chosen.Count == 0)
            chosen.AddRange(WorkloadRegistry.Traces);

        // Results are told apart by name alone.
        if (chosen.CountBy(workload => workload.Name).FirstOrDefault(pair => pair.Value > 1) is { Value: > 1 } twice)
            throw new UsageException(
                $"{twice.Value} of the workloads are named '{twice.Key}'; give one of them another name");
        return chosen;
    }

    private static List<Arm> ChooseArms(CompareOptions options, List<IWorkload> workloads)
    {
        List<Arm> chosen = [];
        foreach (string name in options.Allocators.Distinct())
        {
            chosen.Add(ArmRegistry.All.FirstOrDefault(arm => arm.Name == name) ?? throw new UsageException(
                $"unknown allocator '{name}'; there are: " +
                $"{string.Join(", ", ArmRegistry.All.Select(arm => arm.Name))}"));
        }

        if (chosen.Count == 0)
            chosen.AddRange(ArmRegistry.Managed.Where(arm => !arm.OnRequest && CanRunAny(arm)));
        if (options.Native)
            chosen.AddRange(ArmRegistry.Native.Except(chosen));
        if (options.Baseline is { } folder)
            chosen.Insert(Math.Min(1, chosen.Count), MakeBaseline(folder));
        chosen.RemoveAll(arm => !CanRunAny(arm) && Skip(arm, "it cannot run what is to be compared"));
        chosen.RemoveAll(arm => arm.Missing is { } reason && Skip(arm, reason));
        return chosen;

        bool CanRunAny(Arm arm) => workloads.Any(arm.Supports);
    }

    private static BaselineArm MakeBaseline(string folder)
    {
        BaselineArm baseline = new(folder, ArmRegistry.Managed.First(arm => arm.Name == ArmRegistry.Reference));
        return baseline.Missing is { } reason ? throw new UsageException($"--baseline: {reason}") : baseline;
    }

    private static bool Skip(Arm arm, string reason)
    {
        Console.Error.WriteLine($"skipping {arm.Name}: {reason}");
        return true;
    }

    private static void Stage(Staging staging, IWorkload workload)
    {
        try
        {
            staging.Add(workload);
        }
        catch (InvalidDataException e)
        {
            throw new UsageException($"trace '{workload.Name}' is corrupt: {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException(e.Message);
        }
    }

    /// <summary>Finds out before the measurement, rather than after it, that its results cannot be written.</summary>
    private static void CheckFile(string option, string? path)
    {
        if (path is null)
            return;
        string folder = Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/";
        if (!Directory.Exists(folder) || Directory.Exists(path))
            throw new UsageException(
                $"{option}: '{path}' cannot be written; it has to be a file in an existing folder");
    }
}
