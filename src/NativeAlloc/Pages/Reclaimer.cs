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
    /// <summary>What the slab layer gives back: a <c>delegate*&lt;bool, nuint&gt;</c>, set once by that layer and read by any thread. 0 as long as it has nothing.</summary>
    private static nint s_caches;

    /// <summary>What the mapping layer gives back: a <c>delegate*&lt;bool, nuint&gt;</c>, as <see cref="s_caches"/>.</summary>
    private static nint s_areas;

    /// <summary>1 when a zone has fallen below its mark and nobody has taken the work up. By Interlocked.</summary>
    private static int s_requested;

    private static long s_runs;

    /// <summary>How often memory was reclaimed.</summary>
    internal static long Runs => Volatile.Read(ref s_runs);

    internal static bool IsRequested => Volatile.Read(ref s_requested) != 0;

    /// <summary>Says how the slab layer gives its caches back to the page layer.</summary>
    /// <param name="release">Gets whether all of them shall go, or only what was not needed since the last call. On any thread, several at a time, and no lock of this library is held. Returns
    /// the bytes given back to the system; what it gives the page layer is none.</param>
    internal static void SetCaches(delegate*<bool, nuint> release) => Volatile.Write(ref s_caches, (nint)release);

    /// <summary>The same for the areas that the mapping layer keeps.</summary>
    /// <param name="release">As <see cref="SetCaches"/>; returns the bytes given back to the system.</param>
    internal static void SetAreas(delegate*<bool, nuint> release) => Volatile.Write(ref s_areas, (nint)release);

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
        ReleaseAreas(all: true);
        PageLayer.Purge();
        ReclaimingThread.t_inside = false;
        return true;
    }

    /// <summary>
    /// For an allocation that has found nothing: gets back what may be just what is missing. False where it is to give up. Where the process' limit was in the way, the cheap things come first: a look at
    /// what the process really has, then everything that nobody misses, then the shrinkers; and what others are purging at this moment is waited for.
    /// </summary>
    /// <param name="bytes">What is missing.</param>
    /// <param name="attempts">How often this was called for the allocation; begins with 0, as <see cref="RefusedThread.t_bytes"/> does.</param>
    /// <param name="shrinkerError">What a shrinker threw.</param>
    internal static bool TryMakeRoom(nuint bytes, ref int attempts, ref Exception? shrinkerError)
    {
        nuint refusedBytes = RefusedThread.t_bytes;
        attempts++;
        if (refusedBytes == 0) return attempts == 1 && Run(bytes, out shrinkerError);
        if (attempts > MostAttempts) return false;
        if (!ResidentBudget.TryRaise(refusedBytes))
        {
            ResidentBudget.CountHit();
            if (attempts != 1) PageLayer.AwaitPurge();
            if (!Run(attempts == 1 ? 0 : Math.Max(bytes, refusedBytes), out Exception? error)) return false;
            shrinkerError = error ?? shrinkerError;
            ResidentBudget.Rearm();
        }
        RefusedThread.t_bytes = 0;
        return true;
    }

    /// <summary>The same for a realloc whose pages can be moved but for the limit: a copy would need more than that refused. False also where something else was in the way.</summary>
    internal static bool TryMakeRoomToMove(ref int attempts)
    {
        Exception? none = null;
        return RefusedThread.t_bytes != 0 && TryMakeRoom(0, ref attempts, ref none);
    }

    // At the limit, where others take what this thread has made room with.
    private const int MostAttempts = 5;

    /// <summary>Gives all that nobody uses back to the system, and returns how many bytes that were. On any thread, also on several at once.</summary>
    internal static nuint GiveBack()
    {
        bool inside = ReclaimingThread.t_inside;
        ReclaimingThread.t_inside = true;
        nuint bytes = ReleaseCaches() + ReleaseAreas(all: true) + PageLayer.Purge();
        ReclaimingThread.t_inside = inside;
        return bytes;
    }

    /// <summary>Gives back what nobody needed since the last call. One thread at a time.</summary>
    internal static void GiveBackUnneeded()
    {
        ReleaseCaches(all: false);
        PageLayer.DrainIdleThreads();
        ReleaseAreas(all: false);
        PageLayer.PurgeUnneeded();
    }

    /// <summary>Gives the caches of all threads that can be reached and of all layers back to the zones. Returns the bytes that the system got.</summary>
    internal static nuint ReleaseCaches()
    {
        nuint bytes = ReleaseCaches(all: true);
        PageLayer.DrainThreads();
        return bytes;
    }

    private static nuint ReleaseCaches(bool all)
    {
        delegate*<bool, nuint> release = (delegate*<bool, nuint>)Volatile.Read(ref s_caches);
        return release != null ? release(all) : 0;
    }

    /// <summary>Gives kept areas back: all of them, or what nobody needed since the last call. Returns the bytes that the system got.</summary>
    internal static nuint ReleaseAreas(bool all)
    {
        delegate*<bool, nuint> release = (delegate*<bool, nuint>)Volatile.Read(ref s_areas);
        return release != null ? release(all) : 0;
    }
}

/// <summary>Whether the calling thread is reclaiming (the kernel's <c>PF_MEMALLOC</c>).</summary>
internal static class ReclaimingThread
{
    [ThreadStatic]
    internal static bool t_inside;
}
