using System.Globalization;
using System.Text.RegularExpressions;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using NativeAlloc.Tests.Pages;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that the reports have the form of the Linux kernel's files, so that what reads those reads these, that their
/// numbers are those of the statistics, and that what the page allocator does can be followed in them.
/// </summary>
public sealed unsafe partial class ReportTests : LeakCheckedTests
{
    private const int Orders = PageAllocator.MaxOrder + 1;

    // A pageblock has 2^5 pages, a section 2^5 pageblocks.
    private const int PageblockPages = 32;

    private static readonly (PageFlags Type, string Name)[] s_types =
        [(PageFlags.None, "Unmovable"), (PageFlags.Movable, "Movable"), (PageFlags.Reclaimable, "Reclaimable")];

    // A section that is online in part, after another test's injected failures, may get its rest meanwhile.
    public ReportTests() => TestZone.CompleteSection();

    [Fact]
    public void Buddyinfo_has_the_kernels_form_and_the_numbers_of_the_statistics()
    {
        using PageMixture mixture = new();
        string[] lines = Write(AllocatorReport.WriteBuddyInfo);
        IReadOnlyList<ZoneStatistics> zones = NativeAllocator.GetStatistics().Zones;
        Assert.Equal(zones.Count, lines.Length);
        for (int i = 0; i < lines.Length; i++)
        {
            // seq_printf(m, "Node %d, zone %8s ", …), then "%6lu " for each order.
            string head =
                string.Create(CultureInfo.InvariantCulture, $"Node {zones[i].Node}, zone {NameOf(zones[i]),8} ");
            Assert.StartsWith(head, lines[i], StringComparison.Ordinal);
            Assert.Equal([.. AllOrders().Select(zones[i].FreeBlocks)], Cells(lines[i][head.Length..]));
            Assert.Equal(zones[i].FreePages, AllOrders().Sum(order => zones[i].FreeBlocks(order) << order));
        }
        Assert.Equal(["DMA", "Normal", "HighMem"],
            [.. lines.Select(line => line.Split(',', ' ')[5..].First(word => word.Length != 0 && word != "zone"))]);
    }

    [Fact]
    public void Pagetypeinfo_has_the_kernels_form_and_the_numbers_of_the_statistics()
    {
        using PageMixture mixture = new();
        string[] lines = Write(AllocatorReport.WritePageTypeInfo);
        IReadOnlyList<ZoneStatistics> zones = NativeAllocator.GetStatistics().Zones;
        int at = 0;
        Assert.Equal("Page block order: 5", lines[at++]);
        Assert.Equal("Pages per block:  32", lines[at++]);
        Assert.Equal("", lines[at++]);
        // seq_printf(m, "%-43s ", …), then "%6d " for each order.
        const string FreeHead = "Free pages count per migrate type at order ";
        Assert.Equal(44, FreeHead.Length + 1);
        Assert.StartsWith(FreeHead, lines[at], StringComparison.Ordinal);
        Assert.Equal([.. AllOrders().Select(order => (long)order)], Cells(lines[at++][(FreeHead.Length + 1)..]));
        foreach (ZoneStatistics zone in zones)
        {
            foreach ((PageFlags type, string name) in s_types)
            {
                // seq_printf(m, "Node %4d, zone %8s, type %12s ", …), then "%6lu ".
                string head = string.Create(CultureInfo.InvariantCulture,
                    $"Node {zone.Node,4}, zone {NameOf(zone),8}, type {name,12} ");
                Assert.StartsWith(head, lines[at], StringComparison.Ordinal);
                Assert.Equal([.. AllOrders().Select(order => zone.FreeBlocks(order, type))],
                    Cells(lines[at++][head.Length..]));
            }
        }
        Assert.Equal("", lines[at++]);
        // seq_printf(m, "\n%-23s", …), then "%12s " for each type.
        Assert.Equal("Number of blocks type     Unmovable      Movable  Reclaimable ", lines[at++]);
        foreach (ZoneStatistics zone in zones)
        {
            string head = string.Create(CultureInfo.InvariantCulture, $"Node {zone.Node}, zone {NameOf(zone),8} ");
            Assert.StartsWith(head, lines[at], StringComparison.Ordinal);
            Assert.Matches(BlockCells(), lines[at][head.Length..]);
            long[] blocks = [.. lines[at++][head.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)
                .Select(word => long.Parse(word, CultureInfo.InvariantCulture))];
            Assert.Equal([.. s_types.Select(type => zone.Pageblocks(type.Type))], blocks);
            Assert.Equal(zone.OnlinePages / PageblockPages, blocks.Sum());
        }
        Assert.Equal(lines.Length, at);
    }

