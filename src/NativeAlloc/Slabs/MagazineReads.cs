using NativeAlloc.Os;

namespace NativeAlloc.Slabs;

/// <summary>
/// Threads that read magazines which may go back meanwhile: the one on top of a depot, which another thread may pop,
/// and those of other threads. What they read may be anything, and they find out. But it has to be readable, so a
/// section goes offline only after all that had begun to read before it was free have ended.
/// </summary>
/// <remarks>
/// A reader counts itself, then looks for a magazine. A thread that takes a section offline first has it free, out of
/// the zone's lists, then looks at the counts. Between the two steps of both stands a barrier: so a reader that the
/// counts do not show finds only magazines that are still there.
/// </remarks>
internal static unsafe class MagazineReads
{
    // A reader needs some microseconds, unless it is held up.
    private const int MostTries = 100;

    /// <summary>Threads that read magazines of other threads. By Interlocked.</summary>
    private static int s_readers;

    /// <summary>The calling thread begins to read magazines of other threads.</summary>
    internal static void Begin() => Interlocked.Increment(ref s_readers);

    /// <summary>It has ended.</summary>
    internal static void End() => Interlocked.Decrement(ref s_readers);

    /// <summary>
    /// Waits for those who had begun to read before. False where one has not ended after some time.
    /// </summary>
    internal static bool TryAwait()
    {
        Interlocked.MemoryBarrier();
        for (int tries = 0; IsAny(); tries++)
        {
            if (tries == MostTries) return false;
            SchedulePoint.GiveWay();
            Thread.Yield();
        }
        return true;
    }

    // A cache that is being taken down has no users, so nobody else pops what the thread that does it reads.
    private static bool IsAny()
    {
        if (Volatile.Read(ref s_readers) != 0) return true;
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
