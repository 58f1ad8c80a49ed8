using NativeAlloc.Benchmarks.Traces;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>The replay of a recorded trace.</summary>
internal sealed class TraceWorkload(string path) : IWorkload
{
    public string Name { get; } = TraceFile.NameOf(path);

    public string Description => $"replays {Path.GetFileName(path)}";

    public string Stage(string folder)
    {
        string file = Path.Combine(folder, Name + ".ops");
        OpFile.Write(file, TraceFile.Load(path));
        return file;
    }

    public IPreparedWorkload Prepare(string? stagedFile, int threads) =>
        new PreparedTrace(OpFile.Map(stagedFile ?? throw new ArgumentNullException(nameof(stagedFile))), threads);
}
