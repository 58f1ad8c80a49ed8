using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>What a rule finds.</summary>
internal static class Offences
{
    /// <summary>Fails with all that was found, one a line.</summary>
    internal static void ShouldBeNone(this IEnumerable<string> offences)
    {
        List<string> found = [.. offences];
        if (found.Count != 0) Assert.Fail($"{found.Count}:\n{string.Join('\n', found)}");
    }

    /// <summary>A file of the library with this text.</summary>
    internal static SourceFile Of(string text, string path = "Slabs/Some.cs") =>
        new($"{SourceTree.Library}/{path}", text);
}
