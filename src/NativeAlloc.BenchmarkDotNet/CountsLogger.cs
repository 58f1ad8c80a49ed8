using BenchmarkDotNet.Loggers;

namespace NativeAlloc.BenchmarkDotNet;

/// <summary>
/// Reads the line with the counts out of what BenchmarkDotNet logs. A diagnoser gets signals of the benchmark's process
/// and not its output, and a logger gets all of that in order, in-process or not.
/// </summary>
internal sealed class CountsLogger : ILogger
{
    internal static readonly CountsLogger Instance = new();

    private readonly Lock _lock = new();

    private string? _line;

    public string Id => nameof(NativeAlloc);

    public int Priority => 0;

    public void Write(LogKind logKind, string text)
    {
        // The line is written as one.
    }

    public void WriteLine()
    {
        // Likewise.
    }

    public void WriteLine(LogKind logKind, string text)
    {
        if (!OperationCounts.TryParse(text, out _, out _)) return;
        lock (_lock) _line = text;
    }

    public void Flush()
    {
        // Nothing is kept back.
    }

    /// <summary>The last line with counts since the last call; null for none.</summary>
    internal string? ReadAndReset()
    {
        lock (_lock)
        {
            string? line = _line;
            _line = null;
            return line;
        }
    }
}
