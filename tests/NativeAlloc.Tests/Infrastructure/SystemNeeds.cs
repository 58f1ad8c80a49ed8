using NativeAlloc.Os;
using Xunit;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>What a test needs of the system. Where that has it not, the test is skipped, and says why.</summary>
internal static class SystemNeeds
{
    /// <summary>Memory that goes from one address to another without being copied.</summary>
    internal static void Moves() => Assert.SkipUnless(Platform.MovesMemory, "This system cannot move memory.");

    /// <summary>Commit that costs nothing, so that addresses can be usable without being used.</summary>
    internal static void FreeCommit() =>
        Assert.SkipWhen(Platform.ChargesCommit, "This system charges commit: what is not used cannot be touched.");

    /// <summary>The C library, files below /proc and limits of Linux.</summary>
    internal static void Linux(string what) =>
        Assert.SkipUnless(OperatingSystem.IsLinux(), $"Only Linux has {what}.");
}
