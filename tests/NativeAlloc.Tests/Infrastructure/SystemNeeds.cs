using System.Runtime.InteropServices;
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

    /// <summary>A mapping that takes another's place in one step.</summary>
    internal static void MapsOver() =>
        Assert.SkipWhen(OperatingSystem.IsWindows(), "On Windows a window that is in use is set in two steps.");

    /// <summary>Windows itself, where the system is Windows: wine, which stands in for it, does less.</summary>
    internal static void NoWine(string what) => Assert.SkipWhen(s_isWine, $"Under wine {what}.");

    private static readonly bool s_isWine = OperatingSystem.IsWindows()
        && NativeLibrary.TryGetExport(NativeLibrary.Load("ntdll"), "wine_get_version", out _);

    /// <summary>The C library, files below /proc and limits of Linux.</summary>
    internal static void Linux(string what) =>
        Assert.SkipUnless(OperatingSystem.IsLinux(), $"Only Linux has {what}.");
}
