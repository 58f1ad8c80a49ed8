namespace NativeAlloc.Pages;

/// <summary>
/// What can be done about a page that is in the way of a large block (<c>enum migratetype</c>). Pages of one kind are
/// kept together, so that those that nobody can move do not end up scattered over all memory.
/// </summary>
internal enum MigrateType : byte
{
    /// <summary>Somebody holds its address: it stays until it is freed. The default.</summary>
    Unmovable = 0,

    /// <summary>Its owner can drop it on request, when a shrinker is asked.</summary>
    Reclaimable = 1,

    /// <summary>It is reached only through a mapping.</summary>
    Movable = 2,

    /// <summary>
    /// Several pages side by side, of the heap: as unmovable as the first, but in pageblocks of their own. Single
    /// pages, which are most slabs, live longer. Among runs they would cut up what lies between them, so that the next
    /// run needs fresh memory while as much is free in pieces.
    /// </summary>
    Run = 3,
}

/// <summary>The unit in which memory belongs to a migrate type (<c>pageblock_order</c>).</summary>
internal static class Pageblock
{
    /// <summary>
    /// 2^5 pages of 64 KiB are 2 MiB, a huge page of x86-64 and arm64: keeping types apart at this grain is what keeps
    /// whole huge pages free, and anything smaller would be of no more use to them. Linux takes its huge page's order
    /// as well.
    /// </summary>
    internal const int Order = 5;

    internal const uint Pages = 1u << Order;

    /// <summary>Migrate types; a zone has 16 bits for the orders of each.</summary>
    internal const int TypeCount = 4;

    /// <summary>
    /// Where to look when a type has no free block (<c>fallbacks</c> of Linux): the kind that does the least lasting
    /// harm first.
    /// </summary>
    /// <param name="index">0 for the first to look at, up to <see cref="FallbackCount"/>.</param>
    internal static MigrateType FallbackOf(MigrateType type, int index) =>
        (MigrateType)Fallbacks[(int)type * FallbackCount + index];

    internal const int FallbackCount = TypeCount - 1;

    // Bytes, not the enumeration: the runtime has code for spans of bytes, and the first block of a process does not
    // wait for the JIT.
    private static ReadOnlySpan<byte> Fallbacks =>
    [
        (byte)MigrateType.Reclaimable, (byte)MigrateType.Movable, (byte)MigrateType.Run,
        (byte)MigrateType.Unmovable, (byte)MigrateType.Movable, (byte)MigrateType.Run,
        (byte)MigrateType.Reclaimable, (byte)MigrateType.Unmovable, (byte)MigrateType.Run,
        (byte)MigrateType.Unmovable, (byte)MigrateType.Reclaimable, (byte)MigrateType.Movable,
    ];
}
