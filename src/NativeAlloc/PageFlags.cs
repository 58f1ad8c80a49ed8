using System.Diagnostics.CodeAnalysis;

namespace NativeAlloc;

/// <summary>
/// What a caller of <see cref="PageAllocator"/> wants (Linux' <c>gfp_t</c>). Without <see cref="Reclaimable"/> or
/// <see cref="Movable"/> pages are unmovable.
/// </summary>
[Flags]
[SuppressMessage("Naming", "CA1711",
    Justification = "The public surface's name, as in the kernel's page-flags and gfp flags.")]
public enum PageFlags
{
    /// <summary>Unmovable pages with an address, whatever they hold.</summary>
    None = 0,

    /// <summary>
    /// The pages read as zero (<c>__GFP_ZERO</c>). Those that are known to be so are not cleared again.
    /// </summary>
    Zeroed = 1,

    /// <summary>
    /// The pages stay in memory while they are held (<c>GFP_DMA</c>): they are locked, and never paged out.
    /// </summary>
    Dma = 2,

    /// <summary>
    /// The pages need no address (<c>__GFP_HIGHMEM</c>): they may be <see cref="PageZone.High"/> pages, or
    /// <see cref="PageZone.Normal"/> ones where there are none.
    /// </summary>
    High = 4,

    /// <summary>
    /// The page need not be in the processor's cache (<c>__GFP_COLD</c>): it comes from the cold end of the thread's
    /// list, and goes back there. Single pages only, a hint.
    /// </summary>
    Cold = 8,

    /// <summary>
    /// The caller can drop the pages on request (<c>__GFP_RECLAIMABLE</c>), by
    /// <see cref="PageAllocator.RegisterShrinker"/>.
    /// </summary>
    Reclaimable = 16,

    /// <summary>The pages are reached only through a mapping (<c>__GFP_MOVABLE</c>).</summary>
    Movable = 32,

    /// <summary>From the node asked for, or not at all (<c>__GFP_THISNODE</c>).</summary>
    ThisNode = 64,
}

/// <summary>The kinds of memory of a node (<c>enum zone_type</c>).</summary>
public enum PageZone
{
    /// <summary>Pages that are locked into memory while they are held.</summary>
    Dma = 0,

    /// <summary>Pages of the linear region, each at an address of its own.</summary>
    Normal = 1,

    /// <summary>Pages without an address, reached only through a mapping.</summary>
    High = 2,
}
