using System.Globalization;

namespace NativeAlloc.Benchmarks.Fragmentation;

/// <summary>
/// What an <see cref="AgeingHeap"/> goes through. Both runs of a comparison have the same plan, up to the last member.
/// </summary>
/// <param name="PoolMiB">The memory there is, a multiple of the section's 64 MiB.</param>
/// <param name="OccupancyPercent">How much of it is allocated.</param>
/// <param name="Steps">Blocks that are replaced after the heap has been filled.</param>
/// <param name="SwingPercent">
/// By how much of all pages the movable ones become more and fewer, at the cost of the reclaimable ones.
/// </param>
/// <param name="Tries">Blocks of 16 pages that are asked for at the end.</param>
/// <param name="Seed">Where the random numbers begin.</param>
/// <param name="MigrateTypes">Whether pages are asked for by their migrate type.</param>
internal sealed record AgeingPlan(
    int PoolMiB, int OccupancyPercent, int Steps, int SwingPercent, int Tries, int Seed, bool MigrateTypes)
{
    /// <summary>As arguments of a child, in the order of <see cref="Parse"/>.</summary>
    public IEnumerable<string> ToArguments() =>
        new[] { PoolMiB, OccupancyPercent, Steps, SwingPercent, Tries, Seed, MigrateTypes ? 1 : 0 }
            .Select(value => value.ToString(CultureInfo.InvariantCulture));

    public static AgeingPlan Parse(ReadOnlySpan<string> arguments)
    {
        int[] values = [.. arguments.ToArray().Select(argument => int.Parse(argument, CultureInfo.InvariantCulture))];
        return new(values[0], values[1], values[2], values[3], values[4], values[5], values[6] != 0);
    }
}
