using NativeAlloc.Os;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>
/// Shows that the system's folder of nodes is read as it is meant, that anything else is one node, and that nodes can
/// be cut into fake ones that go round as real ones do.
/// </summary>
public sealed class NodeTopologyTests : IDisposable
{
    private const string Folder = "sys/devices/system/node";

    private readonly TemporaryDirectory _root = new();

    public NodeTopologyTests() => SystemNeeds.Linux("/proc and /sys");

    public void Dispose() => _root.Dispose();

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
    [InlineData("\n", 0)]
    [InlineData("", 0)]
    public void A_list_counts_its_numbers(string text, int count) =>
        Assert.Equal(count, LinuxSystem.ParseList(text).Length);

    [Fact]
    public void A_list_has_the_numbers_it_names() =>
        Assert.Equal([0, 1, 2, 3, 8, 9, 16], LinuxSystem.ParseList("0-3,8-9,16\n"));

    [Theory]
    [InlineData("none")]
    [InlineData("3-1")]
    [InlineData("0-1-2")]
    [InlineData("-1")]
    [InlineData("0-")]
    [InlineData("0-1,x")]
    [InlineData("0 1")]
    [InlineData("0-65536")]
    [InlineData("99999999999")]
    public void What_is_no_list_is_refused_and_makes_one_node(string text)
    {
        FormatException error = Assert.Throws<FormatException>(() => LinuxSystem.ParseList(text));
        Assert.Contains(text, error.Message, StringComparison.Ordinal);
        Write("has_memory", text);
        AssertOneNode(Read(), systemNode: 0);
    }

    [Fact]
    public void A_folder_that_is_missing_is_one_node() =>
        AssertOneNode(NodeTopology.Read(new LinuxSystem(_root.Combine("nothing")), 0), systemNode: 0);

    [Fact]
    public void A_folder_without_nodes_with_memory_is_one_node()
    {
        MakeNodes([0, 1], [[0], [1]], [[10, 20], [20, 10]]);
        Write("has_memory", "\n");
        AssertOneNode(Read(), systemNode: 0);
    }

    [Fact]
    public void One_node_with_memory_is_one_node_by_the_systems_number()
    {
        MakeNodes([0, 2], [[0], [1]], [[10, 20], [20, 10]]);
        Write("has_memory", "2\n");
        AssertOneNode(Read(), systemNode: 2);
    }

    [Fact]
    public void Two_nodes_are_told_apart_by_their_processors()
    {
        MakeNodes([0, 1], [[0, 1, 4, 5], [2, 3, 6, 7]], [[10, 21], [21, 10]]);
        NodeTopology nodes = Read();
        Assert.Equal(2, nodes.Count);
        Assert.False(nodes.IsFake);
        Assert.Equal([0, 0, 1, 1, 0, 0, 1, 1], Enumerable.Range(0, 8).Select(nodes.NodeOfProcessor));
        Assert.Equal([0, 1], nodes.NearestTo(0).ToArray());
        Assert.Equal([1, 0], nodes.NearestTo(1).ToArray());
        foreach (int none in (int[])[8, 1000, int.MaxValue]) Assert.Equal(0, nodes.NodeOfProcessor(none));
        Assert.InRange(nodes.NodeOfCurrentThread(), 0, 1);
    }

    [Fact]
    public void Of_four_nodes_the_near_ones_come_first_and_of_equally_near_ones_the_next_round_the_circle()
    {
        MakeNodes([0, 1, 2, 3], [[0], [1], [2], [3]],
            [[10, 16, 32, 32], [16, 10, 32, 32], [32, 32, 10, 16], [32, 32, 16, 10]]);
        NodeTopology nodes = Read();
        Assert.Equal([0, 1, 2, 3], nodes.NearestTo(0).ToArray());
        Assert.Equal([1, 0, 2, 3], nodes.NearestTo(1).ToArray());
        Assert.Equal([2, 3, 0, 1], nodes.NearestTo(2).ToArray());
        Assert.Equal([3, 2, 0, 1], nodes.NearestTo(3).ToArray());
        MakeNodes([0, 1, 2, 3], [[0], [1], [2], [3]],
            [[10, 20, 20, 20], [20, 10, 20, 20], [20, 20, 10, 20], [20, 20, 20, 10]]);
        nodes = Read();
        for (int node = 0; node < 4; node++)
            Assert.Equal(Enumerable.Range(node, 4).Select(other => other % 4), nodes.NearestTo(node).ToArray());
    }

