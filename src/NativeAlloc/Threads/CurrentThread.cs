namespace NativeAlloc.Threads;

/// <summary>
/// The calling thread's block of native memory. The field stands alone in a class without initialisers or static
/// constructor: only then is reading it a single call of the system's thread-local lookup, with no check before it.
/// Read it once per operation and pass it down.
/// </summary>
internal static unsafe class CurrentThread
{
    /// <summary>
    /// The thread's <see cref="ThreadBlock"/>, null before its first slow path and after it released its cache. Owner
    /// thread only.
    /// </summary>
    [ThreadStatic]
    internal static nint* t_block;
}

/// <summary>Whether the calling thread is getting a block at this moment.</summary>
internal static class AttachingThread
{
    [ThreadStatic]
    internal static bool t_inside;
}
