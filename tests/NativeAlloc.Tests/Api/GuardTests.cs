using System.Runtime.InteropServices;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that a wrong use of a sampled block is a fault that names the block, and a right use is not.
/// </summary>
public sealed class GuardTests
{
    [Theory]
    [InlineData(GuardFaults.Overflow, "NativeAlloc: overflow of the sampled block of 80 bytes")]
    [InlineData(GuardFaults.Underflow, "NativeAlloc: underflow of the sampled block of 80 bytes")]
    [InlineData(GuardFaults.After, "NativeAlloc: use after free of the sampled block of 80 bytes")]
    public void A_wrong_access_ends_the_process_and_names_the_block(string mistake, string words)
    {
        ChildProcess child = Run(mistake);
        Assert.NotEqual(0, child.ExitCode);
        Assert.Contains("AccessViolationException", child.Errors, StringComparison.Ordinal);
        if (!HasHandler) return; // the runtime's report is all there is
        Assert.Contains(words, child.Errors, StringComparison.Ordinal);
        Assert.Contains("at NativeAlloc.TestHost.GuardFaults.Run", child.Errors, StringComparison.Ordinal);
        Assert.Equal(mistake == GuardFaults.After, child.Errors.Contains("freed by thread", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(GuardFaults.Twice, "is no live block")]
    [InlineData(GuardFaults.Behind, "was written to, beside the sampled block of 80 bytes")]
    public void A_wrong_free_is_an_exception_that_names_the_block(string mistake, string words)
    {
        ChildProcess child = Run(mistake);
        Assert.NotEqual(0, child.ExitCode);
        Assert.Contains("ArgumentException", child.Errors, StringComparison.Ordinal);
        Assert.Contains(words, child.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(GuardFaults.Clean, "done")]
    [InlineData(GuardFaults.NullReference, "caught")]
    public void What_is_right_goes_on_as_without_it(string steps, string words) =>
        Assert.Contains(words, Run(steps).ShouldSucceed().Output, StringComparison.Ordinal);

    [Fact]
    public void A_fault_names_the_block_that_has_the_place_by_then()
    {
        Assert.SkipUnless(HasHandler, "The runtime's report is all there is.");
        ChildProcess child = Run(GuardFaults.Reused);
        Assert.Contains("NativeAlloc: overflow of the sampled block of 48 bytes", child.Errors,
            StringComparison.Ordinal);
        Assert.DoesNotContain("freed by thread", child.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_room_for_texts_a_block_is_made_and_freed_and_a_fault_still_names_it()
    {
        ChildProcess child = Run(GuardFaults.NoTexts);
        Assert.Contains("AccessViolationException", child.Errors, StringComparison.Ordinal);
        if (!HasHandler) return;
        Assert.Contains("NativeAlloc: use after free of the sampled block of 80 bytes at 0x", child.Errors,
            StringComparison.Ordinal);
    }

    private static bool HasHandler => OperatingSystem.IsLinux()
        && RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.X64;

    private static ChildProcess Run(string steps) =>
        ChildProcess.RunHost([("NATIVEALLOC_GUARD", "1")], GuardFaults.Name, steps);
}