    [Fact]
    public void Numbers_with_gaps_are_counted_without_and_distances_are_those_of_the_right_nodes()
    {
        // Node 4 has processors and no memory: it is online, has a place in each line of distances, and is no node of
        // ours.
        MakeNodes([0, 4, 8, 9], [[0, 1], [2, 3], [4, 5], [6, 7]],
            [[10, 99, 40, 30], [99, 10, 99, 99], [40, 99, 10, 50], [30, 99, 50, 10]]);
        Write("has_memory", "0,8-9\n");
        NodeTopology nodes = Read();
        Assert.Equal(3, nodes.Count);
        Assert.Equal([0, 8, 9], Enumerable.Range(0, 3).Select(nodes.SystemNodeOf));
        Assert.Equal([0, 2, 1], nodes.NearestTo(0).ToArray());
        Assert.Equal([1, 0, 2], nodes.NearestTo(1).ToArray());
        Assert.Equal([2, 0, 1], nodes.NearestTo(2).ToArray());
        // 2 and 3 are near no memory of their own
        Assert.Equal([0, 0, 0, 0, 1, 1, 2, 2], Enumerable.Range(0, 8).Select(nodes.NodeOfProcessor));
    }

    [Fact]
    public void A_node_with_memory_and_no_processors_is_a_node()
    {
        MakeNodes([0, 1], [[0, 1], []], [[10, 17], [17, 10]]);
        NodeTopology nodes = Read();
        Assert.Equal(2, nodes.Count);
        Assert.Equal(0, nodes.NodeOfProcessor(1));
        Assert.Equal([1, 0], nodes.NearestTo(1).ToArray());
    }

    [Fact]
    public void A_line_of_distances_that_ends_early_leaves_the_others_far_away()
    {
        MakeNodes([0, 1, 2], [[0], [1], [2]], [[10, 15, 12], [15, 10, 30], [12, 30, 10]]);
        // node 2 is as far as a remote one usually is, farther than 15
        Write(Path.Combine("node1", "distance"), "15 10\n");
        Assert.Equal([1, 0, 2], Read().NearestTo(1).ToArray());
        Write(Path.Combine("node1", "distance"), "25 10\n");
        Assert.Equal([1, 2, 0], Read().NearestTo(1).ToArray());
    }

    [Theory]
    [InlineData("has_memory")]
    [InlineData("online")]
    [InlineData("node1/cpulist")]
    [InlineData("node0/distance")]
    public void Where_a_file_is_missing_or_makes_no_sense_there_is_one_node(string file)
    {
        MakeNodes([0, 1], [[0], [1]], [[10, 20], [20, 10]]);
        Assert.Equal(2, Read().Count);
        string text = File.ReadAllText(_root.Combine(Folder, file));
        Write(file, "nonsense");
        AssertOneNode(Read(), systemNode: 0);
        Write(file, "99999999999 99999999999\n");
        AssertOneNode(Read(), systemNode: 0);
        File.Delete(_root.Combine(Folder, file));
        AssertOneNode(Read(), systemNode: 0);
        Write(file, text);
        Assert.Equal(2, Read().Count);
    }

    [Fact]
    public void More_nodes_than_can_be_told_apart_share_numbers()
    {
        const int Real = 100;
        int[] all = [.. Enumerable.Range(0, Real)];
        NodeTopology nodes = new(all, [.. all.Select(node => (int[])[node])],
            [.. all.Select(node => all.Select(other => node == other ? 10 : 20).ToArray())], 0);
        Assert.Equal(NodeTopology.MaxNodes, nodes.Count);
        AssertPermutations(nodes);
        Assert.Equal(NodeTopology.MaxNodes, all.Select(nodes.NodeOfProcessor).Distinct().Count());
    }

