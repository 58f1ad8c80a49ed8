using NativeAlloc.Pages;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// What a buddy allocator over a few pages must do, told by bitmaps alone: which pages are free, which may have memory
/// behind them, and of which migrate type each pageblock is. A free block is the largest aligned run of free pages, as
/// blocks are merged at once.
/// </summary>
internal sealed class BuddyOracle(int order)
{
    private readonly bool[] _free = Enumerable.Repeat(true, 1 << order).ToArray();
    private readonly bool[] _dirty = new bool[1 << order];
    private readonly MigrateType[] _types = new MigrateType[Math.Max(1, (1 << order) >> Pageblock.Order)];

    internal IReadOnlyList<bool> Free => _free;

    internal IReadOnlyList<MigrateType> Types => _types;

    internal int FreePages => _free.Count(free => free);

    internal int DirtyPages => _dirty.Count(dirty => dirty);

    internal BuddyOracle Copy()
    {
        BuddyOracle copy = new(order);
        _free.CopyTo(copy._free, 0);
        _dirty.CopyTo(copy._dirty, 0);
        _types.CopyTo(copy._types, 0);
        return copy;
    }

    internal bool AllFree(int page, int count) => !_free.AsSpan(page, count).Contains(false);

    internal bool AnyDirty(int page, int count) => _dirty.AsSpan(page, count).Contains(true);

    /// <summary>Whether a page is free and not the first of its block: nothing in use ends before it.</summary>
    internal bool IsInsideFreeBlock(int page) =>
        FreeBlocks().Exists(block => page > block.Page && page < block.Page + (1 << block.Order));

    internal void Take(int page, int count)
    {
        if (!AllFree(page, count))
            throw new InvalidOperationException($"pages {page}..{page + count - 1} are not all free");
        _free.AsSpan(page, count).Clear();
        _dirty.AsSpan(page, count).Fill(true);
    }

    internal void Give(int page, int count)
    {
        if (_free.AsSpan(page, count).Contains(true))
            throw new InvalidOperationException($"some of the pages {page}..{page + count - 1} are free");
        _free.AsSpan(page, count).Fill(true);
        // Where pageblocks have become one free block, the first says which type it is.
        foreach ((int head, int blockOrder) in FreeBlocks())
            if (blockOrder > Pageblock.Order) SetType(head, blockOrder, TypeOf(head));
    }

    internal MigrateType TypeOf(int page) => _types[page >> Pageblock.Order];

    /// <summary>Sets the type of all pageblocks that a block lies in.</summary>
    internal void SetType(int page, int blockOrder, MigrateType type) =>
        _types.AsSpan(page >> Pageblock.Order, Math.Max(1, (1 << blockOrder) >> Pageblock.Order)).Fill(type);

    /// <summary>Free pages of the pageblock that a page lies in.</summary>
    internal int FreePagesOfPageblock(int page)
    {
        int first = page & ~((int)Pageblock.Pages - 1);
        return _free.AsSpan(first, Math.Min((int)Pageblock.Pages, _free.Length - first)).Count(true);
    }

    /// <summary>
    /// The free blocks that a request may be served from, all equally right: the smallest of its own type, or the
    /// largest of another; used memory before fresh or the other way round.
    /// </summary>
    /// <returns>None where there is nothing to be had.</returns>
    internal List<(int Page, int Order)> Candidates(int least, MigrateType type, MemoryChoice choice)
    {
        List<(int Page, int Order)> blocks = FreeBlocks();
        bool freshFirst = choice is MemoryChoice.FreshFirst or MemoryChoice.FreshOnly;
        List<(int Page, int Order)> found = Smallest(!freshFirst);
        if (found.Count == 0 && !freshFirst) found = Largest(Math.Max(least, Pageblock.Order), usedOnly: true);
        if (found.Count != 0 || choice is MemoryChoice.UsedOnly or MemoryChoice.FreshOnly) return found;
        found = Smallest(freshFirst);
        return found.Count != 0 ? found : Largest(least, usedOnly: false);

        List<(int Page, int Order)> Smallest(bool used)
        {
            List<(int Page, int Order)> own =
                blocks.FindAll(block => block.Order >= least && TypeOf(block.Page) == type && IsUsed(block) == used);
            return own.FindAll(block => block.Order == own.Min(other => other.Order));
        }

        List<(int Page, int Order)> Largest(int smallest, bool usedOnly)
        {
            for (int current = order; current >= smallest; current--)
            {
                for (int i = 0; i < Pageblock.FallbackCount; i++)
                {
                    MigrateType other = Pageblock.FallbackOf(type, i);
                    List<(int Page, int Order)> others =
                        blocks.FindAll(block => block.Order == current && TypeOf(block.Page) == other);
                    List<(int Page, int Order)> used = others.FindAll(IsUsed);
                    if (used.Count != 0) return used;
                    if (others.Count != 0 && !usedOnly) return others;
                }
            }
            return [];
        }

        bool IsUsed((int Page, int Order) block) => AnyDirty(block.Page, 1 << block.Order);
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
