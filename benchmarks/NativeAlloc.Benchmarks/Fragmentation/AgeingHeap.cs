namespace NativeAlloc.Benchmarks.Fragmentation;

/// <summary>
/// A heap of whole pages that lives long, in a pool that is to be all the memory there is. It is filled by the uses of
/// <see cref="PageUse.ServerMix"/>, all at the same time, then blocks are replaced at random: a use is drawn, an order
/// of this use's, and blocks of the same use are freed at random until one of that order fits its share. Then the heap
/// is looked at, and once more after all its reclaimable pages have gone at once, as they do when a shrinker is called.
/// Nothing is touched: this is about where blocks lie.
/// <para>
/// The load may swing, as a server's does over the day: the buffers' share then follows a sine, and the cache has what
/// they leave.
/// </para>
/// <para>
/// Which blocks are allocated and freed, and when, follows from the seed alone, and not from the addresses.
/// </para>
/// </summary>
internal sealed class AgeingHeap
{
    private const int TriedOrder = 4;

    /// <summary>
    /// Steps from one high tide of the load to the next: buffers are replaced some fifty times meanwhile.
    /// </summary>
    private const int SwingSteps = 100_000;

    private readonly AgeingPlan _plan;
    private readonly Random _random;
    private readonly List<(Page Page, int Order)>[] _live;
    private readonly long[] _livePages;
    private readonly long[] _limits;
    private long _failedRequests;

    private AgeingHeap(AgeingPlan plan)
    {
        _plan = plan;
        _random = new Random(plan.Seed);
        _live = [.. PageUse.ServerMix.Select(_ => new List<(Page, int)>())];
        _livePages = new long[_live.Length];
        _limits = new long[_live.Length];
    }

    public static AgeingResult Run(AgeingPlan plan) => new AgeingHeap(plan).Run();

    private AgeingResult Run()
    {
        long pool = MakePool();
        long limit = pool * _plan.OccupancyPercent / 100;
        SetLimits(limit, 0);
        Fill();
        for (int step = 0; step < _plan.Steps; step++)
        {
            SetLimits(limit, Math.Sin(2 * Math.PI * step / SwingSteps));
            Step();
        }

        long livePages = _livePages.Sum();
        AgeingMoment atOccupancy = Look();

        GiveBack(PageFlags.Reclaimable);
        AgeingMoment afterReclaim = Look();
        return new AgeingResult(pool, livePages, OnlinePages() - pool, _failedRequests, atOccupancy, afterReclaim);
    }

    /// <summary>Brings the pool online: it is allocated once as a whole, in the largest blocks there are.</summary>
    private long MakePool()
    {
        long sectionMiB = ((long)PageAllocator.PageSize << PageAllocator.MaxOrder) >> 20;
        Page[] sections = new Page[_plan.PoolMiB / sectionMiB];
        foreach (ref Page section in sections.AsSpan())
            section = PageAllocator.AllocPages(PageAllocator.MaxOrder);
        foreach (Page section in sections)
            PageAllocator.FreePages(section, PageAllocator.MaxOrder);
        return OnlinePages();
    }

    /// <summary>How many pages each use may have, when the load is between low (-1) and high (1).</summary>
    private void SetLimits(long limit, double load)
    {
        long swing = (long)(limit * _plan.SwingPercent * load / 100);
        for (int use = 0; use < _limits.Length; use++)
        {
            PageUse of = PageUse.ServerMix[use];
            _limits[use] = (limit * of.SharePercent / 100) + (of.Flag switch
            {
                PageFlags.Movable => swing,
                PageFlags.Reclaimable => -swing,
                _ => 0,
            });
        }
    }

    /// <summary>
    /// Blocks of the use that is furthest from its share, until all have reached theirs: the uses grow side by side.
    /// </summary>
    private void Fill()
    {
        while (true)
        {
            int emptiest = Enumerable.Range(0, _limits.Length).MinBy(use => (double)_livePages[use] / _limits[use]);
            int order = PageUse.ServerMix[emptiest].NextOrder(_random);
            if (_livePages[emptiest] + (1L << order) > _limits[emptiest])
                return;
            Allocate(emptiest, order);
        }
    }

    private void Step()
    {
        int use = 0;
        for (int at = _random.Next(100); at >= PageUse.ServerMix[use].StepPercent; use++)
            at -= PageUse.ServerMix[use].StepPercent;

        int order = PageUse.ServerMix[use].NextOrder(_random);
        long pages = 1L << order;
        for (int of = 0; of < _limits.Length; of++)
        {
            while (_livePages[of] + (of == use ? pages : 0) > _limits[of])
                FreeAt(of, _random.Next(_live[of].Count));
        }

        Allocate(use, order);
    }

    private void Allocate(int use, int order)
    {
        if (TryAllocate(order, _plan.MigrateTypes ? PageUse.ServerMix[use].Flag : PageFlags.None, out Page page))
        {
            _live[use].Add((page, order));
            _livePages[use] += 1L << order;
        }
        else
        {
            _failedRequests++;
        }
    }

    private void FreeAt(int use, int index)
    {
        List<(Page Page, int Order)> live = _live[use];
        (Page page, int order) = live[index];
        live[index] = live[^1];
        live.RemoveAt(live.Count - 1);
        PageAllocator.FreePages(page, order);
        _livePages[use] -= 1L << order;
    }

    private void GiveBack(PageFlags flag)
    {
        for (int use = 0; use < _live.Length; use++)
        {
            while (PageUse.ServerMix[use].Flag == flag && _live[use].Count > 0)
                FreeAt(use, _live[use].Count - 1);
        }
    }

    private AgeingMoment Look()
    {
        // Single pages that this thread keeps for itself would hold their neighbours apart.
        NativeAllocator.ReleaseThreadCache();
        FreeBlockCounts free = FreeBlockCounts.Read();
        IReadOnlyList<ZoneStatistics> zones = NativeAllocator.GetStatistics().Zones;
        long[] pageblocks = [.. PageUse.ServerMix.Select(use => zones.Sum(zone => zone.Pageblocks(use.Flag)))];
        return new AgeingMoment(free, pageblocks, Try());
    }

    /// <summary>
    /// Asks for blocks of 16 pages, as many as the plan says, and gives them back. It stops where no free block is left
    /// that is large enough: the next would make the pool grow.
    /// </summary>
    private int Try()
    {
        List<Page> taken = [];
        while (taken.Count < _plan.Tries && FreeBlockCounts.Read().From(TriedOrder) > 0)
        {
            if (!TryAllocate(TriedOrder, PageFlags.None, out Page page))
                break;
            taken.Add(page);
        }

        foreach (Page page in taken)
            PageAllocator.FreePages(page, TriedOrder);
        return taken.Count;
    }

    private static bool TryAllocate(int order, PageFlags flags, out Page page)
    {
        try
        {
            page = PageAllocator.AllocPages(order, flags);
        }
        catch (OutOfMemoryException)
        {
            page = default;
        }

        return !page.IsNone;
    }

    private static long OnlinePages() => NativeAllocator.GetStatistics().Zones.Sum(zone => zone.OnlinePages);
}
