using System.Diagnostics;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Arms;

/// <summary>One column of a comparison: an allocator together with the way it is called.</summary>
internal abstract class Arm(string name, string description)
{
    public string Name => name;

    public string Description => description;

    /// <summary>Null if the arm can be measured on this machine, else the reason and the remedy.</summary>
    public abstract string? Missing { get; }

    /// <summary>Whether it takes part only where it is named.</summary>
    public bool OnRequest { get; init; }

    /// <summary>Whether the arm can run a workload.</summary>
    public abstract bool Supports(IWorkload workload);

    /// <summary>
    /// The process that measures this arm and prints a <see cref="Measuring.RunResult"/>.
    /// </summary>
    public abstract ProcessStartInfo CreateChild(RunRequest request);
}
