using System.Text;
using NativeAlloc.Pages;

namespace NativeAlloc.Tests.Pages;

/// <summary>One step of a test that explores a zone.</summary>
internal readonly record struct ZoneStep(char Kind, int Number, MemoryChoice Choice = MemoryChoice.UsedFirst,
    MigrateType Type = MigrateType.Unmovable)
{
    /// <summary>Takes a block of an order.</summary>
    internal static ZoneStep Take(int order, MemoryChoice choice, MigrateType type) => new('t', order, choice, type);

    /// <summary>Frees the so-manieth of the blocks in use.</summary>
    internal static ZoneStep Free(int index) => new('f', index);

    /// <summary>Purges the first dirty free block of an order.</summary>
    internal static ZoneStep Purge(int order) => new('p', order);

    public override string ToString() =>
        $"{Kind}{Number}" + (Choice == MemoryChoice.UsedFirst ? "" : $" {Choice}") +
        (Type == MigrateType.Unmovable ? "" : $" {Type}");
}

/// <summary>
/// The first 2^order pages of a zone, isolated from the rest, and an oracle that goes along with every step. The whole
/// can be saved and brought back, so that a test can go on from one state in every direction.
/// </summary>
/// <param name="order">The size.</param>
/// <param name="clean">No page was ever in use.</param>
/// <param name="leastOrder">The smallest blocks that are taken: with larger ones a world of several pageblocks has few
/// enough states to try them all.</param>
/// <param name="types">The migrate types that are asked for.</param>
internal sealed unsafe class ZoneWorld : IDisposable
{
    private readonly TestZone _zone = new();
    private readonly int _order, _leastOrder;
    private readonly MigrateType[] _types;
    private BuddyOracle _oracle;
    private List<(int Page, int Order)> _live = [];

    internal ZoneWorld(int order, bool clean, int leastOrder = 0, params MigrateType[] types)
    {
        _order = order;
        _leastOrder = leastOrder;
        _types = types.Length == 0 ? [MigrateType.Unmovable] : types;
        _zone.Isolate(order);
        _oracle = new BuddyOracle(order);
        if (clean) _zone.TryPurge(order, askSystem: false);
        else _oracle.MarkAllDirty();
    }

    internal int LiveCount => _live.Count;

    private int Pages => 1 << _order;

    /// <summary>Every step that makes sense now.</summary>
    internal IEnumerable<ZoneStep> Steps(bool withPurges, bool withChoices)
    {
        foreach (MemoryChoice choice in withChoices ? Enum.GetValues<MemoryChoice>() : [MemoryChoice.UsedFirst])
            foreach (MigrateType type in _types)
                for (int order = _leastOrder; order <= _order; order++) yield return ZoneStep.Take(order, choice, type);
        for (int index = 0; index < _live.Count; index++) yield return ZoneStep.Free(index);
        if (!withPurges) yield break;
        for (int order = _leastOrder; order <= _order; order++) yield return ZoneStep.Purge(order);
    }

    /// <summary>
    /// Does a step and checks all there is against the oracle. False if the step rightly did nothing.
    /// </summary>
    internal bool Do(ZoneStep step)
    {
        bool done = step.Kind switch
        {
            't' => DoTake(PageRequest.Block(step.Number) with { Choice = step.Choice, Type = step.Type }) is { } block
                && Keep((block, step.Number)),
            'f' => DoFree(step.Number),
            _ => DoPurge(step.Number),
        };
        Check();
        return done;
    }

    private bool Keep((int Page, int Order) block)
    {
        _live.Add(block);
        return true;
    }

