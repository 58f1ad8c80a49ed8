using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>
/// Gets memory back when it runs short (<c>try_to_free_pages</c>): caches first, which nobody misses, then what their owners can drop, and in the end
/// the memory behind free pages goes back to the system.
/// </summary>
/// <remarks>
/// There is no thread for it: where a zone falls below its mark, the next allocation that has to leave its fast path does the work before it goes on, on its
/// own thread; and one that found nothing does it before it fails. No lock of this library is held, as a shrinker is user code.
/// </remarks>
internal static unsafe class Reclaimer
{
    /// <summary>Gives the layer above's caches back to the page layer: a <c>delegate*&lt;void&gt;</c>, set once by that layer and read by any thread. 0 as long as it has none.</summary>
    private static nint s_releaseCaches;

    /// <summary>1 when a zone has fallen below its mark and nobody has taken the work up. By Interlocked.</summary>
    private static int s_requested;

    private static long s_runs;

    /// <summary>How often memory was reclaimed.</summary>
    internal static long Runs => Volatile.Read(ref s_runs);

    internal static bool IsRequested => Volatile.Read(ref s_requested) != 0;

    internal static void SetCaches(delegate*<void> release) => Volatile.Write(ref s_releaseCaches, (nint)release);

    /// <summary>Asks for a run by whoever comes first.</summary>
    internal static void Request() => Volatile.Write(ref s_requested, 1);

    /// <summary>Does what was asked for, if nobody else does. Called where the thread holds nothing of this library.</summary>
    internal static void RunRequested()
    {
        if (ReclaimingThread.t_inside || Interlocked.Exchange(ref s_requested, 0) == 0) return;
        uint missing = 0;
        for (int index = 0; index < PageLayer.ZoneCount; index++)
        {
            Zone* zone = PageLayer.ZoneAt(index);
            zone->Lock.Acquire(); // else a new section could come between the two counters
            missing += zone->Marks.MissingPages(zone->OnlinePages - zone->FreePages);
            zone->Lock.Release();
        }
        Run((nuint)missing << LinearRegion.PageShift, out _);
        for (int index = 0; index < PageLayer.ZoneCount; index++)
        {
            Zone* zone = PageLayer.ZoneAt(index);
            zone->Lock.Acquire();
            zone->Marks.Rearm(zone->OnlinePages - zone->FreePages);
            zone->Lock.Release();
        }
    }

    /// <summary>Gets back what can be had. False, and nothing done, where the thread is doing so already: a shrinker that allocates gets what there is.</summary>
    /// <param name="wantedBytes">How much the shrinkers are asked for.</param>
    /// <param name="shrinkerError">What a shrinker threw.</param>
    internal static bool Run(nuint wantedBytes, out Exception? shrinkerError)
    {
        shrinkerError = null;
        if (ReclaimingThread.t_inside) return false;
        ReclaimingThread.t_inside = true;
        Interlocked.Increment(ref s_runs);
        ReleaseCaches();
        if (Shrinkers.Ask(wantedBytes, out shrinkerError) != 0) ReleaseCaches(); // what they freed is in caches now
        PageLayer.Purge();
        ReclaimingThread.t_inside = false;
        return true;
    }

    /// <summary>Gives the caches of all threads that can be reached and of all layers back to the zones.</summary>
    internal static void ReleaseCaches()
    {
        delegate*<void> release = (delegate*<void>)Volatile.Read(ref s_releaseCaches);
        if (release != null) release();
        PageLayer.DrainThreads();
    }
}

/// <summary>Whether the calling thread is reclaiming (the kernel's <c>PF_MEMALLOC</c>).</summary>
internal static class ReclaimingThread
{
    [ThreadStatic]
    internal static bool t_inside;
}
