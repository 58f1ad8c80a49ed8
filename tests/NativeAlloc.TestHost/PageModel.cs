using NativeAlloc.Pages;

namespace NativeAlloc.TestHost;

/// <summary>
/// What the page allocator must look like from outside: the live blocks with their pages, zones, nodes and contents. It
/// does each step with the real one and throws where the two differ.
/// </summary>
internal sealed unsafe class PageModel
{
    private const nuint PageBytes = PageAllocator.PageSize;

    // Live at one time; of DMA pages what any process may lock.
    private const long MostLivePages = 6_000, MostLockedPages = 64;

    private readonly List<Block> _blocks = [];
    private readonly HashSet<uint> _pages = [];
    private readonly nuint _liveBytesBefore = NativeAllocator.GetStatistics().LiveBytes;
    private readonly long _liveBlocksBefore = NativeAllocator.GetStatistics().LiveBlocks;
    private long _livePages, _lockedPages, _anySizeBytes;
    private ulong _lastId;

    private enum Origin
    {
        Order,
        Exact,
        AnySize,
    }

    /// <summary>Blocks that are live.</summary>
    internal int Count => _blocks.Count;

    /// <summary>Does a step on the calling thread.</summary>
    internal void Do(PageStep step)
    {
        if (_livePages > MostLivePages) FreeMany(step.Pick, 1 + _blocks.Count / 2);
        PageFlags flags = step.Flags;
        if ((flags & PageFlags.Dma) != 0 && _lockedPages + Math.Max(1 << step.Order, step.Count) > MostLockedPages)
            flags &= ~PageFlags.Dma;
        PageFlags addressed = flags & ~PageFlags.High;
        switch (step.Kind)
        {
            case PageStepKind.AllocPage: Add(PageAllocator.AllocPage(flags), 0, flags, -1); break;
            case PageStepKind.AllocPages:
                Add(PageAllocator.AllocPages(step.Order, flags), step.Order, flags, -1); break;
            case PageStepKind.AllocPagesNode:
                int node = step.Node % PageLayer.NodeCount;
                Add(PageAllocator.AllocPagesNode(node, step.Order, flags), step.Order, flags, node);
                break;
            case PageStepKind.GetFreePage: Add(PageAllocator.GetFreePage(addressed), 0, addressed); break;
            case PageStepKind.GetFreePages:
                Add(PageAllocator.GetFreePages(step.Order, addressed), step.Order, addressed); break;
            case PageStepKind.GetZeroedPage:
                Add(PageAllocator.GetZeroedPage(addressed), 0, addressed | PageFlags.Zeroed); break;
            case PageStepKind.GetDmaPages when (flags & PageFlags.Dma) != 0:
                Add(PageAllocator.GetDmaPages(step.Order), step.Order, PageFlags.Dma); break;
            case PageStepKind.GetDmaPages: break; // as many are locked as may be
            case PageStepKind.AllocExact: AddExact(step, addressed); break;
            case PageStepKind.AllocMany:
                for (int i = 0; i < step.Count; i++)
                    Add(PageAllocator.AllocPage(addressed & ~PageFlags.Dma), 0, addressed & ~PageFlags.Dma, -1);
                break;
            case PageStepKind.Free: FreeMany(step.Pick, 1); break;
            case PageStepKind.FreeMany: FreeMany(step.Pick, step.Count); break;
            case PageStepKind.Realloc: Resize(step); break;
            case PageStepKind.FreeWrongly: FreeWrongly(step); break;
            case PageStepKind.Trim: NativeAllocator.Trim(); break;
            case PageStepKind.ReleaseThreadCache: NativeAllocator.ReleaseThreadCache(); break;
            default: throw new InvalidOperationException($"{step.Kind} is not known here");
        }
    }