    [Fact]
    public void Any_number_of_fake_nodes_is_dealt_out_over_the_real_ones_in_equal_shares()
    {
        foreach (int real in (int[])[1, 2, 3, 4, 8])
        {
            // Processors of the nodes alternate, as on many machines.
            int[][] processors = [.. Enumerable.Range(0, real)
                .Select(node => Enumerable.Range(0, 64).Select(cpu => cpu * real + node).ToArray())];
            int[][] distances = [.. Enumerable.Range(0, real)
                .Select(node => Enumerable.Range(0, real).Select(other => 10 + 10 * Math.Abs(node - other)).ToArray())];
            int[] system = [.. Enumerable.Range(0, real).Select(node => node * 3)];
            for (int fake = 1; fake <= NodeTopology.MaxNodes; fake++)
            {
                NodeTopology nodes = new(system, processors, distances, fake);
                Assert.Equal(fake, nodes.Count);
                Assert.True(nodes.IsFake);
                AssertPermutations(nodes);
                int[] shares = [.. system.Select(number =>
                    Enumerable.Range(0, fake).Count(node => nodes.SystemNodeOf(node) == number))];
                Assert.Equal(fake, shares.Sum());
                Assert.InRange(shares.Max() - shares.Min(), 0, 1);
                for (int node = 0; node < fake; node++)
                {
                    // The fakes of the same node are the nearest.
                    int[] nearest = nodes.NearestTo(node).ToArray();
                    int[] away =
                        [.. nearest.Select(other => Math.Abs(nodes.SystemNodeOf(other) - nodes.SystemNodeOf(node)))];
                    Assert.Equal(away.Order(), away);
                }
                int[] used = new int[fake];
                for (int cpu = 0; cpu < 64 * real; cpu++)
                {
                    int node = nodes.NodeOfProcessor(cpu);
                    used[node]++;
                    if (fake >= real) Assert.Equal(system[cpu % real], nodes.SystemNodeOf(node));
                }
                Assert.DoesNotContain(0, used); // each has processors, so that each is used
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(8)]
    public void A_machine_that_says_nothing_can_be_cut_into_fake_nodes_too(int fake)
    {
        NodeTopology nodes = NodeTopology.Read(new LinuxSystem(_root.Combine("nothing")), fake);
        Assert.Equal(fake, nodes.Count);
        Assert.True(nodes.IsFake);
        AssertPermutations(nodes);
        Assert.InRange(nodes.NodeOfCurrentThread(), 0, fake - 1);
    }

    [Fact]
    public void A_system_that_does_not_say_its_nodes_has_one()
    {
        MakeNodes([0, 1], [[0], [1]], [[10, 20], [20, 10]]);
        using (new InjectedFaults(OsCall.ReadNodes)) AssertOneNode(Read(), systemNode: 0);
        Assert.Equal(2, Read().Count);
    }

    [Fact]
    public void Of_a_system_that_does_not_say_the_processor_threads_are_on_the_first_node()
    {
        MakeNodes([0, 1], [[], [.. Enumerable.Range(0, 1024)]], [[10, 20], [20, 10]]);
        NodeTopology nodes = Read();
        Assert.Equal(1, nodes.NodeOfCurrentThread());
        using (new InjectedFaults(OsCall.CurrentProcessor)) Assert.Equal(0, nodes.NodeOfCurrentThread());
    }

    [Fact]
    public void A_folder_of_one_node_can_be_cut_into_fake_nodes()
    {
        MakeNodes([0], [[0, 1, 2, 3, 4, 5, 6, 7]], [[10]]);
        NodeTopology nodes = NodeTopology.Read(new LinuxSystem(_root.Path), 4);
        Assert.Equal(4, nodes.Count);
        Assert.Equal([0, 1, 2, 3, 0, 1, 2, 3], Enumerable.Range(0, 8).Select(nodes.NodeOfProcessor));
        for (int node = 0; node < 4; node++)
            Assert.Equal(Enumerable.Range(node, 4).Select(other => other % 4), nodes.NearestTo(node).ToArray());
    }

    [Fact]
    public void This_machine_has_a_node_and_every_thread_is_on_one()
    {
        NodeTopology nodes = NodeTopology.Current;
        Assert.InRange(nodes.Count, 1, NodeTopology.MaxNodes);
        AssertPermutations(nodes);
        Assert.InRange(nodes.NodeOfCurrentThread(), 0, nodes.Count - 1);
    }

    private NodeTopology Read() => NodeTopology.Read(new LinuxSystem(_root.Path), 0);

    private static void AssertOneNode(NodeTopology nodes, int systemNode)
    {
        Assert.Equal(1, nodes.Count);
        Assert.Equal(systemNode, nodes.SystemNodeOf(0));
        Assert.False(nodes.IsFake);
        Assert.Equal([0], nodes.NearestTo(0).ToArray());
        Assert.Equal(0, nodes.NodeOfCurrentThread());
        Assert.Equal(0, nodes.NodeOfProcessor(3));
    }

    private static void AssertPermutations(NodeTopology nodes)
    {
        for (int node = 0; node < nodes.Count; node++)
        {
            int[] nearest = nodes.NearestTo(node).ToArray();
            Assert.Equal(node, nearest[0]);
            Assert.Equal(Enumerable.Range(0, nodes.Count), nearest.Order());
        }
    }

    // As Linux has it: a file of nodes that are online, one of those with memory, and a folder for each.
    private void MakeNodes(int[] nodes, int[][] processors, int[][] distances)
    {
        Write("online", string.Join(',', nodes) + "\n");
        Write("has_memory", string.Join(',', nodes) + "\n");
        for (int i = 0; i < nodes.Length; i++)
        {
            Write(Path.Combine($"node{nodes[i]}", "cpulist"), string.Join(',', processors[i]) + "\n");
            Write(Path.Combine($"node{nodes[i]}", "distance"), string.Join(' ', distances[i]) + "\n");
        }
    }

    private void Write(string file, string text) => _root.Write(Path.Combine(Folder, file), text);
}
