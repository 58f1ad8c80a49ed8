namespace NativeAlloc.Common;

/// <summary>
/// Counts blocks whose owners were collected before they were disposed of. The blocks stay allocated: a span or a
/// pointer into them may still be in use, and does not keep the owner alive.
/// </summary>
/// <remarks>It is called by finalizers, so it allocates nothing and throws nothing.</remarks>
internal static class ForgottenBlocks
{
    /// <summary>Any thread, by Interlocked and Volatile.</summary>
    private static long s_count, s_bytes;

    /// <summary>Blocks that were forgotten so far.</summary>
    internal static long Count => Volatile.Read(ref s_count);

    /// <summary>Bytes of them, as asked for.</summary>
    internal static nuint Bytes => (nuint)Volatile.Read(ref s_bytes);

    internal static void Add(nuint bytes)
    {
        Interlocked.Increment(ref s_count);
        Interlocked.Add(ref s_bytes, unchecked((long)bytes));
    }
}
