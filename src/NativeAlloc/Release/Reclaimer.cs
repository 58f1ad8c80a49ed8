using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;

namespace NativeAlloc.Release;

/// <summary>
/// Gets memory back from all layers (<c>try_to_free_pages</c>): caches first, which no program misses, then what
/// shrinkers can drop, and in the end the memory behind free pages goes back to the system.
/// </summary>
/// <remarks>Any member may run on any thread, and on several at once. The caller holds no lock of this library, as a
/// shrinker is user code.</remarks>
internal static class Reclaimer
{
    private static long s_runs;

    /// <summary>How often memory was reclaimed for an allocation that had found none.</summary>
    internal static long Runs => Volatile.Read(ref s_runs);

    /// <summary>
    /// Gets back what can be had. False, and nothing done, where the thread is doing so already: a shrinker that
    /// allocates gets what there is.
    /// </summary>
    /// <param name="wantedBytes">How much the shrinkers are asked for; 0 for not asking them.</param>
    /// <param name="shrinkerError">What a shrinker threw.</param>
    internal static bool Run(nuint wantedBytes, out Exception? shrinkerError)
    {
        shrinkerError = null;
        if (MemorySignals.t_isReclaiming) return false;
        MemorySignals.t_isReclaiming = true;
        Interlocked.Increment(ref s_runs);
        EventRing.Raise(EventKind.Reclaimed, wantedBytes);
        ReleaseCaches();
        if (Shrinkers.Ask(wantedBytes, out shrinkerError) != 0) ReleaseCaches(); // what they freed is in caches now
        ReleaseAreas();
        PageLayer.Purge();
        MemorySignals.t_isReclaiming = false;
        return true;
    }

    /// <summary>Gives all that is not in use back to the system, and returns how many bytes that were.</summary>
    internal static nuint GiveBack()
    {
        bool inside = MemorySignals.t_isReclaiming;
        MemorySignals.t_isReclaiming = true;
        nuint bytes = ReleaseCaches() + ReleaseAreas() + PageLayer.Purge();
        PageLayer.AwaitPurge(); // blocks that another thread is purging are in no list
        MemorySignals.t_isReclaiming = inside;
        return bytes;
    }

    /// <summary>
    /// The same for a user who asks for it: then also what came to free pages though nobody used them.
    /// </summary>
    internal static nuint Trim()
    {
        nuint bytes = GiveBack();
        PageLayer.PurgeClean();
        // A shrinker's: the allocation that asked it needs what is free, and the system might not give it again.
        if (!MemorySignals.t_isReclaiming) SectionRelease.TakeSectionsOffline();
        return bytes;
    }

    /// <summary>Gives back what was not needed since the last call. One thread at a time.</summary>
    /// <param name="periodMilliseconds">Areas that were kept for so long go.</param>
    internal static void GiveBackUnneeded(int periodMilliseconds)
    {
        CacheRelease.Release(all: false);
        PageLayer.DrainIdleThreads();
        Areas.Release(keptBefore: Environment.TickCount64 - periodMilliseconds);
        PageLayer.PurgeUnneeded();
    }

    /// <summary>
    /// Gives back so much of what is free and cached by no thread, or what there is: free pages first, then kept areas.
    /// Returns the bytes.
    /// </summary>
    internal static nuint ReleaseFree(nuint wantedBytes)
    {
        bool inside = MemorySignals.t_isReclaiming;
        MemorySignals.t_isReclaiming = true;
        uint free = PageLayer.DirtyFreePages();
        uint wanted = (uint)Math.Min((wantedBytes + (PageGeometry.PageBytes - 1)) >> PageGeometry.PageShift, free);
        nuint bytes = wanted == 0 ? 0 : PageLayer.PurgeDownTo(free - wanted);
        if (bytes < wantedBytes) bytes += ReleaseAreas();
        MemorySignals.t_isReclaiming = inside;
        return bytes;
    }

    /// <summary>
    /// Gives the caches of all threads that can be reached and of all layers back to the zones. Returns the bytes that
    /// the system got.
    /// </summary>
    internal static nuint ReleaseCaches()
    {
        nuint bytes = CacheRelease.Release(all: true);
        PageLayer.DrainThreads();
        return bytes;
    }

    /// <summary>
    /// Gives so much of the memory back that kept areas have, or what there is. The areas stay, for the next requests.
    /// </summary>
    internal static void PurgeAreas(nuint wantedBytes)
    {
        if (wantedBytes != 0) Areas.Purge(wantedBytes);
    }

    /// <summary>Gives all kept areas back. Returns the bytes that the system got.</summary>
    internal static nuint ReleaseAreas() => Areas.Release(keptBefore: long.MaxValue);
}
