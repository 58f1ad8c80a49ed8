using System.Globalization;
using System.Text.RegularExpressions;

namespace NativeAlloc.BenchmarkDotNet;

/// <summary>
/// What some operations did, as the process of the benchmark counted it. It gets to the process that reports it as a
/// line of the benchmark's output.
/// </summary>
internal readonly partial record struct OperationCounts(
    long Operations, long Blocks, long Bytes, long LeakedBlocks, long LeakedBytes)
{
    // BenchmarkDotNet takes what begins with slashes for no measurement.
    private const string Prefix = "// NativeAlloc: ", NotCounted = Prefix + "not counted: ";

    /// <summary>The line where operations could not be counted.</summary>
    internal static string Excuse(string reason) => NotCounted + reason.ReplaceLineEndings(" ");

    internal string ToLine() => string.Create(CultureInfo.InvariantCulture,
        $"{Prefix}{Operations} operations allocated {Blocks} blocks of {Bytes} bytes, and left {LeakedBlocks} blocks "
        + $"of {LeakedBytes} bytes");

    /// <summary>Whether a line is one of these: the counts, or the reason why there are none.</summary>
    internal static bool TryParse(string line, out OperationCounts counts, out string? excuse)
    {
        counts = default;
        excuse = line.StartsWith(NotCounted, StringComparison.Ordinal) ? line[NotCounted.Length..] : null;
        if (excuse != null) return true;
        Match match = Line().Match(line);
        if (!match.Success) return false;
        long[] numbers = [.. match.Groups.Values.Skip(1).Select(
            static group => long.Parse(group.Value, CultureInfo.InvariantCulture))];
        counts = new OperationCounts(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]);
        return true;
    }

    [GeneratedRegex("^" + Prefix + @"(\d+) operations allocated (\d+) blocks of (\d+) bytes, and left (-?\d+) blocks "
        + @"of (-?\d+) bytes$")]
    private static partial Regex Line();
}
