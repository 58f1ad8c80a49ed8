namespace NativeAlloc.Os;

/// <summary>
/// The NUMA nodes: how many, which the calling thread is on, and from each the others by distance. Nodes are numbered
/// from 0 without gaps; <see cref="SystemNodeOf"/> gives the system's own number.
/// </summary>
/// <remarks>
/// For tests the nodes can be cut into any number of fake ones, as Linux' <c>numa=fake=N</c> does: the fake nodes are
/// dealt out over the real ones in equal shares, and a processor belongs to one of the fakes of its node.
/// </remarks>
internal sealed class NodeTopology
{
    /// <summary>Nodes told apart. Machines with more share numbers; none such is known.</summary>
    internal const int MaxNodes = OptionTable.LargestFakeNodes;

    private const int LocalDistance = 10; // as in the ACPI tables that the system reads

    private readonly int[] _systemNodes;     // by node
    private readonly int[] _nodeOfProcessor; // by processor
    private readonly int[][] _nearest;       // by node: all nodes, itself first

    /// <param name="systemNodes">The system's numbers of the nodes with memory.</param>
    /// <param name="processors">By the same index, the processors of each.</param>
    /// <param name="distances">By the same index twice; the system's measure, 10 for a node to itself.</param>
    /// <param name="fakeCount">Nodes to make of them; 0 for as many as there are.</param>
    internal NodeTopology(int[] systemNodes, int[][] processors, int[][] distances, int fakeCount)
    {
        int real = systemNodes.Length, count = Math.Min(fakeCount == 0 ? real : fakeCount, MaxNodes);
        int RealOf(int node) => (int)((long)node * real / count);
        _systemNodes = [.. Enumerable.Range(0, count).Select(node => systemNodes[RealOf(node)])];
        // Ties go round from the node itself, so that not all of them fall back on the first.
        _nearest = [.. Enumerable.Range(0, count).Select(node => Enumerable.Range(0, count)
            .OrderBy(other => other == node ? 0 : distances[RealOf(node)][RealOf(other)])
            .ThenBy(other => (other - node + count) % count).ToArray())];
        _nodeOfProcessor = new int[processors.SelectMany(list => list).DefaultIfEmpty(0).Max() + 1];
        for (int index = 0; index < real; index++)
        {
            int[] nodes = [.. Enumerable.Range(0, count).Where(node => RealOf(node) == index)];
            if (nodes.Length == 0) nodes = [Math.Min(count - 1, index * count / real)]; // fewer nodes than there are
            for (int i = 0; i < processors[index].Length; i++)
                _nodeOfProcessor[processors[index][i]] = nodes[i % nodes.Length];
        }
        IsFake = fakeCount != 0;
    }

    // The usual machine: one node. Worth its own way, as the rest would cost every program's first allocation some
    // milliseconds of compilation.
    private NodeTopology(int systemNode)
    {
        _systemNodes = [systemNode];
        _nearest = [[0]];
        _nodeOfProcessor = [0];
    }

    /// <summary>The machine's, or as many fake ones as are set.</summary>
    internal static NodeTopology Current { get; } = Read(Platform.Current, Options.FakeNodes);

    internal int Count => _systemNodes.Length;

    /// <summary>True where the nodes are not the system's own, so that binding memory to them says nothing.</summary>
    internal bool IsFake { get; }

    /// <summary>The system's number of a node.</summary>
    internal int SystemNodeOf(int node) => _systemNodes[node];

    /// <summary>All nodes by their distance from one, which comes first.</summary>
    internal ReadOnlySpan<int> NearestTo(int node) => _nearest[node];

    /// <summary>The node that the calling thread runs on at this moment. A system call; ask seldom.</summary>
    internal int NodeOfCurrentThread() =>
        Count == 1 || !Platform.Enter(OsCall.CurrentProcessor)
            ? 0
            : NodeOfProcessor(Platform.Current.CurrentProcessor());

    internal int NodeOfProcessor(int processor) =>
        (uint)processor < (uint)_nodeOfProcessor.Length ? _nodeOfProcessor[processor] : 0;

    /// <summary>Asks the system; one node where it says nothing or what makes no sense.</summary>
    internal static NodeTopology Read(SystemContract system, int fakeCount)
    {
        int[] numbers = [];
        bool isKnown = Platform.Enter(OsCall.ReadNodes) && system.TryReadNodes(out numbers) && numbers.Length != 0;
        if (isKnown && numbers.Length == 1 && fakeCount == 0) return new NodeTopology(numbers[0]);
        if (isKnown && system.TryReadNodeDetails(numbers, out int[][] processors, out int[][] distances))
            return new NodeTopology(numbers, processors, distances, fakeCount);
        if (fakeCount == 0) return new NodeTopology(0);
        return new NodeTopology([0], [[.. Enumerable.Range(0, Environment.ProcessorCount)]], [[LocalDistance]],
            fakeCount);
    }
}
