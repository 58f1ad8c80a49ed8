using NativeAlloc.Os;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>Shows that the kernel's node lists are counted rightly and that anything else counts as one node.</summary>
public sealed class MachineTests
{
    [Theory]
    [InlineData("0", 1)]
    [InlineData("0\n", 1)]
    [InlineData("0-1", 2)]
    [InlineData("0-3\n", 4)]
    [InlineData("0,2", 2)]
    [InlineData("0-3,8", 5)]
    [InlineData("0-3,8-9,16", 7)]
    [InlineData("1,3,5,7", 4)]
    [InlineData(" 0-1 \n", 2)]
    [InlineData("7-7", 1)]
    [InlineData("0-1023", 1024)]
    public void A_node_list_counts_its_nodes(string text, int count) => Assert.Equal(count, Machine.ParseNodeList(text));

    [Theory]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData("none")]
    [InlineData("3-1")]
    [InlineData("0-1-2")]
    [InlineData("-1")]
    [InlineData("0-")]
    [InlineData("0-1,x")]
    [InlineData("0 1")]
    [InlineData("99999999999")]
    public void What_is_no_node_list_counts_as_one_node(string text) => Assert.Equal(1, Machine.ParseNodeList(text));

    [Fact]
    public void A_file_that_is_missing_counts_as_one_node() =>
        Assert.Equal(1, Machine.ReadNodeCount(Path.Combine(Path.GetTempPath(), Path.GetRandomFileName())));

    [Fact]
    public void A_file_is_read_and_counted()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, "0-2,4\n");
            Assert.Equal(4, Machine.ReadNodeCount(path));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void The_machine_has_memory_and_a_node()
    {
        Assert.InRange(Machine.MemoryBytes, 1UL << 20, 1UL << 50);
        Assert.InRange(Machine.NodeCount, 1, 4096);
    }
}