    /// <summary>Checks the contents of all blocks and what is said to be live.</summary>
    internal void CheckAll()
    {
        foreach (Block block in _blocks) Use(block, PagePattern.Check);
        AllocatorStatistics figures = NativeAllocator.GetStatistics();
        nuint bytes = (nuint)_livePages * PageBytes + (nuint)_anySizeBytes;
        Require(figures.LiveBytes == _liveBytesBefore + bytes,
            $"{figures.LiveBytes - _liveBytesBefore} bytes are said to be live, and {bytes} are");
        Require(figures.LiveBlocks == _liveBlocksBefore + _blocks.Count,
            $"{figures.LiveBlocks - _liveBlocksBefore} blocks are said to be live, and {_blocks.Count} are");
    }

    /// <summary>Checks and frees blocks, the one that is picked and others.</summary>
    internal void FreeMany(int pick, int count)
    {
        for (int i = 0; i < count && _blocks.Count != 0; i++)
        {
            Block block = Remove(pick % _blocks.Count);
            Use(block, PagePattern.Check);
            Free(block, pick / 8 + i);
        }
    }

    /// <summary>Gives all blocks back as good as may be, after a failure.</summary>
    internal void Abandon()
    {
        foreach (Block block in _blocks) Free(block, 0);
        _blocks.Clear();
    }

    private static void Free(Block block, int way)
    {
        void* address = (void*)block.Address;
        if (block.Origin == Origin.AnySize || (address != null && way % 3 == 0)) NativeAllocator.Free(address);
        else if (block.Origin == Origin.Exact) PageAllocator.FreeExact(address, block.Bytes);
        else if (address != null && way % 3 == 1) PageAllocator.FreePages(address, block.Order);
        else if (block.Order == 0) PageAllocator.FreePage(block.Page);
        else PageAllocator.FreePages(block.Page, block.Order);
    }

    private void FreeWrongly(PageStep step)
    {
        if (_blocks.Count == 0) return;
        Block block = _blocks[step.Pick % _blocks.Count];
        if (block.Origin == Origin.AnySize) return;
        int other = block.Order == step.Order ? (step.Order + 1) % (PageAllocator.MaxOrder + 1) : step.Order;
        bool isExact = block.Origin == Origin.Exact;
        ExpectArgumentException(() => PageAllocator.FreePages(block.Page, isExact ? step.Order : other));
        if (block.Bytes > PageBytes)
            ExpectArgumentException(() => PageAllocator.FreePage(new Page(block.Page.Index + 1)));
        if (block.Address == 0) return;
        // As another number of pages; what has an order is not taken back as any number.
        nuint wrongBytes = !isExact ? block.Bytes : block.Bytes == PageBytes ? 2 * PageBytes : block.Bytes - PageBytes;
        ExpectArgumentException(() => PageAllocator.FreeExact((void*)block.Address, wrongBytes));
        ExpectArgumentException(() => NativeAllocator.Free((void*)(block.Address + (nint)block.Bytes / 2)));
    }

    private static void ExpectArgumentException(Action action)
    {
        try
        {
            action();
        }
        catch (ArgumentException)
        {
            return;
        }
        throw new InvalidOperationException("What was freed wrongly was taken.");
    }

    private void Resize(PageStep step)
    {
        if (_blocks.Count == 0) return;
        int index = step.Pick % _blocks.Count;
        if (_blocks[index].Address == 0) return;
        Block old = Remove(index);
        nuint bytes = (nuint)step.Count * PageBytes / 3;
        Use(old, PagePattern.Check);
        void* resized = NativeAllocator.Realloc((void*)old.Address, bytes);
        nuint usable = NativeAllocator.UsableSize(resized);
        Require(usable >= bytes, $"of {bytes} bytes {usable} can be used");
        if (old.Bytes <= 1 << 20) Pattern.Check(resized, Math.Min(old.Bytes, bytes), old.Id);
        else PagePattern.CheckPages(resized, Math.Min(old.Bytes, bytes), old.Id);
        Block block = new(Origin.AnySize, default, (nint)resized, usable, 0, ++_lastId);
        _blocks.Add(block);
        _anySizeBytes += (long)usable;
        Use(block, PagePattern.Fill);
    }

