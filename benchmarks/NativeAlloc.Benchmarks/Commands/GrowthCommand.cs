using System.ComponentModel;
using System.Globalization;
using NativeAlloc.Benchmarks.Comparing;
using NativeAlloc.Benchmarks.Growth;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>
/// Measures what growth rests on, without any allocator: the first touch of memory and giving it back, and clearing what is resident.
/// </summary>
internal static class GrowthCommand
{
    public const string Usage = "growth [--runs N]";

    /// <summary>What the command's children are started with: an arm's name follows, and its figures come on standard output.</summary>
    public const string MeasureVerb = "measure-growth";

    private const int DefaultRuns = 3;
    private const int MaxRuns = 10_000;

    public static int Run(ReadOnlySpan<string> arguments)
    {
        int runs = ParseRuns(arguments);
        if (!OperatingSystem.IsLinux())
            throw new UsageException("growth measures calls that only Linux has");
#if DEBUG
        Console.Error.WriteLine("warning: this is a debug build, its figures mean nothing; build with -c Release");
#endif
        GrowthComparison comparison = new(GrowthArms.All, runs);
        new GrowthReport(ProgressDisplay.Show(comparison.TotalRuns, comparison.Run)).Print();
        return 0;
    }

    public static int RunChild(ReadOnlySpan<string> arguments)
    {
        string name = arguments.Length == 1 ? arguments[0] : "";
        GrowthArm arm = GrowthArms.All.FirstOrDefault(arm => arm.Name == name)
            ?? throw new UsageException($"'{MeasureVerb}' is for growth's own use");
        try
        {
            Console.WriteLine(GrowthFigure.ToJson(arm.Measure()));
            return 0;
        }
        catch (Win32Exception e)
        {
            Console.Error.WriteLine($"{arm.Name}: {e.Message}");
            return 1;
        }
    }

    private static int ParseRuns(ReadOnlySpan<string> arguments)
    {
        if (arguments.IsEmpty)
            return DefaultRuns;
        bool valid = int.TryParse(arguments[^1].Replace("--runs=", ""), NumberStyles.None, CultureInfo.InvariantCulture, out int runs)
            && runs is >= 1 and <= MaxRuns
            && (arguments.Length == 1 ? arguments[0].StartsWith("--runs=", StringComparison.Ordinal) : arguments is ["--runs", _]);
        return valid ? runs : throw new UsageException($"usage: {Usage}, with N from 1 to {MaxRuns}");
    }
}
