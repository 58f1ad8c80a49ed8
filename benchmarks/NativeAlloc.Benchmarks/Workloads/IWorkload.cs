namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// Something that allocators are compared on. A new one is a class of its own and a line in the registry.
/// </summary>
internal interface IWorkload
{
    string Name { get; }

    string Description { get; }

    /// <summary>Whether it asks for whole pages and nothing else.</summary>
    bool WholePages => false;

    /// <summary>Whether it asks for large blocks and nothing else.</summary>
    bool LargeBlocks => false;

    /// <summary>Whether its blocks may be managed arrays.</summary>
    bool Arrays => false;

    /// <summary>What the process that measures it may have resident, if there is to be a limit.</summary>
    long? MemoryLimitBytes => null;

    /// <summary>
    /// What of this machine its results depend on, in a line that goes with them; null if nothing in particular.
    /// </summary>
    string? Conditions => null;

    /// <summary>
    /// Does, in the runner, what needs doing only once, and returns the file with the outcome that every child gets;
    /// null if there is nothing to prepare. A staged file has the format of <see cref="Traces.OpFile"/>.
    /// </summary>
    /// <exception cref="InvalidDataException">The workload's input is damaged.</exception>
    string? Stage(string folder);

    /// <summary>Makes the workload ready to run, in a child.</summary>
    /// <param name="stagedFile">What <see cref="Stage"/> returned.</param>
    /// <param name="threads">How many threads it is to run on.</param>
    IPreparedWorkload Prepare(string? stagedFile, int threads);
}