    private void AddExact(PageStep step, PageFlags flags)
    {
        nuint pages = (nuint)step.Count;
        void* address = PageAllocator.AllocExact(pages * PageBytes - (nuint)(step.Pick % (int)PageBytes), flags);
        Require((nuint)address % PageBytes == 0, $"0x{(nuint)address:x} is not where a page begins");
        Require(NativeAllocator.UsableSize(address) == pages * PageBytes,
            $"{pages} pages were asked for, and there are {NativeAllocator.UsableSize(address)} bytes");
        Add(new Block(Origin.Exact, PageAllocator.PageOf(address), (nint)address, pages * PageBytes, -1, ++_lastId),
            flags, -1);
    }

    private void Add(void* address, int order, PageFlags flags)
    {
        Require(address != null, "the block is null");
        Add(PageAllocator.PageOf(address), order, flags, -1);
    }

    private void Add(Page page, int order, PageFlags flags, int node)
    {
        Require(!page.IsNone, "the block is no page");
        Require(page.Index % (1u << order) == 0, $"{page} does not begin at a multiple of 2^{order} pages");
        Require(page.Address == null || (nuint)page.Address % (PageBytes << order) == 0,
            $"{page} is not aligned to its order {order}");
        Add(new Block(Origin.Order, page, (nint)page.Address, PageBytes << order, order, ++_lastId), flags, node);
    }

    // A block that has just come from the allocator: it is of the kind asked for, overlaps with none, and is then
    // filled.
    private void Add(Block block, PageFlags flags, int node)
    {
        _blocks.Add(block);
        long count = (long)(block.Bytes / PageBytes);
        _livePages += count;
        if (block.Page.Zone == PageZone.Dma) _lockedPages += count;
        for (uint page = block.Page.Index; page < block.Page.Index + count; page++)
            Require(_pages.Add(page), $"page {page} is given out a second time, in the block at {block.Page}");
        bool rightZone = (flags & PageFlags.Dma) != 0 ? block.Page.Zone == PageZone.Dma
            : block.Page.Zone == PageZone.Normal || ((flags & PageFlags.High) != 0 && block.Page.Zone == PageZone.High);
        Require(rightZone, $"{block.Page} is not of the zone that {flags} asks for");
        Require(node < 0 || block.Page.Node == node, $"{block.Page} is not of node {node}");
        if ((flags & PageFlags.Zeroed) != 0)
            Use(block, static (address, bytes, _) => Pattern.CheckZero(address, bytes));
        Use(block, PagePattern.Fill);
    }

    private Block Remove(int index)
    {
        Block block = _blocks[index];
        _blocks[index] = _blocks[^1];
        _blocks.RemoveAt(_blocks.Count - 1);
        if (block.Origin == Origin.AnySize)
        {
            _anySizeBytes -= (long)block.Bytes;
            return block;
        }
        long count = (long)(block.Bytes / PageBytes);
        _livePages -= count;
        if (block.Page.Zone == PageZone.Dma) _lockedPages -= count;
        for (uint page = block.Page.Index; page < block.Page.Index + count; page++) _pages.Remove(page);
        return block;
    }

    private delegate void PatternUse(void* block, nuint bytes, ulong id);

    private static void Use(Block block, PatternUse use)
    {
        if (block.Address != 0)
        {
            use((void*)block.Address, block.Bytes, block.Id);
            return;
        }
        using HighWindow window = new(block.Page, block.Bytes);
        use(window.Address, block.Bytes, block.Id);
    }

    private static void Require(bool condition, string otherwise)
    {
        if (!condition) throw new InvalidOperationException(otherwise);
    }

    private readonly record struct Block(Origin Origin, Page Page, nint Address, nuint Bytes, int Order, ulong Id);
}
