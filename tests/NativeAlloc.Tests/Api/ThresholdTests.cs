using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that a threshold is told of when live bytes cross it, once, again after they had fallen well below, and not
/// any more after its end; in processes whose live bytes nothing else changes.
/// </summary>
public sealed class ThresholdTests
{
    [Theory]
    [InlineData(CrossesThreshold.ByHand, "-1")]
    [InlineData(CrossesThreshold.ByItself, "20")]
    public void It_is_told_once_for_each_crossing_until_its_end(string how, string decay) => ChildProcess
        .RunHost([("NATIVEALLOC_DECAY_MILLISECONDS", decay)], CrossesThreshold.Name, how).ShouldSucceed();

    [Fact]
    public void It_needs_a_number_and_somebody_to_tell()
    {
        Assert.Throws<ArgumentNullException>(() => NativeAllocator.RegisterThreshold(1, null!));
        Assert.Throws<ArgumentOutOfRangeException>(() => NativeAllocator.RegisterThreshold(0, static _ => { }));
    }
}
