namespace NativeAlloc.TestHost;

/// <summary>What one step of a random sequence of page calls does.</summary>
internal enum PageStepKind
{
    AllocPage,
    AllocPages,
    AllocPagesNode,
    GetFreePage,
    GetFreePages,
    GetZeroedPage,
    GetDmaPages,
    AllocExact,

    /// <summary>Many single pages: over the edges of the threads' lists.</summary>
    AllocMany,

    /// <summary>
    /// By page, by address, by <see cref="PageAllocator.FreeExact"/> or by <see cref="NativeAllocator.Free"/>, as the
    /// pick says.
    /// </summary>
    Free,

    /// <summary>Many blocks, whatever they are.</summary>
    FreeMany,

    /// <summary>To another size; from then on it is a block of the allocator of any size.</summary>
    Realloc,

    /// <summary>A block is given back wrongly, which is refused.</summary>
    FreeWrongly,

    Trim,
    ReleaseThreadCache,

    /// <summary>The thread ends with all it has kept, and another takes its place.</summary>
    EndThread,
}

/// <summary>One step of a random sequence.</summary>
/// <param name="Kind">What is done.</param>
/// <param name="Thread">On which thread.</param>
/// <param name="Pick">To which block, and in which of several ways.</param>
/// <param name="Order">The order, where there is one.</param>
/// <param name="Count">How many pages or blocks, where it is many.</param>
/// <param name="Node">The node, where there is one, modulo their number.</param>
/// <param name="Flags">The flags, where there are any.</param>
internal readonly record struct PageStep(PageStepKind Kind, int Thread, int Pick, int Order, int Count, int Node,
    PageFlags Flags)
{
    internal const int Threads = 3;

    // More frees than there are allocations of a kind, as the rest of the sequence is all frees.
    private static readonly (PageStepKind Kind, int Weight)[] s_weights =
    [
        (PageStepKind.AllocPage, 12), (PageStepKind.AllocPages, 16), (PageStepKind.AllocPagesNode, 10),
        (PageStepKind.GetFreePage, 6), (PageStepKind.GetFreePages, 6),
        (PageStepKind.GetZeroedPage, 6), (PageStepKind.GetDmaPages, 4), (PageStepKind.AllocExact, 12),
        (PageStepKind.AllocMany, 3), (PageStepKind.Free, 55),
        (PageStepKind.FreeMany, 4), (PageStepKind.Realloc, 5), (PageStepKind.FreeWrongly, 5), (PageStepKind.Trim, 2),
        (PageStepKind.ReleaseThreadCache, 2),
        (PageStepKind.EndThread, 2),
    ];

    private static readonly PageFlags[] s_zones =
        [PageFlags.None, PageFlags.None, PageFlags.None, PageFlags.None, PageFlags.Dma, PageFlags.High];
    private static readonly PageFlags[] s_types =
        [PageFlags.None, PageFlags.None, PageFlags.Reclaimable, PageFlags.Movable];
    private static readonly PageFlags[] s_wishes =
        [PageFlags.None, PageFlags.None, PageFlags.None, PageFlags.Zeroed, PageFlags.Cold, PageFlags.ThisNode];

    /// <summary>Makes a random step.</summary>
    internal static PageStep Make(Random random)
    {
        PageStepKind kind = ChooseKind(random);
        // Small orders mostly, and each at times.
        int order = random.Next(30) == 0 ? random.Next(PageAllocator.MaxOrder + 1) : random.Next(1 + random.Next(6));
        PageFlags flags = s_zones[random.Next(s_zones.Length)] | s_types[random.Next(s_types.Length)]
            | s_wishes[random.Next(s_wishes.Length)] | s_wishes[random.Next(s_wishes.Length)];
        int count =
            random.Next(20) == 0 ? 1 + random.Next(1 << PageAllocator.MaxOrder) : 1 + random.Next(1 + random.Next(80));
        return new PageStep(kind, random.Next(Threads), random.Next(), order, count, random.Next(64), flags);
    }

    private static PageStepKind ChooseKind(Random random)
    {
        int dice = random.Next(s_weights.Sum(static entry => entry.Weight));
        foreach ((PageStepKind kind, int weight) in s_weights)
        {
            dice -= weight;
            if (dice < 0) return kind;
        }
        throw new InvalidOperationException("The dice are within the sum of the weights.");
    }
}
