using NativeAlloc.Os;

namespace NativeAlloc.Slabs;

/// <summary>
/// Threads that read magazines which may go back meanwhile: those of other threads, who count themselves
/// (<see cref="ForeignReads"/>), and the one on top of a depot, which another thread may pop.
/// </summary>
internal static unsafe class MagazineReads
{
    /// <summary>
    /// Waits for those who had begun to read before. False where one has not ended after some time.
    /// </summary>
    internal static bool TryAwait()
    {
        Interlocked.MemoryBarrier();
        int tries = 0;
        while (IsAny())
            if (!ForeignReads.TryPause(ref tries)) return false;
        return true;
    }

    // A cache that is being taken down has no users, so nobody else pops what the thread that does it reads.
    private static bool IsAny()
    {
        if (ForeignReads.IsAny) return true;
        bool any = false;
        for (int index = CacheTable.Next(0); index != 0 && !any; index = CacheTable.Next(index))
        {
            ObjectCache* cache = CacheTable.CacheAt(index);
            if (cache->Magazine.Capacity == 0 || !cache->TryEnter()) continue;
            for (int node = 0; node < ObjectCache.NodeCount; node++) any |= cache->Node(node)->Depot.IsBeingPopped;
            cache->Leave();
        }
        return any;
    }
}
