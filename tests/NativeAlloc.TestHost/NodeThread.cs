using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.TestHost;

/// <summary>A thread that stays on the processors of one node and does what it is told.</summary>
internal sealed unsafe partial class NodeThread : IDisposable
{
    private readonly TestThread _thread = new();

    private NodeThread(int processor) => Processor = processor;

    internal int Processor { get; }

    internal int Node => NodeTopology.Current.NodeOfProcessor(Processor);

    /// <summary>A thread for each node that has a processor which this process may use.</summary>
    internal static NodeThread[] ForEachNode()
    {
        List<NodeThread> threads = [];
        for (int processor = 0; processor < Environment.ProcessorCount; processor++)
        {
            if (threads.Exists(other => other.Node == NodeTopology.Current.NodeOfProcessor(processor))) continue;
            NodeThread thread = new(processor);
            bool isThere = false;
            thread.Run(() => isThere = TryStayOn(processor));
            if (isThere) threads.Add(thread);
            else thread.Dispose();
        }
        return [.. threads];
    }

    /// <inheritdoc cref="TestThread.Run"/>
    internal void Run(Action action) => _thread.Run(action);

    public void Dispose() => _thread.Dispose();

    private static bool TryStayOn(int processor)
    {
        const int MaskWords = 16;
        ulong* mask = stackalloc ulong[MaskWords];
        new Span<ulong>(mask, MaskWords).Clear();
        mask[processor / 64] = 1UL << processor % 64;
        return SetAffinity(0, MaskWords * sizeof(ulong), mask) == 0 && Platform.Current.CurrentProcessor() == processor;
    }

    [LibraryImport("libc", EntryPoint = "sched_setaffinity")]
    private static partial int SetAffinity(int thread, nuint bytes, ulong* mask);
}
