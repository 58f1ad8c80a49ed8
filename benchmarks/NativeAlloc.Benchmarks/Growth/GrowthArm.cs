namespace NativeAlloc.Benchmarks.Growth;

/// <summary>One row of the <c>growth</c> tables: a way to do something with so many bytes, measured in a process of its own.</summary>
internal abstract class GrowthArm(string task, string way, nuint bytes)
{
    /// <summary>What it is about; arms of one task and size are compared with each other.</summary>
    public string Task => task;

    public string Way => way;

    public nuint Bytes => bytes;

    /// <summary>Names the arm on a child's command line.</summary>
    public string Name => $"{task}/{bytes}/{way}";

    /// <summary>Measures here and now; this is what the child does.</summary>
    public abstract List<GrowthFigure> Measure();
}