    // Takes pages and compares the answer with what there was before: whether there is a block, which of those it may
    // be, and what became of the type of the pageblocks that it is from.
    private int? DoTake(in PageRequest request)
    {
        (int order, int count, MigrateType type) = (request.Order, (int)request.Count, request.Type);
        List<(int Page, int Order)> candidates = _oracle.Candidates(order, type, request.Choice);
        (long steals, long claims) = (_zone.Zone->Steals, _zone.Zone->Claims);
        bool taken = _zone.TryTake(request, out uint absolute, out bool zeroed);
        Require(taken == (candidates.Count != 0), "a block is taken if there is one of the kind and only then");
        if (!taken)
        {
            Require(absolute == PageFrame.None && (steals, claims) == (_zone.Zone->Steals, _zone.Zone->Claims),
                "nothing is nothing");
            return null;
        }
        int page = (int)(absolute - _zone.First);
        int at = candidates.FindIndex(candidate => FirstUsedPart(candidate.Page, candidate.Order, order) == page);
        Require(at >= 0, "the block is the first used part of one of those that it may be from");
        (int Page, int Order) block = candidates[at];
        bool stolen = _oracle.TypeOf(block.Page) != type;
        // Half of a pageblock is worth having it all; what is larger comes with all of its pageblocks.
        bool claimed = stolen
            && (block.Order >= Pageblock.Order || _oracle.FreePagesOfPageblock(block.Page) >= Pageblock.Pages / 2);
        if (claimed) _oracle.SetType(block.Page, block.Order, type);
        Require(_zone.Zone->Steals == steals + (stolen ? 1 : 0),
            "requests that another type's memory served are counted");
        Require(_zone.Zone->Claims == claims + (claimed ? Math.Max(1, 1 << block.Order >> Pageblock.Order) : 0),
            "pageblocks that changed their type are counted");
        Require(zeroed == !_oracle.AnyDirty(page, count), "a block is zeroed if nobody ever had one of its pages");
        _oracle.Take(page, count); // and precisely the others must be free: the caller checks
        PageFrame frame = LinearRegion.Frames[absolute];
        Require(frame.State == request.State && frame.Order == order && frame.PageCount == count
            && frame.ZoneIndex == _zone.Zone->Index, "the head says what was taken");
        Require(frame.Type == _oracle.TypeOf(page),
            "the head says the type of its pageblock, the list that a single page goes back to");
        return page;
    }

    // Of a block that is halved until it has an order: which part stays. The lower half, unless only the upper one is
    // used.
    private int FirstUsedPart(int page, int from, int order)
    {
        while (from-- > order)
            if (_oracle.AnyDirty(page + (1 << from), 1 << from) && !_oracle.AnyDirty(page, 1 << from))
                page += 1 << from;
        return page;
    }

    private bool DoFree(int index)
    {
        (int page, int order) = _live[index];
        _live.RemoveAt(index);
        _oracle.Give(page, 1 << order);
        _zone.Give(_zone.First + (uint)page, order);
        return true;
    }

    private bool DoPurge(int order)
    {
        List<(int Page, int Order)> dirty = _oracle.FreeBlocks()
            .Where(block => block.Order == order && _oracle.AnyDirty(block.Page, 1 << order)).ToList();
        bool purged = _zone.TryPurge(order, askSystem: false);
        Require(purged == (dirty.Count != 0), "a dirty block is found if there is one and only then");
        if (!purged) return false;
        (int page, _) = dirty.Single(block => Enumerable.Range(block.Page, 1 << order)
            .All(clean => !LinearRegion.Dirty.IsSet(_zone.First + (uint)clean)));
        _oracle.Purge(page, 1 << order);
        return true;
    }

    /// <summary>
    /// Takes exactly these pages, if they are free, and gives them back. Only where a block could end before them, as
    /// this is how one grows.
    /// </summary>
    internal void CheckAt(int page, int count)
    {
        if (_oracle.IsInsideFreeBlock(page)) return;
        bool taken = _zone.TryTakeAt(_zone.First + (uint)page, (uint)count);
        Require(taken == _oracle.AllFree(page, count),
            "pages are taken where they stand if all of them are free and only then");
        if (taken) _oracle.Take(page, count);
        Check();
        if (!taken) return;
        _zone.GiveRange(_zone.First + (uint)page, (uint)count);
        _oracle.Give(page, count);
        Check();
    }

    /// <summary>Takes a block of which only some pages are wanted, if there is one, and gives them back.</summary>
    internal void CheckPart(int order, int usedPages, MemoryChoice choice, MigrateType type)
    {
        int? page = DoTake(new PageRequest(order, (uint)usedPages) { Choice = choice, Type = type });
        Check();
        if (page == null) return;
        _zone.GiveRange(_zone.First + (uint)page, (uint)usedPages);
        _oracle.Give(page.Value, usedPages);
        Check();
    }