    [Fact]
    public void Reports_look_the_same_in_every_culture_and_with_every_writer()
    {
        using PageMixture mixture = new();
        string[] usual = [.. Write(AllocatorReport.WriteBuddyInfo), .. Write(AllocatorReport.WritePageTypeInfo)];
        CultureInfo culture = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        culture.NumberFormat.NegativeSign = "minus";
        culture.NumberFormat.NumberGroupSeparator = "'";
        CultureInfo former = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = culture;
            string[] foreign = [.. Write(AllocatorReport.WriteBuddyInfo), .. Write(AllocatorReport.WritePageTypeInfo)];
            Assert.Equal(usual, foreign);
        }
        finally
        {
            CultureInfo.CurrentCulture = former;
        }
    }

    [Fact]
    public void There_must_be_something_to_write_to()
    {
        Assert.Equal("writer",
            Assert.Throws<ArgumentNullException>(() => AllocatorReport.WriteBuddyInfo(null!)).ParamName);
        Assert.Equal("writer",
            Assert.Throws<ArgumentNullException>(() => AllocatorReport.WritePageTypeInfo(null!)).ParamName);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(10)]
    public void A_block_that_is_taken_and_freed_leaves_and_joins_the_list_of_its_order(int order)
    {
        Zones.Prepare();
        // Two buddies: as long as one is held the other cannot merge. Single blocks that lie about come first.
        List<Page> singles = [];
        Page first = PageAllocator.AllocPages(order), second = PageAllocator.AllocPages(order);
        for (; order != PageAllocator.MaxOrder && second.Index != (first.Index ^ (1u << order));
            (first, second) = (second, PageAllocator.AllocPages(order))) singles.Add(first);
        long[] before = Zones.FreeBlocks();
        PageAllocator.FreePages(second, order);
        NativeAllocator.ReleaseThreadCache();
        long[] after = Zones.FreeBlocks();
        Assert.Equal(before[order] + 1, after[order]);
        Assert.Equal(before.Sum(), after.Sum() - 1);
        PageAllocator.FreePages(first, order);
        foreach (Page single in singles) PageAllocator.FreePages(single, order);
    }

    [Fact]
    public void A_movable_page_takes_a_whole_block_of_another_types_memory_over_and_the_reports_say_so()
    {
        // All that movable and reclaimable pages have is taken, and there is a free section that is unmovable.
        NativeAllocator.Trim();
        List<(Page Page, int Order)> held = [];
        ZoneStatistics zone = Zones.Read();
        foreach (PageFlags type in new[] { PageFlags.Movable, PageFlags.Reclaimable })
            for (int order = PageAllocator.MaxOrder; order >= 0; order--)
                for (long i = zone.FreeBlocks(order, type); i > 0; i--)
                    held.Add((PageAllocator.AllocPages(order, type), order));
        NativeAllocator.ReleaseThreadCache();
        Page unmovable = PageAllocator.AllocPages(PageAllocator.MaxOrder);
        PageAllocator.FreePages(unmovable, PageAllocator.MaxOrder);
        ZoneStatistics before = Zones.Read();
        Assert.Equal(0, AllOrders().Sum(order => before.FreeBlocks(order, PageFlags.Movable)));

        Page page = PageAllocator.AllocPages(1, PageFlags.Movable);
        ZoneStatistics after = Zones.Read();
        Assert.Equal(before.Steals + 1, after.Steals);
        long claimed = after.Claims - before.Claims;
        Assert.True(claimed > 0);
        Assert.Equal(before.Pageblocks(PageFlags.Movable) + claimed, after.Pageblocks(PageFlags.Movable));
        Assert.True(AllOrders().Sum(order => after.FreeBlocks(order, PageFlags.Movable)) > 0,
            "the rest of the block did not become movable");

        // The next one is served from what came over.
        Page next = PageAllocator.AllocPages(1, PageFlags.Movable);
        Assert.Equal((after.Steals, after.Claims), (Zones.Read().Steals, Zones.Read().Claims));
        Assert.Equal(page.Index / PageblockPages, next.Index / PageblockPages);
        PageAllocator.FreePages(page, 1);
        PageAllocator.FreePages(next, 1);
        foreach ((Page each, int order) in held) PageAllocator.FreePages(each, order);
    }

    [Fact]
    public void The_limits_of_all_zones_together_are_the_machines_memory()
    {
        foreach (PageZone kind in Enum.GetValues<PageZone>()) Zones.Prepare(kind);
        AllocatorStatistics all = NativeAllocator.GetStatistics();
        Assert.True(all.Zones.Count >= Enum.GetValues<PageZone>().Length, "every zone has pages");
        long limits = all.Zones.Sum(zone => zone.LimitPages), machine = (long)all.MachineBytes / PageAllocator.PageSize;
        Assert.InRange(limits, machine - all.Zones.Count, machine);
        Assert.All(all.Zones, zone => Assert.True(zone.MinPages < zone.LowPages && zone.LowPages < zone.HighPages
            && zone.HighPages < zone.LimitPages, "the marks are in order"));
    }

    [Fact]
    public void Of_a_section_that_is_online_in_part_the_reports_count_that_part()
    {
        SystemNeeds.FreeCommit();
        TestZone.CompleteSection();
        List<Page> held = [];
        TakeUntilOnline(LinearRegion.OnlinePages + 1); // sections that were offline come first
        // The first commit of a growing region is that of a section, but for those sections that need larger tables.
        for (int attempt = 0; attempt < 4 && LinearRegion.OnlinePages % PageGeometry.SectionPages == 0; attempt++)
        {
            int commits = 0;
            using InjectedFaults faults = new(call => call == OsCall.Commit && commits++ == 0);
            TakeUntilOnline(LinearRegion.OnlinePages + 1);
        }
        Assert.NotEqual(0u, LinearRegion.OnlinePages % PageGeometry.SectionPages);
        ZoneStatistics zone = Zones.Read();
        Assert.Equal(zone.OnlinePages / PageblockPages, s_types.Sum(type => zone.Pageblocks(type.Type)));
        foreach (Page page in held) PageAllocator.FreePages(page, Pageblock.Order);
        TestZone.CompleteSection();
        zone = Zones.Read();
        Assert.Equal(zone.OnlinePages / PageblockPages, s_types.Sum(type => zone.Pageblocks(type.Type)));

        void TakeUntilOnline(uint pages)
        {
            while (LinearRegion.OnlinePages < pages)
                _ = Record.Exception(() => held.Add(PageAllocator.AllocPages(Pageblock.Order)));
        }
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(11)]
    [InlineData(int.MinValue)]
    [InlineData(int.MaxValue)]
    public void Free_blocks_of_an_order_that_does_not_exist_cannot_be_asked_for(int order)
    {
        Zones.Prepare();
        ZoneStatistics zone = Zones.Read();
        Assert.Equal("order", Assert.Throws<ArgumentOutOfRangeException>(() => zone.FreeBlocks(order)).ParamName);
        Assert.Equal("order",
            Assert.Throws<ArgumentOutOfRangeException>(() => zone.FreeBlocks(order, PageFlags.Movable)).ParamName);
    }

    [Theory]
    [InlineData(PageFlags.Dma)]
    [InlineData(PageFlags.Zeroed)]
    [InlineData(PageFlags.Movable | PageFlags.Reclaimable)]
    [InlineData(PageFlags.Movable | PageFlags.High)]
    [InlineData((PageFlags)(-1))]
    public void Figures_of_a_type_that_does_not_exist_cannot_be_asked_for(PageFlags type)
    {
        Zones.Prepare();
        ZoneStatistics zone = Zones.Read();
        Assert.Equal("type", Assert.Throws<ArgumentOutOfRangeException>(() => zone.FreeBlocks(0, type)).ParamName);
        Assert.Equal("type", Assert.Throws<ArgumentOutOfRangeException>(() => zone.Pageblocks(type)).ParamName);
    }

    [Fact]
    public void Statistics_that_were_never_read_have_no_zones() => Assert.Empty(default(AllocatorStatistics).Zones);

    private static string[] Write(Action<TextWriter> write)
    {
        using StringWriter writer = new(CultureInfo.CurrentCulture);
        write(writer);
        string text = writer.ToString();
        Assert.EndsWith("\n", text, StringComparison.Ordinal);
        return text[..^1].Split('\n');
    }

    private static IEnumerable<int> AllOrders() => Enumerable.Range(0, Orders);

    private static string NameOf(ZoneStatistics zone) =>
        zone.Zone switch { PageZone.Dma => "DMA", PageZone.High => "HighMem", _ => "Normal" };

    private static long[] Cells(string text)
    {
        Assert.Matches(OrderCells(), text);
        return [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(word => long.Parse(word, NumberStyles.None, CultureInfo.InvariantCulture))];
    }

    [GeneratedRegex(@"^(?:[ \d]{5,}\d ){11}$")]
    private static partial Regex OrderCells();

    [GeneratedRegex(@"^(?:[ \d]{11,}\d ){3}$")]
    private static partial Regex BlockCells();

    /// <summary>Blocks of all zones and types, so that there is something of everything to report.</summary>
    private sealed class PageMixture : IDisposable
    {
        private readonly List<(Page Page, int Order)> _blocks = [];

        internal PageMixture()
        {
            foreach (PageFlags zone in new[] { PageFlags.Dma, PageFlags.None, PageFlags.High })
                foreach (PageFlags type in new[] { PageFlags.None, PageFlags.Movable, PageFlags.Reclaimable })
                    for (int order = 0; order < 5; order++)
                        _blocks.Add((PageAllocator.AllocPages(order, zone | type), order));
        }

        public void Dispose()
        {
            foreach ((Page page, int order) in _blocks) PageAllocator.FreePages(page, order);
        }
    }
}
