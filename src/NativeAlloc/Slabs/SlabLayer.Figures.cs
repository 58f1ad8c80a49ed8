using NativeAlloc.Os;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <content>Seeing inside: where the objects of each cache are, and whether everything is in order.</content>
internal static unsafe partial class SlabLayer
{
    /// <summary>Where a cache's objects are. The threads' magazines are read while they are in use, so the figures are estimates then.</summary>
    internal static CacheFigures Count(int index)
    {
        ObjectCache* cache = CacheAt(index);
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
        for (int i = 0; i < ThreadRegistry.Count; i++)
        {
            ThreadMagazines* magazines = ThreadMagazines.Of(ThreadRegistry.At(i));
            inMagazines += CountLoaded(cache, magazines, index) + CountIn(cache, magazines->Previous(index));
            if (ReturnSideOf(index) != index) inMagazines += CountLoaded(cache, magazines, ReturnSideOf(index));
        }
        return new CacheFigures(inMagazines, inSlabs, Math.Max(0, slabs * cache->ObjectsPerSlab - inSlabs - inMagazines), slabs, active, purgedPages * (long)VirtualMemory.PageBytes);
    }

    /// <summary>What misses of the fast paths came to, over all threads.</summary>
    internal static void CountExchanges(out long depot, out long slabs)
    {
        depot = slabs = 0;
        for (int i = 0; i < ThreadRegistry.Count; i++)
        {
            ThreadMagazines* magazines = ThreadMagazines.Of(ThreadRegistry.At(i));
            depot += (long)Volatile.Read(ref magazines->DepotExchanges);
            slabs += (long)Volatile.Read(ref magazines->SlabExchanges);
        }
    }

    private static int CountLoaded(ObjectCache* cache, ThreadMagazines* magazines, int side)
    {
        nint top = magazines->Loaded(side);
        return magazines->Raised.Contains(side) ? RaisedFloors.Count(cache->Magazine, top) : CountIn(cache, top);
    }

    // A block that is being set up has tops of 0.
    private static int CountIn(ObjectCache* cache, nint top) => top == 0 || top == s_noMagazine ? 0 : cache->Magazine.CountOf(top);

    /// <summary>Objects of a cache by where they are, its slabs (all, and those of which an object is in use), and what of their memory is given back.</summary>
    internal readonly record struct CacheFigures(long InMagazines, long InSlabs, long Live, long Slabs, long ActiveSlabs, long PurgedBytes);

    /// <summary>Checks every cache. Throws where something is wrong.</summary>
    internal static void Verify()
    {
        for (int index = 1; index < EndOfCaches; index++)
        {
            if (!CacheAt(index)->TryEnter()) continue;
            try
            {
                CacheAt(index)->Verify();
            }
            finally
            {
                CacheAt(index)->Leave();
            }
        }
    }
}
