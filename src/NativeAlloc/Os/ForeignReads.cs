namespace NativeAlloc.Os;

/// <summary>
/// Threads that read memory which may go back meanwhile: they find out that what they read is void, but it has to be
/// readable. So memory that becomes inaccessible does so only after all that had begun to read before have ended.
/// </summary>
/// <remarks>
/// A reader counts itself, then looks for what it reads. Who makes memory inaccessible has it out of all lists first,
/// then looks at the count. Between the two steps of both stands a barrier: so a reader that the count does not show
/// finds only memory that is still there.
/// </remarks>
internal static class ForeignReads
{
    // A reader needs some microseconds, unless it is held up.
    private const int MostTries = 100;

    /// <summary>Threads that read such memory. By Interlocked.</summary>
    private static int s_readers;

    /// <summary>Whether a thread reads.</summary>
    internal static bool IsAny => Volatile.Read(ref s_readers) != 0;

    /// <summary>The calling thread begins to read. It gives no memory back until it has ended.</summary>
    internal static void Begin() => Interlocked.Increment(ref s_readers);

    /// <summary>It has ended.</summary>
    internal static void End() => Interlocked.Decrement(ref s_readers);

    /// <summary>
    /// Waits for those who had begun to read before. False where one has not ended after some time.
    /// </summary>
    internal static bool TryAwait()
    {
        Interlocked.MemoryBarrier();
        int tries = 0;
        while (IsAny)
            if (!TryPause(ref tries)) return false;
        return true;
    }

    /// <summary>Gives way to those who read; false when that was often enough.</summary>
    /// <param name="tries">How often it was, from 0 on.</param>
    internal static bool TryPause(ref int tries)
    {
        if (tries++ == MostTries) return false;
        SchedulePoint.GiveWay();
        Thread.Yield();
        return true;
    }
}
