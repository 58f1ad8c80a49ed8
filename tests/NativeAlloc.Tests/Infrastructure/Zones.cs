namespace NativeAlloc.Tests.Infrastructure;

/// <summary>The zones' figures in the shapes that tests compare.</summary>
internal static class Zones
{
    /// <summary>The figures of a zone of the first node, which has had pages.</summary>
    internal static ZoneStatistics Read(PageZone zone = PageZone.Normal) =>
        Find(zone) ?? throw new InvalidOperationException($"The zone {zone} has no pages yet.");

    /// <summary>The figures of a zone of the first node; null as long as it has no pages.</summary>
    internal static ZoneStatistics? Find(PageZone zone) =>
        NativeAllocator.GetStatistics().Zones.SingleOrDefault(each => each.Node == 0 && each.Zone == zone);

    /// <summary>Free blocks of a zone by order, whatever their type.</summary>
    internal static long[] FreeBlocks(PageZone zone = PageZone.Normal)
    {
        ZoneStatistics figures = Read(zone);
        return [.. Enumerable.Range(0, PageAllocator.MaxOrder + 1).Select(figures.FreeBlocks)];
    }

    /// <summary>Pages of all zones that nobody holds: free ones, and those in threads' hot lists.</summary>
    internal static nuint UnusedBytes()
    {
        AllocatorStatistics figures = NativeAllocator.GetStatistics();
        return figures.FreePageBytes + figures.CachedBytes + figures.SlabFreeBytes;
    }

    /// <summary>
    /// Sees to it that a zone has a free block of the largest order, and that no thread that has ended and nobody here
    /// holds single pages back: what is taken next comes from the zone's lists, and of memory that was never used.
    /// </summary>
    internal static unsafe void Prepare(PageZone zone = PageZone.Normal)
    {
        PageFlags flags =
            zone switch { PageZone.Dma => PageFlags.Dma, PageZone.High => PageFlags.High, _ => PageFlags.None };
        // For DMA pages of the smallest order: all of a section would be locked into memory.
        int order = zone == PageZone.Dma ? 0 : PageAllocator.MaxOrder;
        PageAllocator.FreePages(PageAllocator.AllocPages(order, flags), order);
        Rest.GiveBack(); // not a trim, which makes whole free sections inaccessible
    }
}
