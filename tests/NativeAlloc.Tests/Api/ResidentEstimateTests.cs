using System.Globalization;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves, in a process of its own, that the estimate of what is resident is what the system says
/// (<c>/proc/self/smaps_rollup</c>) where all memory is touched: for blocks of every layer, taken, freed and given
/// back.
/// </summary>
public sealed class ResidentEstimateTests
{
    // What the estimate leaves out: frames and bitmaps, under 1 % of the pages; the runtime's own memory. What it has
    // too much: the rest of slabs and of blocks that nobody touched.
    private const int Share = 64;
    private const long FixedBytes = 6L << 20;

    [Fact]
    public void The_estimate_is_what_the_system_says()
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.False(File.Exists("/proc/self/smaps_rollup")); // nobody to ask
            return;
        }
        string[] lines = ChildProcess.RunHost(ResidentEstimate.Name).ShouldSucceed().Output
            .Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        List<long> estimates = [];
        foreach (string[] cells in lines.Select(line => line.Split(',')))
        {
            long estimate = long.Parse(cells[1], CultureInfo.InvariantCulture),
                mapped = long.Parse(cells[2], CultureInfo.InvariantCulture);
            Assert.True(Math.Abs(estimate - mapped) <= mapped / Share + FixedBytes,
                $"{cells[0]}: the estimate has grown by {estimate}, the process by " +
                $"{mapped}:\n{string.Join('\n', lines)}");
            estimates.Add(estimate);
        }
        Assert.Equal(4, estimates.Count);
        Assert.InRange(estimates[0], 300L << 20, 330L << 20); // five layers of 48 MiB, and one block of 65 MiB
        Assert.InRange(estimates[3], -FixedBytes, FixedBytes);
    }
}
