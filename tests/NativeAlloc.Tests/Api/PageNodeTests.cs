using System.Globalization;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves, in processes of their own whose machine is cut into several nodes, that pages come from the node they
/// should, are counted there and go back to it, and that a wrong number of nodes is said to be one.
/// </summary>
[Trait("Category", "Slow")]
public sealed class PageNodeTests
{
    private const string Variable = "NATIVEALLOC_FAKE_NODES";

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public void Pages_come_from_the_node_they_should_and_go_back_to_it(int nodes)
    {
        string count = nodes.ToString(CultureInfo.InvariantCulture);
        ChildProcess child = ChildProcess.RunHost([(Variable, count)], FakeNodes.Name, count).ShouldSucceed();
        int used = int.Parse(child.Output, CultureInfo.InvariantCulture);
        Assert.InRange(used, 1, nodes);
        // Without a second node that threads are on, less is proved than the name says.
        if (Environment.ProcessorCount > 1) Assert.True(used > 1, "all threads were on one node");
    }

    [Fact]
    public void What_the_program_sets_counts_for_more_than_the_environment() =>
        ChildProcess.RunHost([(Variable, "2")], FakeNodes.Name, "3", "3").ShouldSucceed();

    [Theory]
    [InlineData("two")]
    [InlineData("-1")]
    [InlineData("65")]
    [InlineData("1.5")]
    public void A_wrong_number_of_nodes_is_named_with_where_it_is_from_and_what_it_may_be(string value)
    {
        ChildProcess child =
            ChildProcess.RunHost([(Variable, value)], FakeNodes.Name, FakeNodes.ShowError).ShouldSucceed();
        foreach (string named in new[] { nameof(InvalidOperationException), $"environment variable {Variable}",
            $"'{value}'", "from 0 to 64" })
            Assert.Contains(named, child.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_wrong_number_that_the_program_sets_is_named_too()
    {
        ChildProcess child = ChildProcess.RunHost(FakeNodes.Name, FakeNodes.ShowError, "many").ShouldSucceed();
        foreach (string named in new[] { "AppContext 'NativeAlloc.FakeNodes'", "'many'", "from 0 to 64" })
            Assert.Contains(named, child.Output, StringComparison.Ordinal);
    }
}
