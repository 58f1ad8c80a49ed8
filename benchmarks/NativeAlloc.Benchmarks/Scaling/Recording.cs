using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Scaling;

/// <summary>
/// The calls of one pass of a workload, by the threads that made them. Threads that follow each other are one stream,
/// so that there are as many as cores were asked for.
/// </summary>
internal sealed class Recording
{
    /// <summary>Threads of a workload that is recorded.</summary>
    internal const int Threads = 8;

    private Recording(RecordedCall[][] streams, int blocks)
    {
        Streams = streams;
        Blocks = blocks;
    }

    internal RecordedCall[][] Streams { get; }

    /// <summary>How many blocks were allocated.</summary>
    internal int Blocks { get; }

    internal static Recording Of(HeapWorkload workload)
    {
        using ThreadTeam team = new(workload.TeamSize(Threads));
        HeapRun run = workload.Bind<RecordingHeap, nint>(Threads, team);
        RecordingHeap.Reset();
        run.Pass();
        Dictionary<int, int> streamOf = [];
        List<RecordedCall>[] streams = [.. Enumerable.Range(0, Threads).Select(_ => new List<RecordedCall>())];
        int blocks = 0;
        foreach ((int thread, RecordedCall call) in RecordingHeap.Calls)
        {
            if (!streamOf.TryGetValue(thread, out int stream))
                streamOf[thread] = stream = streamOf.Count % Threads;
            streams[stream].Add(call);
            blocks = Math.Max(blocks, call.Block + 1);
        }

        RecordingHeap.Reset();
        return new Recording([.. streams.Select(stream => stream.ToArray())], blocks);
    }
}
