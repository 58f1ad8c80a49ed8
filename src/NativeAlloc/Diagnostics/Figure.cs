namespace NativeAlloc.Diagnostics;

/// <summary>What the number of a figure counts.</summary>
internal enum FigureUnit
{
    Bytes,

    /// <summary>Pages of 64 KiB.</summary>
    Pages,

    /// <summary>Things or events, which the meaning names.</summary>
    Count,
}

/// <summary>How the number of a figure moves.</summary>
internal enum FigureKind
{
    /// <summary>How much there is at the moment: it goes up and down.</summary>
    Gauge,

    /// <summary>How much there was so far: it goes up only, but for a counter that wraps.</summary>
    Counter,
}

/// <summary>
/// One number of the statistics: what it is called everywhere, what it counts, what it means, how it moves, and how it
/// is read from a snapshot.
/// </summary>
internal sealed record Figure<T>(
    string Name, FigureUnit Unit, string Meaning, Func<T, long> Read, FigureKind Kind = FigureKind.Gauge);
