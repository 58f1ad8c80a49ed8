using System.Globalization;
using NativeAlloc.Diagnostics;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;

namespace NativeAlloc;

/// <summary>
/// The state of the allocator as text, in the forms of the Linux kernel's <c>/proc</c> or as JSON. Threads go on
/// meanwhile, so figures need not fit each other exactly.
/// </summary>
public static class AllocatorReport
{
    /// <summary>
    /// Writes the number of free blocks by node, zone and order, from order 0 on (<c>/proc/buddyinfo</c>). A page is 64
    /// KiB.
    /// </summary>
    /// <param name="writer">Where to.</param>
    /// <exception cref="ArgumentNullException">There is no writer.</exception>
    public static void WriteBuddyInfo(TextWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        Startup.Begin();
        foreach (ZoneStatistics zone in ZoneStatistics.ReadAll())
        {
            writer.Write(string.Create(CultureInfo.InvariantCulture, $"Node {zone.Node}, zone {NameOf(zone),8} "));
            for (int order = 0; order <= PageAllocator.MaxOrder; order++) writer.Write(Cell(zone.FreeBlocks(order)));
            writer.WriteLine();
        }
    }

    /// <summary>
    /// Writes the number of free blocks by node, zone, migrate type and order, and of pageblocks by migrate type
    /// (<c>/proc/pagetypeinfo</c>).
    /// </summary>
    /// <param name="writer">Where to.</param>
    /// <exception cref="ArgumentNullException">There is no writer.</exception>
    public static void WritePageTypeInfo(TextWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        Startup.Begin();
        IReadOnlyList<ZoneStatistics> zones = ZoneStatistics.ReadAll();
        writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"Page block order: {Pageblock.Order}"));
        writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"Pages per block:  {Pageblock.Pages}"));
        writer.WriteLine();
        writer.Write($"{"Free pages count per migrate type at order",-43} ");
        for (int order = 0; order <= PageAllocator.MaxOrder; order++) writer.Write(Cell(order));
        writer.WriteLine();
        foreach (ZoneStatistics zone in zones)
        {
            foreach ((PageFlags type, string name) in ZoneStatistics.MigrateTypes)
            {
                writer.Write(string.Create(CultureInfo.InvariantCulture,
                    $"Node {zone.Node,4}, zone {NameOf(zone),8}, type {name,12} "));
                for (int order = 0; order <= PageAllocator.MaxOrder; order++)
                    writer.Write(Cell(zone.FreeBlocks(order, type)));
                writer.WriteLine();
            }
        }
        writer.WriteLine();
        writer.Write($"{"Number of blocks type",-23}");
        foreach ((_, string name) in ZoneStatistics.MigrateTypes) writer.Write($"{name,12} ");
        writer.WriteLine();
        foreach (ZoneStatistics zone in zones)
        {
            writer.Write(string.Create(CultureInfo.InvariantCulture, $"Node {zone.Node}, zone {NameOf(zone),8} "));
            foreach ((PageFlags type, _) in ZoneStatistics.MigrateTypes)
                writer.Write(string.Create(CultureInfo.InvariantCulture, $"{zone.Pageblocks(type),12} "));
            writer.WriteLine();
        }
    }

    /// <summary>
    /// Writes a line for each slab cache, in the columns of <c>/proc/slabinfo</c> 2.1 and some more. Objects in
    /// magazines count as active, as the kernel's do; the limit is the magazine's capacity.
    /// </summary>
    /// <remarks>
    /// The last group, <c>magstat</c>: objects in magazines; how often a thread that needed a full magazine found one
    /// in the depot (hits) and did not (misses); how often objects were taken out of slabs (refills) and put back
    /// (drains). The fast paths count nothing.
    /// </remarks>
    /// <param name="writer">Where to.</param>
    /// <exception cref="ArgumentNullException">There is no writer.</exception>
    public static void WriteSlabInfo(TextWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        Startup.Begin();
        writer.WriteLine("slabinfo - version: 2.1");
        writer.WriteLine(
            "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> " +
            "<batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail> : magstat <cached> " +
            "<hits> <misses> <refills> <drains>");
        foreach ((int index, string name) in CacheChain.All())
        {
            if (CacheReport.ReadOrNull(index) is not { } cache) continue;
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{name,-17} {cache.Active,6} {cache.Objects,6} {cache.ObjectBytes,6} {cache.ObjectsPerSlab,4} " +
                $"{cache.SlabPages,4} : tunables {cache.Capacity,4} {cache.Capacity,4} {cache.DepotLimit,4} : " +
                $"slabdata {cache.ActiveSlabs,6} {cache.Slabs,6} {cache.InDepot,6} : magstat {cache.Cached,6} " +
                $"{cache.Hits,6} {cache.Misses,6} {cache.Refills,6} {cache.Drains,6}"));
        }
    }

    /// <summary>
    /// Writes a line for each area of the vmalloc space, in the form of <c>/proc/vmallocinfo</c>: its addresses with
    /// the guard page behind it, as many bytes, the pages that can be used, the runs that these are made of, and what
    /// it is: <c>vmalloc</c> or <c>vmap</c>, <c>huge</c> where the system may use huge pages, <c>kept</c> where nobody
    /// holds it and its memory waits for the next request.
    /// </summary>
    /// <param name="writer">Where to.</param>
    /// <exception cref="ArgumentNullException">There is no writer.</exception>
    public static unsafe void WriteVmallocInfo(TextWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        Startup.Begin();
        for (uint page = 0; VmallocSpace.TryNext(page, out VmallocArea area); page = area.FirstPage + area.Pages)
        {
            nuint address = VmallocSpace.AddressOf(&area),
                bytes = (nuint)(area.Pages + VmallocArea.GuardPages) << PageGeometry.PageShift;
            string flags = (area.Kind == AreaKind.Map ? " vmap" : " vmalloc") + (area.Huge ? " huge" : "") +
                (area.GetState() switch { AreaState.Kept => " kept", AreaState.Busy => " busy", _ => "" });
            uint runs = Math.Max(1, area.RunCount);
            writer.Write(string.Create(
                CultureInfo.InvariantCulture, $"0x{address:x16}-0x{address + bytes:x16} {bytes,11} "));
            writer.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"pages={area.UsedPages} runs={runs}{flags}"));
        }
    }

    /// <summary>
    /// Writes all figures of <see cref="NativeAllocator.GetStatistics"/> as one JSON object in UTF-8: the
    /// <c>version</c> of the names, each figure under its name, then units and kinds by the same names (<c>units</c>,
    /// <c>kinds</c>), the zones (<c>zones</c>) and the slab caches (<c>caches</c>). docs/statistics.md says what
    /// each means.
    /// </summary>
    /// <param name="stream">Where to; it is flushed and stays open.</param>
    /// <exception cref="ArgumentNullException">There is no stream.</exception>
    public static void WriteJson(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        Startup.Begin();
        JsonReport.Write(stream);
    }

    /// <summary>
    /// Writes all figures of <see cref="NativeAllocator.GetStatistics"/>, of the zones and of the slab caches in the
    /// text format that Prometheus reads: <c>nativealloc_live_bytes</c> and so on, each with its meaning and its type.
    /// Of the caches, the 64 with the most memory are named.
    /// </summary>
    /// <param name="writer">Where to, for the answer to a scrape (<c>text/plain; version=0.0.4</c>).</param>
    /// <exception cref="ArgumentNullException">There is no writer.</exception>
    public static void WritePrometheus(TextWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        Startup.Begin();
        PrometheusReport.Write(writer);
    }

    /// <summary>
    /// Writes one HTML page that needs nothing else: a map of the heap page by page, free blocks by order, areas, the
    /// caches with the most memory, and, if the profiler ran, the stacks that hold the most. A cell of the map is one
    /// page, or several of a heap beyond 16 GiB.
    /// </summary>
    /// <param name="writer">Where to, for a browser.</param>
    /// <exception cref="ArgumentNullException">There is no writer.</exception>
    public static void WriteHeapMap(TextWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        Startup.Begin();
        HtmlReport.Write(writer);
    }

    /// <summary>
    /// Writes the page of <see cref="WriteHeapMap"/> with all figures and the other reports of this class below, and
    /// how resident, live and cached bytes changed in the last minutes. That is kept from the first such report of the
    /// process on, so it is in the second.
    /// </summary>
    /// <param name="writer">Where to, for a browser.</param>
    /// <exception cref="ArgumentNullException">There is no writer.</exception>
    public static void WriteHtmlReport(TextWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        Startup.Begin();
        History.Begin();
        List<(string Name, Action<TextWriter> Write)> texts =
        [
            ("slabinfo", WriteSlabInfo), ("buddyinfo", WriteBuddyInfo), ("pagetypeinfo", WritePageTypeInfo),
            ("vmallocinfo", WriteVmallocInfo),
        ];
        if (Options.NativeHeap && NativeHeapReport.IsSupported) texts.Add(("native heap", NativeHeapReport.Write));
        HtmlReport.Write(writer, [.. texts]);
    }

    private static string Cell(long count) => string.Create(CultureInfo.InvariantCulture, $"{count,6} ");

    private static string NameOf(ZoneStatistics zone) =>
        zone.Zone switch { PageZone.Dma => "DMA", PageZone.High => "HighMem", _ => "Normal" };
}
