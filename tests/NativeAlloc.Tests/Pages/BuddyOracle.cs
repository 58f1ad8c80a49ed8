namespace NativeAlloc.Tests.Pages;

/// <summary>
/// What a buddy allocator over a few pages must do, told by bitmaps alone: which pages are free, and which may have memory behind them. A
/// free block is the largest aligned run of free pages, as blocks are merged at once.
/// </summary>
internal sealed class BuddyOracle(int order)
{
    private readonly bool[] _free = Enumerable.Repeat(true, 1 << order).ToArray();
    private readonly bool[] _dirty = new bool[1 << order];

    internal IReadOnlyList<bool> Free => _free;

    internal int FreePages => _free.Count(free => free);

    internal int DirtyPages => _dirty.Count(dirty => dirty);

    internal BuddyOracle Copy()
    {
        BuddyOracle copy = new(order);
        _free.CopyTo(copy._free, 0);
        _dirty.CopyTo(copy._dirty, 0);
        return copy;
    }

    internal bool AllFree(int page, int count) => !_free.AsSpan(page, count).Contains(false);

    internal bool AnyDirty(int page, int count) => _dirty.AsSpan(page, count).Contains(true);

    /// <summary>Whether a page is free and not the first of its block: nothing in use ends before it.</summary>
    internal bool IsInsideFreeBlock(int page) =>
        FreeBlocks().Exists(block => page > block.Page && page < block.Page + (1 << block.Order));

    internal void Take(int page, int count)
    {
        if (!AllFree(page, count)) throw new InvalidOperationException($"pages {page}..{page + count - 1} are not all free");
        _free.AsSpan(page, count).Clear();
        _dirty.AsSpan(page, count).Fill(true);
    }

    internal void Give(int page, int count)
    {
        if (_free.AsSpan(page, count).Contains(true)) throw new InvalidOperationException($"some of the pages {page}..{page + count - 1} are free");
        _free.AsSpan(page, count).Fill(true);
    }

    internal void Purge(int page, int count) => _dirty.AsSpan(page, count).Clear();

    internal void MarkAllDirty() => _dirty.AsSpan().Fill(true);

    /// <summary>The free blocks by the order of their pages.</summary>
    internal List<(int Page, int Order)> FreeBlocks()
    {
        List<(int, int)> blocks = [];
        Collect(0, order, blocks);
        return blocks;
    }

    private void Collect(int page, int blockOrder, List<(int, int)> blocks)
    {
        if (AllFree(page, 1 << blockOrder))
        {
            blocks.Add((page, blockOrder));
        }
        else if (blockOrder != 0)
        {
            Collect(page, blockOrder - 1, blocks);
            Collect(page + (1 << (blockOrder - 1)), blockOrder - 1, blocks);
        }
    }
}
