using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.TestHost;

/// <summary>A thread that stays on the processors of one node and does what it is told.</summary>
internal sealed unsafe partial class NodeThread : IDisposable
{
    private readonly BlockingCollection<Action> _work = [];
    private readonly SemaphoreSlim _done = new(0);
    private readonly Thread _thread;
    private Exception? _error;

    private NodeThread(int processor)
    {
        Processor = processor;
        _thread = new Thread(Loop) { IsBackground = true };
        _thread.Start();
    }

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

    /// <summary>Runs an action on this thread and waits for its end; what it throws is thrown here.</summary>
    internal void Run(Action action)
    {
        _work.Add(action);
        _done.Wait();
        Exception? error = _error;
        _error = null;
        if (error != null) ExceptionDispatchInfo.Throw(error);
    }

    /// <summary>Ends the thread and waits until it has.</summary>
    public void Dispose()
    {
        _work.CompleteAdding();
        _thread.Join();
        _work.Dispose();
        _done.Dispose();
    }

    private static bool TryStayOn(int processor)
    {
        const int MaskWords = 16;
        ulong* mask = stackalloc ulong[MaskWords];
        new Span<ulong>(mask, MaskWords).Clear();
        mask[processor / 64] = 1UL << processor % 64;
        return SetAffinity(0, MaskWords * sizeof(ulong), mask) == 0 && LinuxMemory.CurrentProcessor() == processor;
    }

    private void Loop()
    {
        foreach (Action action in _work.GetConsumingEnumerable())
        {
            try
            {
                action();
            }
            catch (Exception error)
            {
                _error = error;
            }
            _done.Release();
        }
    }

    [LibraryImport("libc", EntryPoint = "sched_setaffinity")] private static partial int SetAffinity(int thread, nuint bytes, ulong* mask);
}
