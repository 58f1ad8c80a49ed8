namespace NativeAlloc.Os;

/// <summary>
/// Counters of rare events that belong to no object. Any thread, by Interlocked; each event costs at least a system
/// call or an exception, so sharing them does no harm.
/// </summary>
internal static class SystemCounters
{
    private static long s_purgedBytes, s_movedBytes, s_reallocCopiedBytes;

    /// <summary>
    /// Bytes that were given back to the system: of memory that had been handed out, whether it was written to or not.
    /// </summary>
    internal static long PurgedBytes => Volatile.Read(ref s_purgedBytes);

    /// <summary>Bytes whose memory went from one address to another without being copied.</summary>
    internal static long MovedBytes => Volatile.Read(ref s_movedBytes);

    /// <summary>Bytes that realloc copied on threads that have no block of their own to count them in.</summary>
    internal static long ReallocCopiedBytes => Volatile.Read(ref s_reallocCopiedBytes);

    internal static void CountPurged(nuint bytes)
    {
        Interlocked.Add(ref s_purgedBytes, (long)bytes);
        EventRing.Raise(EventKind.Purged, bytes);
    }

    internal static void CountMoved(nuint bytes) => Interlocked.Add(ref s_movedBytes, (long)bytes);

    internal static void CountReallocCopied(nuint bytes) => Interlocked.Add(ref s_reallocCopiedBytes, (long)bytes);
}
