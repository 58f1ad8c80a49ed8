namespace NativeAlloc.Os;

/// <summary>
/// The kinds of request this library makes of the operating system. Tests name them to make one fail.
/// </summary>
internal enum OsCall
{
    Reserve,
    Commit,
    Purge,
    Protect,
    Move,
    CreateFile,
    MapFile,
    PurgeFile,
    GrowFile,
    Lock,
    Unlock,
    Bind,
    Decommit,
    AdviseHuge,
    ReadNodes,
    CurrentProcessor,
    ReadFigure,
}

/// <summary>
/// The way for tests to make any operating system call fail. Nothing is asked on a fast path: the hook is read once per
/// system call, which costs a thousand times more.
/// </summary>
internal static class OsFaults
{
    /// <summary>Any thread, by Volatile; only tests change it.</summary>
    private static Func<OsCall, bool>? s_fails;

    /// <summary>
    /// Decides which calls fail; null (the default) lets all through. It runs inside the allocator and must not
    /// allocate from it.
    /// </summary>
    internal static Func<OsCall, bool>? Fails
    {
        get => Volatile.Read(ref s_fails);
        set => Volatile.Write(ref s_fails, value);
    }

    internal static bool Inject(OsCall call) => Fails is { } fails && fails(call);
}
