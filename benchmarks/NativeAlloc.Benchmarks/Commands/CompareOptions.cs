using System.Globalization;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>The command line of <c>compare</c>, as far as it can be understood without looking at anything else.</summary>
internal sealed class CompareOptions
{
    public const string Usage =
        "compare [--trace FILE]... [--workload NAME[:PARAMETER=VALUE]...,...] [--allocator NAME,...] [--threads N,...] [--runs N] " +
        "[--json FILE] [--counters] [--native]";

    private const int MaxThreads = 1024;
    private const int MaxRuns = 10_000;

    public List<string> Traces { get; } = [];

    public List<string> Workloads { get; } = [];

    public List<string> Allocators { get; } = [];

    /// <summary>Numbers of threads, each for a row of its own.</summary>
    public IReadOnlyList<int> Threads { get; private set; } = [1];

    public int Runs { get; private set; } = 5;

    public string? JsonFile { get; private set; }

    /// <summary>Also measure the C allocators under a program written in C.</summary>
    public bool Native { get; private set; }

    /// <summary>Also show what the allocators count about themselves.</summary>
    public bool Counters { get; private set; }

    /// <summary>Nothing in particular was asked for, so a first impression soon is better than a precise one later.</summary>
    public bool Quick { get; private init; }

    /// <exception cref="UsageException">The arguments make no sense.</exception>
    public static CompareOptions Parse(ReadOnlySpan<string> arguments)
    {
        CompareOptions options = new() { Quick = arguments.IsEmpty };
        if (options.Quick)
            options.Runs = 2;

        for (int i = 0; i < arguments.Length; i++)
        {
            string[] parts = arguments[i].Split('=', 2);
            if (parts[0] == "--native" && parts.Length == 1)
            {
                options.Native = true;
                continue;
            }

            if (parts[0] == "--counters" && parts.Length == 1)
            {
                options.Counters = true;
                continue;
            }

            if (parts[0] is not ("--trace" or "--workload" or "--allocator" or "--threads" or "--runs" or "--json"))
                throw new UsageException($"unknown argument '{arguments[i]}'; usage: {Usage}");

            string value = parts.Length == 2 ? parts[1] : ++i < arguments.Length ? arguments[i] : "";
            if (value.Length == 0)
                throw new UsageException($"{parts[0]} needs a value; usage: {Usage}");
            options.Set(parts[0], value);
        }

        return options;
    }

    private void Set(string option, string value)
    {
        switch (option)
        {
            case "--trace":
                Traces.Add(value);
                break;
            case "--workload":
                Workloads.AddRange(Names(option, value));
                break;
            case "--allocator":
                Allocators.AddRange(Names(option, value));
                break;
            case "--threads":
                Threads = [.. Names(option, value).Select(text => Number(option, text, MaxThreads)).Distinct()];
                break;
            case "--runs":
                Runs = Number(option, value, MaxRuns);
                break;
            default:
                JsonFile = value;
                break;
        }
    }

    private static string[] Names(string option, string value)
    {
        string[] names = value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return names.Length > 0 ? names : throw new UsageException($"{option} needs at least one name");
    }

    private static int Number(string option, string value, int max) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= 1 && number <= max
            ? number
            : throw new UsageException($"{option} needs a whole number from 1 to {max}, not '{value}'");
}
