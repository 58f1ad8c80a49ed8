using System.CommandLine;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>
/// The command line of <c>compare</c>, as far as it can be understood without looking at anything else.
/// </summary>
internal sealed class CompareOptions
{
    private const int MaxThreads = 1024;
    private const int MaxRuns = 10_000;

    private static readonly Option<string[]> s_trace =
        CommandOptions.Texts("--trace", "FILE", "A trace that is not bundled; may be repeated.");

    private static readonly Option<string[]> s_workload =
        CommandOptions.Texts("--workload", "NAME[:PARAMETER=VALUE],...", "Workloads and groups; 'list' shows them.");

    private static readonly Option<string[]> s_allocator =
        CommandOptions.Texts("--allocator", "NAME,...", "Allocators; all that are available unless given.");

    private static readonly Option<string[]> s_threads =
        CommandOptions.Texts("--threads", "N,...", "Numbers of threads, each for a row of its own.");

    private static readonly Option<int> s_runs =
        CommandOptions.Number("--runs", "N", "Runs of each pair, in turn.", usual: 5, min: 1, MaxRuns);

    private static readonly Option<string?> s_json =
        CommandOptions.Text("--json", "FILE", "Also write the results as JSON.");

    private static readonly Option<string?> s_html = CommandOptions.Text(
        "--html", "FILE", "Also write a page with charts, the environment and the command, in one file.");

    private static readonly Option<string?> s_baseline = CommandOptions.Text(
        "--baseline", "FOLDER", "Also measure the library of another build of the benchmarks, as nativealloc-base.");

    private static readonly Option<bool> s_counters =
        CommandOptions.Flag("--counters", "Also show page faults, and what the allocators count about themselves.");

    private static readonly Option<bool> s_latency =
        CommandOptions.Flag("--latency", "Also show percentiles of single calls, from runs of their own.");

    private static readonly Option<bool> s_native =
        CommandOptions.Flag("--native", "Also measure the C allocators under a program written in C.");

    /// <summary>
    /// Nothing in particular was asked for, so a first impression soon is better than a precise one later.
    /// </summary>
    public static CompareOptions Quickly { get; } = new() { Quick = true, Runs = 2 };

    public static IReadOnlyList<Option> All { get; } =
    [
        s_trace, s_workload, s_allocator, s_threads, s_runs, s_json, s_html, s_baseline, s_counters, s_latency,
        s_native,
    ];

    public IReadOnlyList<string> Traces { get; private init; } = [];

    public IReadOnlyList<string> Workloads { get; private init; } = [];

    public IReadOnlyList<string> Allocators { get; private init; } = [];

    /// <summary>Numbers of threads, each for a row of its own.</summary>
    public IReadOnlyList<int> Threads { get; private init; } = [1];

    public int Runs { get; private init; }

    public string? JsonFile { get; private init; }

    public string? HtmlFile { get; private init; }

    /// <summary>The folder of another build of this program.</summary>
    public string? Baseline { get; private init; }

    /// <summary>Also measure the C allocators under a program written in C.</summary>
    public bool Native { get; private init; }

    /// <summary>Also show what the allocators count about themselves.</summary>
    public bool Counters { get; private init; }

    /// <summary>Also measure how long single calls take.</summary>
    public bool Latency { get; private init; }

    /// <summary>Few and short passes.</summary>
    public bool Quick { get; private init; }

    /// <exception cref="UsageException">The arguments make no sense.</exception>
    public static CompareOptions Of(ParseResult result)
    {
        if (result.Tokens.Count == 1) // the command itself
            return Quickly;
        int[] threads =
        [
            .. Names(result, s_threads)
                .Select(text => CommandOptions.ToNumber(s_threads.Name, text, 1, MaxThreads))
                .Distinct(),
        ];
        return new CompareOptions
        {
            Traces = result.GetRequiredValue(s_trace),
            Workloads = Names(result, s_workload),
            Allocators = Names(result, s_allocator),
            Threads = threads.Length > 0 ? threads : [1],
            Runs = result.GetRequiredValue(s_runs),
            JsonFile = result.GetValue(s_json),
            HtmlFile = result.GetValue(s_html),
            Baseline = result.GetValue(s_baseline),
            Counters = result.GetValue(s_counters),
            Latency = result.GetValue(s_latency),
            Native = result.GetValue(s_native),
        };
    }

    /// <summary>The names of all occurrences of an option, each of which may hold several.</summary>
    private static string[] Names(ParseResult result, Option<string[]> option)
    {
        string[] values = result.GetRequiredValue(option);
        const StringSplitOptions Split = StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries;
        string[] names = [.. values.SelectMany(value => value.Split(',', Split))];
        return names.Length > 0 || values.Length == 0
            ? names
            : throw new UsageException($"{option.Name} needs at least one name");
    }
}
