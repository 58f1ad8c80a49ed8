using System.Globalization;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.TestHost;

/// <summary>
/// A machine that is cut into several nodes, which the process is told of before it starts: pages come from the node
/// asked for, from the nearest where that has none, and go back to where they came from; and to everybody else it is
/// one machine as ever.
/// </summary>
internal static unsafe class FakeNodes
{
    internal const string Name = "fake-nodes";

    /// <summary>In place of a number of nodes: only say what was wrong with the setting.</summary>
    internal const string ShowError = "show-error";

    private const nuint PageBytes = PageAllocator.PageSize;
    private const int TopOrder = PageAllocator.MaxOrder;

    private static readonly (PageFlags Flags, PageZone Zone)[] s_zones =
        [(PageFlags.Dma, PageZone.Dma), (PageFlags.None, PageZone.Normal), (PageFlags.High, PageZone.High)];

    private static readonly string[] s_names = ["DMA", "Normal", "HighMem"];

    /// <summary>
    /// Arguments: the nodes there should be; a second one sets the number in the program, which counts for more than
    /// the environment. Prints how many nodes threads ran on.
    /// </summary>
    internal static int Run(string[] args)
    {
        if (args.Length > 1) AppContext.SetData("NativeAlloc.FakeNodes", args[1]);
        if (args[0] == ShowError) return Show();
        int count = int.Parse(args[0], CultureInfo.InvariantCulture);
        Require(NodeTopology.Current.Count == count && PageLayer.NodeCount == count,
            $"there are {PageLayer.NodeCount} nodes");
        if (args.Length > 1) return 0;

        EveryNodeHasItsZones(count);
        OnlyTheNodeAskedForOrNone(count);
        NodeThread[] threads = NodeThread.ForEachNode();
        foreach (NodeThread thread in threads) PagesComeFromTheThreadsNode(thread);
        for (int i = 1; i < threads.Length; i++) SinglesGoBackToTheirZone(threads[i - 1], threads[i]);
        AllocatorOfAnySize(threads);
        for (int seed = 0; seed < 4; seed++) RandomSteps(threads, new Random(seed));
        foreach (NodeThread thread in threads) thread.Dispose();
        AllSectionsAreWhole(count);
        Console.WriteLine(threads.Length.ToString(CultureInfo.InvariantCulture));
        return 0;
    }

    private static int Show()
    {
        try
        {
            NativeAllocator.Free(NativeAllocator.Alloc(100));
        }
        catch (Exception error)
        {
            Exception cause = error;
            while (cause.InnerException != null) cause = cause.InnerException;
            Console.WriteLine($"{cause.GetType().Name}: {cause.Message}");
        }
        return 0;
    }

    private static void EveryNodeHasItsZones(int count)
    {
        for (int node = 0; node < count; node++)
        {
            foreach ((PageFlags flags, PageZone zone) in s_zones)
            {
                foreach (int order in new[] { 0, 1, 4 })
                {
                    Page page = PageAllocator.AllocPagesNode(node, order, flags | PageFlags.ThisNode);
                    Require(page.Node == node && page.Zone == zone, $"{page} is not of node {node}, {zone}");
                    ZoneStatistics figures = Read(node, zone);
                    Require(figures.FreePages == figures.OnlinePages - (1 << order),
                        $"{zone} of node {node} has {figures.FreePages} free pages with a block of order {order} " +
                        "taken");
                    PageAllocator.FreePages(page, order);
                    NativeAllocator.Trim(); // a single page may be in the thread's list
                }
            }
        }
        foreach (Action<TextWriter> write in new Action<TextWriter>[] { AllocatorReport.WriteBuddyInfo,
            AllocatorReport.WritePageTypeInfo })
        {
            StringWriter text = new(CultureInfo.InvariantCulture);
            write(text);
            string[] lines = text.ToString().Split('\n');
            for (int node = 0; node < count; node++)
            {
                foreach (string zone in s_names)
                    Require(Array.Exists(lines, line => line.StartsWith($"Node {node}, zone {zone,8} ",
                        StringComparison.Ordinal)), $"the report has no line for {zone} of node {node}:\n{text}");
            }
        }
        Require(NativeAllocator.GetStatistics().Zones.Count == count * s_names.Length,
            "there is not a zone of each kind on each node");
    }

