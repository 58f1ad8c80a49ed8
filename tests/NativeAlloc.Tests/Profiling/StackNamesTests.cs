using NativeAlloc.Diagnostics;
using Xunit;

namespace NativeAlloc.Tests.Profiling;

/// <summary>Proves that native levels of a stack, which have no names, take no more room than they are worth.</summary>
public sealed class StackNamesTests
{
    [Theory]
    [InlineData("A B", "A B")]
    [InlineData("A n n n", "A")]
    [InlineData("n n A n n B n", "n A n B")]
    [InlineData("n n n", "n")]
    [InlineData("", "")]
    public void Native_levels_that_follow_each_other_are_one_and_none_is_the_outermost(string from, string to) =>
        Assert.Equal(Levels(to), StackNames.Shorten(Levels(from)));

    private static ProfileFrame[] Levels(string names) =>
    [
        .. names.Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(name => new ProfileFrame(name == "n" ? StackNames.Native : name, "", null, 0)),
    ];
}
