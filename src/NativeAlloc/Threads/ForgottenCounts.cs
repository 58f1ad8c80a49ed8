using NativeAlloc.Os;

namespace NativeAlloc.Threads;

/// <summary>
/// Counters of thread blocks that were forgotten: a sum over all threads has these beside those of the blocks. A
/// thread that moves counters here says so, and a reader that was overtaken reads again: a counter is in one of the two
/// places, never in both.
/// </summary>
internal static class ForgottenCounts
{
    /// <summary>Odd while counters are moved; one thread at a time. Any thread, by Volatile.</summary>
    private static int s_version;

    private static NativeLock s_lock;

    /// <summary>Begins moving counters of a block.</summary>
    internal static void BeginMove()
    {
        s_lock.Acquire();
        Interlocked.Increment(ref s_version);
    }

    internal static void EndMove()
    {
        Interlocked.Increment(ref s_version);
        s_lock.Release();
    }

    /// <summary>What to give to <see cref="HasMoved"/> when the sum is made.</summary>
    internal static int BeginSum() => Volatile.Read(ref s_version);

    /// <summary>Whether counters were moved since, so that the sum has to be made again.</summary>
    internal static bool HasMoved(int version)
    {
        Interlocked.MemoryBarrier();
        return (version & 1) != 0 || Volatile.Read(ref s_version) != version;
    }
}