    private static void OnlyTheNodeAskedForOrNone(int count)
    {
        for (int node = 0; node < count; node++)
        {
            // Nothing of the largest order is left on the node, but on the others there is.
            List<Page> held = [];
            int nearest = NodeTopology.Current.NearestTo(node)[1];
            for (int other = 0; other < count; other++)
                PageAllocator.FreePages(PageAllocator.AllocPagesNode(other, TopOrder, PageFlags.ThisNode), TopOrder);
            OsFaults.Fails = static call => call == OsCall.Commit;
            for (long free = Read(node).FreeBlocks(TopOrder); free > 0; free--)
                held.Add(PageAllocator.AllocPagesNode(node, TopOrder, PageFlags.ThisNode));
            (ZoneStatistics own, ZoneStatistics near) = (Read(node), Read(nearest));
            string? told = null;
            try
            {
                PageAllocator.AllocPagesNode(node, TopOrder, PageFlags.ThisNode);
            }
            catch (OutOfMemoryException error)
            {
                told = error.Message;
            }
            Require(told != null && told.Contains($"from node {node},", StringComparison.Ordinal),
                $"what is said of node {node}, which has nothing left, is: {told}");
            (ZoneStatistics ownNow, ZoneStatistics nearNow) = (Read(node), Read(nearest));
            Require((ownNow.Hits, ownNow.Misses, ownNow.Foreign) == (own.Hits, own.Misses, own.Foreign)
                && nearNow.Misses == near.Misses, "a request that failed was counted as served");

            Page page = PageAllocator.AllocPagesNode(node, TopOrder);
            Require(page.Node == nearest, $"{page} is not of node {nearest}, which is the nearest to {node}");
            (ownNow, nearNow) = (Read(node), Read(nearest));
            Require((ownNow.Hits, ownNow.Misses, ownNow.Foreign) == (own.Hits, own.Misses, own.Foreign + 1),
                $"node {node}, whose request another served, counts it wrongly");
            Require((nearNow.Hits, nearNow.Misses, nearNow.Foreign) == (near.Hits, near.Misses + 1, near.Foreign),
                $"node {nearest}, which served the request of another, counts it wrongly");
            OsFaults.Fails = null;

            PageAllocator.FreePages(page, TopOrder);
            foreach (Page each in held) PageAllocator.FreePages(each, TopOrder);
            own = Read(node);
            PageAllocator.FreePages(PageAllocator.AllocPagesNode(node, TopOrder), TopOrder);
            ownNow = Read(node);
            Require((ownNow.Hits, ownNow.Misses, ownNow.Foreign) == (own.Hits + 1, own.Misses, own.Foreign),
                $"node {node} counts a request that it served itself wrongly");
        }
    }

    private static void PagesComeFromTheThreadsNode(NodeThread thread) => thread.Run(() =>
    {
        List<(Page Page, int Order)> held = [];
        for (int i = 0; i < 300; i++)
        {
            int order = i % 4;
            held.Add((order == 0 ? PageAllocator.AllocPage() : PageAllocator.AllocPages(order), order));
            Require(held[^1].Page.Node == thread.Node,
                $"{held[^1].Page} is not of node {thread.Node}, which the thread is on");
        }
        foreach ((Page page, int order) in held) PageAllocator.FreePages(page, order);
        // With that the thread's list is full of its own node's; a page of another is not served from there.
        for (int node = 0; node < PageLayer.NodeCount; node++)
        {
            Page page = PageAllocator.AllocPagesNode(node, 0, PageFlags.ThisNode);
            Require(page.Node == node, $"{page} is not of node {node}");
            PageAllocator.FreePage(page);
        }
        NativeAllocator.ReleaseThreadCache();
        // What only one node may serve and none has is said of the thread's own.
        OsFaults.Fails = static call => call == OsCall.Commit;
        List<Page> all = [];
        string? told = null;
        while (told == null)
        {
            try
            {
                all.Add(PageAllocator.AllocPages(TopOrder, PageFlags.ThisNode));
            }
            catch (OutOfMemoryException error)
            {
                told = error.Message;
            }
        }
        OsFaults.Fails = null;
        Require(told.Contains($"from node {thread.Node},", StringComparison.Ordinal),
            $"what is said on a thread of node {thread.Node} is: {told}");
        foreach (Page page in all) PageAllocator.FreePages(page, TopOrder);
    });

