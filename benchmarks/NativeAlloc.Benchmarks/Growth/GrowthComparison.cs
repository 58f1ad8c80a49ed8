using System.Diagnostics;
using System.Globalization;
using NativeAlloc.Benchmarks.Commands;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Growth;

/// <summary>
/// Runs every arm a number of times, each time in a process of its own, so that no arm finds the page tables, huge pages or free memory
/// of another. The arms take turns, every second time in the opposite order, so that whatever else the machine does hits all of them alike.
/// </summary>
internal sealed class GrowthComparison(IReadOnlyList<GrowthArm> arms, int runs)
{
    public int TotalRuns => arms.Count * runs;

    /// <summary>The figures of each arm by their names. Arms that failed, as where the kernel does not know a call, are left out.</summary>
    public Dictionary<GrowthArm, Dictionary<string, GrowthFigure>> Run(Action<string> report)
    {
        Dictionary<GrowthArm, List<GrowthFigure>> figures = arms.ToDictionary(arm => arm, _ => new List<GrowthFigure>());
        for (int run = 0; run < runs; run++)
        {
            foreach (GrowthArm arm in run % 2 == 0 ? arms : arms.Reverse())
            {
                List<GrowthFigure> measured = RunOnce(arm);
                figures[arm].AddRange(measured);
                report($"{arm.Name}: {(measured.Count > 0 ? string.Join("; ", measured.Select(Describe)) : "failed")}");
            }
        }

        return figures.Where(pair => pair.Value.Count > 0).ToDictionary(
            pair => pair.Key,
            pair => pair.Value.GroupBy(figure => figure.Name).ToDictionary(same => same.Key, same => GrowthFigure.Combine([.. same])));
    }

    private static string Describe(GrowthFigure figure) =>
        string.Create(CultureInfo.InvariantCulture, $"{figure.Name} {figure.Median:F0}");

    private static List<GrowthFigure> RunOnce(GrowthArm arm)
    {
        string host = Environment.ProcessPath ?? throw new InvalidOperationException("the program's own path is unknown");
        ProcessStartInfo start = new(host) { RedirectStandardOutput = true };

        // Started as "dotnet NativeAlloc.Benchmarks.dll" the process is the host, and needs to be told what to run.
        if (Path.GetFileNameWithoutExtension(host).Equals("dotnet", StringComparison.OrdinalIgnoreCase))
            start.ArgumentList.Add(typeof(GrowthComparison).Assembly.Location);
        start.ArgumentList.Add(GrowthCommand.MeasureVerb);
        start.ArgumentList.Add(arm.Name);
        start.Environment.Add(Tiering.ChildEnvironment!);

        using Process child = Process.Start(start)!;
        string output = child.StandardOutput.ReadToEnd();
        child.WaitForExit();
        return child.ExitCode == 0 ? GrowthFigure.Parse(output) : [];
    }
}
