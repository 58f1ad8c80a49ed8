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

/// <summary>
/// One number of the statistics: what it is called everywhere, what it counts, what it means, and how it is read from a
/// snapshot.
/// </summary>
internal sealed record Figure<T>(string Name, FigureUnit Unit, string Meaning, Func<T, long> Read);