    private static void SinglesGoBackToTheirZone(NodeThread taker, NodeThread giver)
    {
        const int Count = 200; // more than a list holds
        NativeAllocator.Trim();
        long[] before = FreePages();
        List<Page> pages = [];
        taker.Run(() =>
        {
            for (int i = 0; i < Count; i++)
            {
                pages.Add(PageAllocator.AllocPage());
                Pattern.Fill(pages[i].Address, PageBytes, (ulong)i);
            }
        });
        Require(pages.TrueForAll(page => page.Node == taker.Node), "a page is not of the node that it was taken on");
        giver.Run(() =>
        {
            for (int i = 0; i < Count; i++)
            {
                Pattern.Check(pages[i].Address, PageBytes, (ulong)i);
                PageAllocator.FreePage(pages[i]);
            }
            // None of them is given out as one of this node's.
            List<Page> own = [.. Enumerable.Range(0, Count).Select(_ => PageAllocator.AllocPage())];
            Require(own.TrueForAll(page => page.Node == giver.Node),
                "a page of another node came out of the thread's list");
            foreach (Page page in own) PageAllocator.FreePage(page);
            NativeAllocator.ReleaseThreadCache();
        });
        taker.Run(NativeAllocator.ReleaseThreadCache);
        NativeAllocator.Trim();
        long[] after = FreePages();
        for (int node = 0; node < after.Length; node++)
            Require(after[node] == before[node],
                $"node {node} had {before[node]} free pages and has {after[node]} after single pages were freed on " +
                "another node");
    }

    private static void AllocatorOfAnySize(NodeThread[] threads)
    {
        List<(nint Address, nuint Bytes)> blocks = [];
        for (int round = 0; round < 300; round++)
        {
            foreach (NodeThread thread in threads)
            {
                thread.Run(() =>
                {
                    nuint bytes = (nuint)(round * round % 90_001 * (round % 10 == 0 ? 20 : 1));
                    void* block = NativeAllocator.Alloc(bytes);
                    Require(NativeAllocator.Owns(block) && NativeAllocator.UsableSize(block) >= bytes,
                        $"a block of {bytes} bytes is not what it should be");
                    Pattern.Fill(block, bytes, (ulong)blocks.Count);
                    blocks.Add(((nint)block, bytes));
                });
            }
        }
        for (int i = 0; i < blocks.Count; i++)
        {
            (nint address, nuint bytes) = blocks[i];
            ulong id = (ulong)i;
            threads[(i + i / 7) % threads.Length].Run(() =>
            {
                Pattern.Check((void*)address, bytes, id);
                NativeAllocator.Free((void*)address);
            });
        }
        NativeAllocator.Verify();
    }

    private static void RandomSteps(NodeThread[] threads, Random random)
    {
        const int Steps = 500, StepsBetweenChecks = 25;
        PageModel model = new();
        for (int i = 0; i < Steps; i++)
        {
            PageStep step = PageStep.Make(random);
            if (step.Kind == PageStepKind.EndThread) continue;
            threads[step.Thread % threads.Length].Run(() => model.Do(step));
            if (i % StepsBetweenChecks != 0) continue;
            NativeAllocator.Verify();
            model.CheckAll();
        }
        for (int i = 0; model.Count != 0; i++)
            threads[i % threads.Length].Run(() => model.FreeMany(i, 1 + model.Count / 3));
    }

    private static void AllSectionsAreWhole(int count)
    {
        NativeAllocator.Trim();
        NativeAllocator.Verify();
        AllocatorStatistics figures = NativeAllocator.GetStatistics();
        Require(figures.LiveBlocks == 0 && figures.LiveBytes == 0, $"{figures.LiveBlocks} blocks are live");
        Require(figures.Zones.Count == 3 * count, "a zone is missing");
        foreach (ZoneStatistics zone in figures.Zones)
        {
            Require(zone.FreeBlocks(TopOrder) << TopOrder == zone.OnlinePages,
                $"{zone.Zone} of node {zone.Node} has {zone.OnlinePages} pages and {zone.FreeBlocks(TopOrder)} free " +
                "blocks of the largest order");
            Require(zone.DirtyPages == 0,
                $"{zone.Zone} of node {zone.Node} has {zone.DirtyPages} pages that were not given back");
        }
    }

    private static long[] FreePages() => [.. NativeAllocator.GetStatistics().Zones.Where(zone =>
        zone.Zone == PageZone.Normal).Select(zone => zone.FreePages)];

    private static ZoneStatistics Read(int node, PageZone zone = PageZone.Normal) =>
        NativeAllocator.GetStatistics().Zones.Single(each => each.Node == node && each.Zone == zone);

    private static void Require(bool condition, string otherwise)
    {
        if (!condition) throw new InvalidOperationException(otherwise);
    }
}
