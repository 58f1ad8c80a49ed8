using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves, for some seconds, what <c>soak</c> of the test host shows in as many minutes as it is given.
/// </summary>
public sealed class SoakTests
{
    [Theory]
    [InlineData("0")]
    [InlineData("1")]
    public void Everything_at_once_goes_well(string check)
    {
        ChildProcess child =
            ChildProcess.RunHost([("NATIVEALLOC_CHECK", check)], Soak.Name, "4", "20261129").ShouldSucceed();
        Assert.Contains("no failure", child.Output, StringComparison.Ordinal);
        Assert.Equal("", child.Errors); // nothing has leaked
    }
}
