using NativeAlloc.Os;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>
/// Where a cache's objects are, its slabs, and what of their memory is given back. Magazines are read while threads use
/// them, so the figures are estimates then.
/// </summary>
/// <param name="InMagazines">Objects in magazines, of threads and of depots.</param>
/// <param name="InSlabs">Free objects in slabs.</param>
/// <param name="Live">Objects that users hold.</param>
/// <param name="Slabs">Slabs of the cache.</param>
/// <param name="ActiveSlabs">Slabs of which an object is in use.</param>
/// <param name="PurgedBytes">Bytes of the slabs that have been given back to the system.</param>
internal readonly unsafe record struct CacheFigures(
    long InMagazines, long InSlabs, long Live, long Slabs, long ActiveSlabs, long PurgedBytes)
{
    /// <summary>Reads a cache's figures.</summary>
    internal static CacheFigures Of(int index)
    {
        ObjectCache* cache = CacheTable.CacheAt(index);
        long inMagazines = 0, inSlabs = 0, slabs = 0, active = 0, purgedPages = 0;
        // Against the way that freed objects go, so that one that moves meanwhile is missed and not counted twice.
        for (int i = 0; i < ObjectCache.NodeCount; i++)
        {
            CacheNode* node = cache->Node(i);
            node->Lock.Acquire();
            inSlabs += (long)node->Slabs.ObjectsInSlabs;
            purgedPages += (long)node->Slabs.PurgedPages;
            slabs += node->Slabs.SlabCount;
            active += node->Slabs.SlabCount - node->Slabs.Count(NodeSlabs.Free);
            node->Lock.Release();
            inMagazines += cache->InDepot(node);
        }
        if (cache->Magazine.Capacity != 0) inMagazines += CountWithThreads(cache);
        long live = Math.Max(0, slabs * cache->ObjectsPerSlab - inSlabs - inMagazines);
        return new CacheFigures(inMagazines, inSlabs, live, slabs, active, purgedPages * (long)VirtualMemory.PageBytes);
    }

    private static long CountWithThreads(ObjectCache* cache)
    {
        int index = cache->Index, returnSide = CacheTable.ReturnSideOf(index);
        int countedSide = CacheTable.CountedSideOf(index);
        long objects = 0;
        ForeignReads.Begin();
        for (int i = 0; i < ThreadRegistry.Count; i++)
        {
            if (!ThreadRegistry.HasMemory(i)) continue;
            ThreadMagazines* magazines = ThreadMagazines.Of(ThreadRegistry.At(i));
            objects += CountLoaded(cache, magazines, index) + CountIn(cache, magazines->Previous(index));
            if (returnSide != index) objects += CountLoaded(cache, magazines, returnSide);
            if (countedSide != 0 && countedSide != returnSide) objects += CountLoaded(cache, magazines, countedSide);
        }
        ForeignReads.End();
        return objects;
    }

    private static int CountLoaded(ObjectCache* cache, ThreadMagazines* magazines, int side)
    {
        nint top = magazines->Loaded(side);
        return magazines->Raised.Contains(side) ? RaisedFloors.Count(cache->Magazine, top) : CountIn(cache, top);
    }

    // A block that is being set up has tops of 0.
    private static int CountIn(ObjectCache* cache, nint top) =>
        top == 0 || top == CacheTable.NoMagazine ? 0 : cache->Magazine.CountOf(top);
}
