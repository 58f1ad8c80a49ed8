using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests;

/// <summary>
/// Proves that what users see of the library changes only on purpose: it is written down in <c>PublicApi.txt</c>.
/// </summary>
public sealed class PublicApiTests
{
    private const string AcceptVariable = "NATIVEALLOC_ACCEPT_API";

    private static readonly string s_file = RepositoryTree.PathOf("tests", "NativeAlloc.Tests", "PublicApi.txt");

    [Fact]
    public void The_public_members_are_those_that_were_accepted()
    {
        string[] actual = PublicSurface.Of(typeof(NativeAllocator).Assembly);
        if (Environment.GetEnvironmentVariable(AcceptVariable) == "1")
            File.WriteAllText(s_file, string.Join('\n', actual) + "\n");
        string[] accepted = File.Exists(s_file) ? File.ReadAllLines(s_file) : [];
        string[] added = [.. actual.Except(accepted)], removed = [.. accepted.Except(actual)];
        Assert.True(actual.SequenceEqual(accepted), $"""
            The public members differ from tests/NativeAlloc.Tests/PublicApi.txt.
            Added:
              {string.Join("\n  ", added.DefaultIfEmpty("nothing"))}
            Removed:
              {string.Join("\n  ", removed.DefaultIfEmpty("nothing"))}
            If that is meant, run the tests once with {AcceptVariable}=1, which writes the file anew, and commit it.
            """);
    }
}
