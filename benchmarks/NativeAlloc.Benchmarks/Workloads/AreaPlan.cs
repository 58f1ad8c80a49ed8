using NativeAlloc.Benchmarks.Heaps;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>What a thread does with its areas in a pass.</summary>
internal enum AreaPhase
{
    /// <summary>
    /// Allocates one area after the other, touches it, and frees the oldest when so many live as may.
    /// </summary>
    Cycle,

    /// <summary>
    /// Allocates all areas and touches them. Freeing them, and having the allocator give them back, is not timed.
    /// </summary>
    First,

    /// <summary>Allocates one area, which then grows in steps, touches what is new after each, and frees it.</summary>
    Grow,
}

/// <summary>The areas of one thread in one pass.</summary>
/// <param name="Phase">What it does with them.</param>
/// <param name="Sizes">In bytes, in the order of the calls; in <see cref="AreaPhase.Grow"/> the sizes of the one
/// area.</param>
/// <param name="Live">How many areas live at a time.</param>
internal sealed record AreaPlan(AreaPhase Phase, nuint[] Sizes, int Live)
{
    /// <summary>The kernel's page: a byte in each makes an area resident.</summary>
    public const uint SystemPageBytes = 4096;

    /// <summary>Timed calls.</summary>
    public long Operations => Phase switch
    {
        AreaPhase.Cycle => 2L * Sizes.Length,
        AreaPhase.First => Sizes.Length,
        _ => Sizes.Length + 1,
    };

    /// <summary>Bytes that become part of an area, and are touched, in a pass.</summary>
    public long TouchedBytes => Phase == AreaPhase.Grow ? (long)Sizes[^1] : Sizes.Sum(size => (long)size);

    /// <summary>The most that lives at a time.</summary>
    public long PeakBytes => Phase == AreaPhase.Grow
        ? (long)Sizes[^1]
        : Enumerable.Range(0, Sizes.Length)
            .Max(last => Sizes[Math.Max(0, last - Live + 1)..(last + 1)].Sum(size => (long)size));

    /// <summary>
    /// Sizes whose exponent is equally distributed: as many between 1 and 2 MiB as between 128 and 256.
    /// </summary>
    public static nuint[] DrawSizes(Dice dice, int count, nuint min, nuint max)
    {
        double exponents = Math.Log2((double)max / min);
        nuint[] sizes = new nuint[count];
        foreach (ref nuint size in sizes.AsSpan())
            size = (nuint)(min * Math.Pow(2, dice.Fraction() * exponents)) & ~(nuint)(SystemPageBytes - 1);
        return sizes;
    }

    /// <summary>From the least on, each twice the one before, up to the most.</summary>
    public static nuint[] Doublings(nuint min, nuint max)
    {
        List<nuint> sizes = [];
        for (nuint size = min; size <= max; size *= 2)
            sizes.Add(size);
        return [.. sizes];
    }
}