    private void Check()
    {
        _zone.Zone->Verify();
        Require(_zone.Zone->FreePages == _oracle.FreePages, "the free pages are counted");
        // The rest of the section is in use.
        Require(_zone.Zone->DirtyPages == PageGeometry.SectionPages - Pages + _oracle.DirtyPages,
            "the dirty pages are counted");
        Span<int> counts = stackalloc int[Pageblock.TypeCount * PageGeometry.OrderCount];
        counts.Clear();
        foreach ((int page, int order) in _oracle.FreeBlocks())
        {
            PageFrame frame = LinearRegion.Frames[_zone.First + page];
            Require(frame.State == PageState.Free && frame.Order == order, "the free blocks are those of the oracle");
            int type = (int)_oracle.TypeOf(page);
            counts[type * PageGeometry.OrderCount + order]++;
        }
        for (int block = 0; block < _oracle.Types.Count; block++)
            Require(LinearRegion.TypeOf(_zone.First + (uint)block * Pageblock.Pages) == _oracle.Types[block],
                "the types of the pageblocks are those of the oracle");
        for (int type = 0; type < Pageblock.TypeCount; type++)
        {
            for (int order = 0; order < PageGeometry.OrderCount; order++)
                Require(_zone.Zone->FreeBlocks((MigrateType)type, order)
                    == counts[type * PageGeometry.OrderCount + order], "there are no other free blocks");
        }
        foreach ((int page, int order) in _live)
        {
            PageFrame frame = LinearRegion.Frames[_zone.First + page];
            Require(frame.State == PageState.Taken && frame.Order == order, "a block in use says so");
        }
        for (int page = 0; page < Pages; page++)
            Require(LinearRegion.Dirty.IsSet(_zone.First + (uint)page) == _oracle.AnyDirty(page, 1),
                "the dirty bits are those of the oracle");
    }

    // Not an assertion of the test library: this runs millions of times.
    private static void Require(bool condition, string what)
    {
        if (!condition) throw new InvalidOperationException("violated: " + what);
    }

    /// <summary>
    /// Frees all and checks that the part in play is one block again, and with the rest the whole section.
    /// </summary>
    internal void FreeAll()
    {
        while (_live.Count != 0) Do(ZoneStep.Free(_live.Count - 1));
        Require(_zone.Zone->FreeBlocks(_order) == 1, "what was one block is one block again");
    }

    /// <summary>Frees all, the rest of the section too; the world ends with it.</summary>
    internal void FreeAllAndRejoin()
    {
        FreeAll();
        _zone.Rejoin(_order);
        _zone.Zone->Verify();
        Require(_zone.Zone->FreeBlocks(PageGeometry.MaxOrder) == 1, "the section is one block of the top order again");
    }

    /// <summary>Which pages are free, which blocks are in use: the shape, whatever the order of the lists.</summary>
    internal string Shape() => string.Join(' ', _oracle.FreeBlocks().Select(block => $"F{block.Page}.{block.Order}")
        .Concat(_live.Order().Select(block => $"T{block.Page}.{block.Order}")));

    /// <summary>All that the zone's answers can depend on.</summary>
    internal string Key()
    {
        StringBuilder key = new();
        for (int order = 0; order <= _order; order++)
        {
            for (int page = 0; page < Pages; page++)
            {
                // The list by its links: who comes before this block.
                PageFrame frame = LinearRegion.Frames[_zone.First + page];
                if (frame.State == PageState.Free && frame.Order == order)
                    key.Append((char)('0' + page))
                        .Append((char)(frame.Previous == PageFrame.None ? '-' : '0' + (frame.Previous - _zone.First)));
            }
            key.Append('|');
        }
        foreach ((int page, int order) in _live.Order()) key.Append((char)('0' + page)).Append((char)('a' + order));
        key.Append('|');
        for (int page = 0; page < Pages; page++) key.Append(_oracle.AnyDirty(page, 1) ? 'd' : 'c');
        foreach (MigrateType type in _oracle.Types) key.Append((int)type);
        return key.ToString();
    }

    internal State Save() => new(*_zone.Zone,
        new ReadOnlySpan<PageFrame>(LinearRegion.Frames + _zone.First, Pages).ToArray(), _oracle.Copy(), [.. _live]);

    internal void Restore(State state)
    {
        *_zone.Zone = state.Zone;
        state.Frames.CopyTo(new Span<PageFrame>(LinearRegion.Frames + _zone.First, Pages));
        _oracle = state.Oracle.Copy();
        _live = [.. state.Live];
        for (int block = 0; block < _oracle.Types.Count; block++)
            LinearRegion.SetType(_zone.First + (uint)block * Pageblock.Pages, Pageblock.Pages, _oracle.Types[block]);
        for (int page = 0; page < Pages; page++)
        {
            if (_oracle.AnyDirty(page, 1)) LinearRegion.Dirty.Set(_zone.First + (uint)page, 1);
            else LinearRegion.Dirty.Clear(_zone.First + (uint)page, 1);
        }
    }

    public void Dispose() => _zone.Dispose();

    /// <summary>A state to come back to.</summary>
    internal sealed record State(Zone Zone, PageFrame[] Frames, BuddyOracle Oracle, List<(int Page, int Order)> Live);
}
