using System.Globalization;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that threads which come and go leave nothing behind: the next ones take their caches over, without a garbage
/// collection that anybody asked for.
/// </summary>
/// <remarks>
/// In a process of its own, where nothing else moves. What the runtime keeps for each thread that has ended, some 4
/// KiB, is given back by the finaliser of its <see cref="Thread"/> object; with the usual budget no collection would
/// fall due in the whole run, and those 36 MiB would hide the allocator's own. The process therefore runs with a
/// smaller budget of the youngest generation, so that the runtime collects, by its own decision, now and then. What is
/// left is some MiB of the runtime's tables and of pages that the allocator had not touched before. One thread block
/// and its magazines for each thread would be 8 KiB and far more.
/// </remarks>
[Trait("Category", "Slow")]
public sealed class ThreadChurnTests
{
    private const long LargestGrowthBytes = 12L << 20;

    private static readonly (string, string) s_smallBudget = ("DOTNET_GCgen0size", "0x80000");

    [Fact]
    public void Ten_thousand_short_lived_threads_leave_nothing_behind()
    {
        ChildProcess child = ChildProcess.RunHost([s_smallBudget], ThreadChurn.Name).ShouldSucceed();
        long[] figures = [.. child.Output.Split().Where(word => word.Length != 0)
            .Select(word => long.Parse(word, CultureInfo.InvariantCulture))];
        Assert.Equal(4, figures.Length);
        (long growth, long threadBlocks, long adoptions, long liveBlocks) =
            (figures[0], figures[1], figures[2], figures[3]);
        Assert.Equal(0, liveBlocks);
        Assert.InRange(threadBlocks, 1, ThreadChurn.AliveTogether);
        // every thread but the first few took a dead one's
        Assert.Equal(ThreadChurn.AllThreads - threadBlocks, adoptions);
        Assert.True(growth <= LargestGrowthBytes,
            $"resident memory grew by {growth} bytes after the first {ThreadChurn.WarmUpThreads} threads");
    }
}
