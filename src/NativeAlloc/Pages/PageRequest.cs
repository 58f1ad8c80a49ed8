namespace NativeAlloc.Pages;

/// <summary>What memory a zone is of (<c>enum zone_type</c>).</summary>
internal enum ZoneKind : byte
{
    /// <summary>Pages of the linear region that are locked into memory while they are taken.</summary>
    Dma = 0,

    /// <summary>Pages of the linear region.</summary>
    Normal = 1,

    /// <summary>Pages without an address.</summary>
    High = 2,
}

/// <summary>
/// What somebody wants from the page layer: <see cref="Count"/> pages side by side, at a multiple of
/// 2^<see cref="Order"/>.
/// </summary>
/// <param name="Order">The block's order; what <paramref name="Count"/> does not use of the block goes back at
/// once.</param>
/// <param name="Count">Pages wanted, 1 to 2^order.</param>
internal readonly record struct PageRequest(int Order, uint Count)
{
    /// <summary>In place of a node: the one that the calling thread is on.</summary>
    internal const int LocalNode = -1;

    /// <summary>The state that the head's frame gets.</summary>
    internal PageState State { get; init; } = PageState.Taken;

    internal MigrateType Type { get; init; }

    internal MemoryChoice Choice { get; init; }

    /// <summary>The zone; <see cref="ZoneKind.High"/> accepts <see cref="ZoneKind.Normal"/> too.</summary>
    internal ZoneKind Kind { get; init; } = ZoneKind.Normal;

    /// <summary>The node to begin with.</summary>
    internal int Node { get; init; } = LocalNode;

    /// <summary>That node or none (<c>__GFP_THISNODE</c>).</summary>
    internal bool ThisNode { get; init; }

    /// <summary>From the cold end of the hot list (<c>__GFP_COLD</c>): the caller will not touch it soon.</summary>
    internal bool Cold { get; init; }

    /// <summary>The pages read as zero.</summary>
    internal bool Zeroed { get; init; }

    /// <summary>As many pages as a whole block has.</summary>
    internal static PageRequest Block(int order) => new(order, 1u << order);
}
