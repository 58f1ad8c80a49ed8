namespace NativeAlloc.Benchmarks.Fragmentation;

/// <summary>
/// How many free blocks of each order the page allocator has, all zones together (the kernel's <c>/proc/buddyinfo</c>).
/// </summary>
/// <param name="Blocks">Blocks by order.</param>
internal sealed record FreeBlockCounts(long[] Blocks)
{
    /// <summary>Blocks of this order, 2 MiB, are kept together for pages of one migrate type.</summary>
    public const int PageblockOrder = 5;

    /// <summary>The largest order there is a free block of, or -1.</summary>
    public int LargestOrder => Array.FindLastIndex(Blocks, blocks => blocks > 0);

    /// <summary>All free pages in blocks; those that threads keep in their hot lists are not among them.</summary>
    public long Pages => PagesFrom(0);

    public static FreeBlockCounts Read()
    {
        IReadOnlyList<ZoneStatistics> zones = NativeAllocator.GetStatistics().Zones;
        long[] blocks = new long[PageAllocator.MaxOrder + 1];
        for (int order = 0; order < blocks.Length; order++)
            blocks[order] = zones.Sum(zone => zone.FreeBlocks(order));
        return new FreeBlockCounts(blocks);
    }

    /// <summary>Free blocks of an order and all above it.</summary>
    public long From(int order) => Blocks.Skip(order).Sum();

    /// <summary>Pages in free blocks of an order and all above it.</summary>
    public long PagesFrom(int order) => Blocks.Select((blocks, of) => of < order ? 0 : blocks << of).Sum();
}
