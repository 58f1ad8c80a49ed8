namespace NativeAlloc.TestHost;

/// <summary>A way through all members of the page allocator that makes every zone grow and give back.</summary>
internal sealed unsafe class PageFaultScenario : FaultScenario
{
    private const nuint PageBytes = PageAllocator.PageSize;

    // Of DMA pages what any process may lock.
    private const int LargestDmaOrder = 3;

    private static readonly PageFlags[] s_types = [PageFlags.None, PageFlags.Movable, PageFlags.Reclaimable];

    private readonly List<Block> _blocks = [];
    private readonly List<(Page Page, int Order)> _ballast = [];
    private readonly HashSet<uint> _pages = [];

    /// <summary>
    /// Takes the free blocks of the largest order out of the way, so that the scenario has to ask the system for more.
    /// </summary>
    internal void TakeFreeSections()
    {
        NativeAllocator.Trim();
        foreach (PageFlags flags in new[] { PageFlags.None, PageFlags.High })
        {
            nuint committed = NativeAllocator.GetStatistics().CommittedBytes;
            do
            {
                _ballast.Add((PageAllocator.AllocPages(PageAllocator.MaxOrder, flags), PageAllocator.MaxOrder));
            }
            while (NativeAllocator.GetStatistics().CommittedBytes == committed);
        }
    }

    internal override void Run()
    {
        TakeSections();
        TakeEveryOrder();
        TakeExact();
        TakeSingles();
        FreeEveryOther();
        GiveBack();
        OnAnotherThread(() =>
        {
            TakeSingles();
            FreeEveryOther();
        });
        CheckAll();
    }

    internal override void CheckAll()
    {
        foreach (Block block in _blocks) Check(block);
    }

    internal override void FreeAll()
    {
        while (_blocks.Count != 0) FreeAt(_blocks.Count - 1);
        foreach ((Page page, int order) in _ballast) PageAllocator.FreePages(page, order);
        _ballast.Clear();
    }

    private void TakeSections()
    {
        Take(PageAllocator.MaxOrder, PageFlags.None);
        Take(PageAllocator.MaxOrder, PageFlags.High);
        Take(PageAllocator.MaxOrder, PageFlags.High | PageFlags.Movable | PageFlags.Zeroed);
        Take(PageAllocator.MaxOrder, PageFlags.ThisNode | PageFlags.Movable);
    }

    private void TakeEveryOrder()
    {
        foreach (int order in new[] { 0, 1, 3, 6, 9 })
        {
            foreach (PageFlags type in s_types)
            {
                // clearing them takes longer than all else
                if (order > LargestDmaOrder && type != PageFlags.Movable) continue;
                Take(order, type);
                Take(order, type | PageFlags.Zeroed);
                Take(order, type | PageFlags.High | PageFlags.Zeroed);
                if (order <= LargestDmaOrder) Take(order, type | PageFlags.Dma | PageFlags.ThisNode);
            }
        }
    }

    private void TakeExact()
    {
        foreach (nuint pages in new nuint[] { 1, 3, 7, 20, 33, 130, 1000 })
        {
            Take(() => new Block(PageAllocator.PageOf(PageAllocator.AllocExact(pages * PageBytes)), -1,
                pages * PageBytes, NextId()));
            if (pages <= 7) Take(() => new Block(PageAllocator.PageOf(PageAllocator.AllocExact(pages * PageBytes,
                PageFlags.Dma)), -1, pages * PageBytes, NextId()));
        }
    }

    private void TakeSingles()
    {
        for (int i = 0; i < 50; i++)
        {
            Take(() => new Block(PageAllocator.AllocPage(), 0, PageBytes, NextId()));
            Take(() =>
                new Block(PageAllocator.PageOf(PageAllocator.GetZeroedPage(s_types[i % 3])), 0, PageBytes, NextId()));
        }
    }

    private void FreeEveryOther()
    {
        for (int i = _blocks.Count - 1; i >= 0; i -= 2) FreeAt(i);
    }

    private void GiveBack()
    {
        NativeAllocator.Trim();
        TakeEveryOrder();
        FreeEveryOther();
        NativeAllocator.ReleaseThreadCache();
        TakeSingles();
        _ = NativeAllocator.GetStatistics();
        AllocatorReport.WriteBuddyInfo(TextWriter.Null);
    }

    private void Take(int order, PageFlags flags) =>
        Take(() => new Block(PageAllocator.AllocPages(order, flags), order, PageBytes << order, NextId()), flags);

    private void Take(Func<Block> take, PageFlags flags = default)
    {
        Block block = default;
        if (!Try(() => block = take())) return;
        _blocks.Add(block);
        for (uint page = block.Page.Index; page < block.Page.Index + block.Bytes / PageBytes; page++)
            if (!_pages.Add(page)) throw new InvalidOperationException($"page {page} is given out a second time");
        // a mapping would be a system call, and might be the one that is to fail
        if (block.Page.Address == null) return;
        if ((flags & PageFlags.Zeroed) != 0)
            Pattern.CheckZero(block.Page.Address, Math.Min(block.Bytes, 4 * PageBytes));
        UseEnds(block, Pattern.Fill);
    }

    private void FreeAt(int index)
    {
        Block block = _blocks[index];
        _blocks.RemoveAt(index);
        for (uint page = block.Page.Index; page < block.Page.Index + block.Bytes / PageBytes; page++)
            _pages.Remove(page);
        Check(block);
        if (block.Order < 0) PageAllocator.FreeExact(block.Page.Address, block.Bytes);
        else PageAllocator.FreePages(block.Page, block.Order);
    }

    private static void Check(Block block)
    {
        if (block.Page.Address != null) UseEnds(block, Pattern.Check);
    }

    private delegate void PatternUse(void* block, nuint bytes, ulong id);

    // The ends of the first and of the last page: enough to tell whose the block is.
    private static void UseEnds(Block block, PatternUse use)
    {
        const nuint EndBytes = 1_000;
        use(block.Page.Address, EndBytes, block.Id);
        use((byte*)block.Page.Address + block.Bytes - EndBytes, EndBytes, block.Id + 1);
    }

    private readonly record struct Block(Page Page, int Order, nuint Bytes, ulong Id);
}
