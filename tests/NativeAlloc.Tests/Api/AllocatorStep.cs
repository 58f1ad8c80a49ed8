using NativeAlloc.Tests.Infrastructure;

namespace NativeAlloc.Tests.Api;

/// <summary>What one step of a random sequence does.</summary>
internal enum StepKind
{
    Alloc,
    AllocZeroed,
    AlignedAlloc,
    TryAlloc,
    Realloc,
    AlignedRealloc,
    Free,

    /// <summary>Many blocks of one size: over the edges of magazines, depots and slabs.</summary>
    AllocMany,

    /// <summary>Many blocks, whatever they are.</summary>
    FreeMany,

    Trim,
    ReleaseThreadCache,

    /// <summary>The thread ends with all it has cached, and another takes its place.</summary>
    EndThread,
}

/// <summary>One step of a random sequence.</summary>
/// <param name="Kind">What is done.</param>
/// <param name="Thread">On which thread.</param>
/// <param name="Pick">To which block, where it is done to one: its place among the live ones, modulo their
/// number.</param>
/// <param name="Count">How many blocks, where it is many.</param>
/// <param name="Bytes">The size, where there is one.</param>
/// <param name="Alignment">The alignment, where there is one.</param>
internal readonly record struct AllocatorStep(StepKind Kind, int Thread, int Pick, int Count, nuint Bytes,
    nuint Alignment)
{
    internal const int Threads = 3;

    // More frees than allocations of a kind, as the rest of the sequence is all frees.
    private static readonly (StepKind Kind, int Weight)[] s_weights =
    [
        (StepKind.Alloc, 20), (StepKind.AllocZeroed, 12), (StepKind.AlignedAlloc, 12), (StepKind.TryAlloc, 6),
        (StepKind.Realloc, 16),
        (StepKind.AlignedRealloc, 8), (StepKind.Free, 40), (StepKind.AllocMany, 4), (StepKind.FreeMany, 5),
        (StepKind.Trim, 1),
        (StepKind.ReleaseThreadCache, 2), (StepKind.EndThread, 2),
    ];

    // Each range with how often in a thousand; the size is chosen by its logarithm.
    private static readonly (nuint Smallest, nuint Largest, int Weight)[] s_ranges =
    [
        (1, 1024, 550), (1024, Sizes.LargestMagazine, 200), (Sizes.LargestMagazine, Sizes.LargestSlab, 130),
        (Sizes.LargestSlab, 8 * Sizes.MiB, 90),
        (8 * Sizes.MiB, Sizes.LargestPages, 22), (Sizes.LargestPages, 100 * Sizes.MiB, 8),
    ];

    /// <summary>Makes a random step.</summary>
    internal static AllocatorStep Make(Random random)
    {
        StepKind kind = Choose(random, s_weights, static entry => entry.Weight).Kind;
        nuint bytes = kind == StepKind.AllocMany ? (nuint)random.Next(3000) : RandomSize(random);
        nuint alignment = (nuint)1 << (random.Next(8) == 0 ? random.Next(28) : random.Next(13));
        return new AllocatorStep(kind, random.Next(Threads), random.Next(), 1 + random.Next(1500), bytes, alignment);
    }

    private static nuint RandomSize(Random random)
    {
        if (random.Next(8) == 0)
        {
            // On an edge between two classes or layers, mostly one of the smaller ones.
            int last = Sizes.AcrossLayers.Length - (random.Next(20) == 0 ? 0 : 6);
            return Sizes.AcrossLayers[random.Next(last)];
        }
        (nuint smallest, nuint largest, _) = Choose(random, s_ranges, static entry => entry.Weight);
        double log =
            Math.Log((double)smallest) + random.NextDouble() * (Math.Log((double)largest) - Math.Log((double)smallest));
        return Math.Clamp((nuint)Math.Exp(log), smallest, largest);
    }

    private static T Choose<T>(Random random, T[] entries, Func<T, int> weight)
    {
        int dice = random.Next(entries.Sum(weight));
        foreach (T entry in entries)
        {
            dice -= weight(entry);
            if (dice < 0) return entry;
        }
        throw new InvalidOperationException("The dice are within the sum of the weights.");
    }
}
