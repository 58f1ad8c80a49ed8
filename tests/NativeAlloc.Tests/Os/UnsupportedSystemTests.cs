using System.Reflection;
using System.Runtime.Versioning;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>Shows that on a system that the library does not run on, every public member says so.</summary>
public sealed class UnsupportedSystemTests
{
    [Fact]
    public void Every_call_says_that_the_system_is_not_supported() =>
        ChildProcess.RunHost(UnsupportedCalls.Name, [.. UnsupportedCalls.Calls.Select(call => call.Name)])
            .ShouldSucceed();

    // As the first call of a process: no static constructor may throw before.
    [Theory]
    [InlineData("Alloc")]
    [InlineData("AllocPage")]
    [InlineData("SlabCache")]
    [InlineData("Vmalloc.Alloc")]
    [InlineData("GetStatistics")]
    [InlineData("Free")]
    [InlineData("FixedMap.AddressOf")]
    public void The_first_call_says_it_too(string call) =>
        ChildProcess.RunHost(UnsupportedCalls.Name, call).ShouldSucceed();

    // A program that is built for one of these gets a warning for each call.
    [Theory]
    [InlineData("browser")]
    [InlineData("wasi")]
    [InlineData("android")]
    [InlineData("ios")]
    [InlineData("tvos")]
    public void The_compiler_is_told_of_systems_that_are_not_supported(string name) =>
        Assert.Contains(typeof(NativeAllocator).Assembly.GetCustomAttributes<UnsupportedOSPlatformAttribute>(),
            attribute => attribute.PlatformName == name);
}
