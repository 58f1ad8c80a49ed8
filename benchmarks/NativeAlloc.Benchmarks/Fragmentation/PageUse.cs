namespace NativeAlloc.Benchmarks.Fragmentation;

/// <summary>Pages that a program uses in one way.</summary>
/// <param name="Name">What they are called in results.</param>
/// <param name="Flag">The migrate type that fits them.</param>
/// <param name="SharePercent">Their share of all pages that are allocated at a time.</param>
/// <param name="StepPercent">Their share of the steps: the smaller in relation to their pages, the longer they
/// live.</param>
/// <param name="OrderWeights">How often blocks of each order are asked for, from order 0 on, in relation to each
/// other.</param>
internal sealed record PageUse(string Name, PageFlags Flag, int SharePercent, int StepPercent, int[] OrderWeights)
{
    /// <summary>
    /// The mix of a server: half of its memory are buffers, a quarter is a cache, a quarter slabs.
    /// <list type="bullet">
    /// <item>Slabs hold objects by raw pointers and go only when the last object in them does, so they live long. Most
    /// are one page; those of larger objects have up to eight.</item>
    /// <item>The cache holds what could be had again at some cost, in small blocks, and evicts at random when it is
    /// full. Under pressure it gives up everything.</item>
    /// <item>Buffers are reached by a mapping only, so they could be moved. They come and go with requests, nine steps
    /// of ten are theirs, and there are as many bytes in small ones as in large ones: each order is half as frequent as
    /// the one below.</item>
    /// </list>
    /// </summary>
    public static IReadOnlyList<PageUse> ServerMix { get; } =
    [
        new("unmovable", PageFlags.None, SharePercent: 25, StepPercent: 2, OrderWeights: [85, 8, 5, 2]),
        new("reclaimable", PageFlags.Reclaimable, SharePercent: 25, StepPercent: 8, OrderWeights: [70, 20, 10]),
        new("movable", PageFlags.Movable, SharePercent: 50, StepPercent: 90, OrderWeights: [32, 16, 8, 4, 2, 1]),
    ];

    /// <summary>Draws an order by the weights.</summary>
    public int NextOrder(Random random)
    {
        int at = random.Next(OrderWeights.Sum());
        int order = 0;
        while (at >= OrderWeights[order])
            at -= OrderWeights[order++];
        return order;
    }
}
