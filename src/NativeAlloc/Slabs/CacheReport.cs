namespace NativeAlloc.Slabs;

/// <summary>A cache's figures for the slab report.</summary>
internal readonly unsafe record struct CacheReport
{
    /// <summary>Objects outside of slabs: users' and those in magazines.</summary>
    internal long Active { get; private init; }

    internal long Objects { get; private init; }

    internal uint ObjectBytes { get; private init; }

    internal uint ObjectsPerSlab { get; private init; }

    internal uint SlabPages { get; private init; }

    /// <summary>Objects that a magazine holds; 0 where threads keep none.</summary>
    internal int Capacity { get; private init; }

    /// <summary>Full magazines that the depots may keep at present.</summary>
    internal int DepotLimit { get; private init; }

    internal long ActiveSlabs { get; private init; }

    internal long Slabs { get; private init; }

    /// <summary>Bytes of the slabs that have been given back to the system.</summary>
    internal long PurgedBytes { get; private init; }

    /// <summary>Objects in depots.</summary>
    internal long InDepot { get; private init; }

    /// <summary>Objects in magazines, of threads and of depots.</summary>
    internal long Cached { get; private init; }

    internal long Hits { get; private init; }

    internal long Misses { get; private init; }

    internal ulong Refills { get; private init; }

    internal ulong Drains { get; private init; }

    /// <summary>Reads them; null where the cache has gone meanwhile.</summary>
    internal static CacheReport? ReadOrNull(int index)
    {
        ObjectCache* cache = CacheTable.CacheAt(index);
        if (!cache->TryEnter()) return null;
        CacheReport report = Read(cache, index);
        cache->Leave();
        return report;
    }

    private static CacheReport Read(ObjectCache* cache, int index)
    {
        CacheFigures figures = CacheFigures.Of(index);
        int limit = 0;
        long inDepot = 0, hits = 0, misses = 0;
        ulong refills = 0, drains = 0;
        for (int i = 0; i < ObjectCache.NodeCount; i++)
        {
            CacheNode* node = cache->Node(i);
            limit += node->Depot.Size.Limit;
            inDepot += cache->InDepot(node);
            hits += node->Depot.Hits;
            misses += node->Depot.Misses;
            refills += Volatile.Read(ref node->Refills);
            drains += Volatile.Read(ref node->Drains);
        }
        return new CacheReport
        {
            Active = figures.Slabs * cache->ObjectsPerSlab - figures.InSlabs,
            Objects = figures.Slabs * cache->ObjectsPerSlab,
            ObjectBytes = cache->ObjectBytes,
            ObjectsPerSlab = cache->ObjectsPerSlab,
            SlabPages = cache->SlabPages,
            Capacity = cache->Magazine.Capacity,
            DepotLimit = limit,
            ActiveSlabs = figures.ActiveSlabs,
            Slabs = figures.Slabs,
            PurgedBytes = figures.PurgedBytes,
            InDepot = inDepot,
            Cached = figures.InMagazines,
            Hits = hits,
            Misses = misses,
            Refills = refills,
            Drains = drains,
        };
    }
}
