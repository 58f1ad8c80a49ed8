using NativeAlloc.Os;

namespace NativeAlloc.TestHost;

/// <summary>
/// Which system calls are to fail: the n-th of one kind, or of any where none is named, or that one and all that
/// follow.
/// </summary>
internal sealed class FaultPlan(OsCall? kind, int first, bool andAllLater)
{
    private int _seen, _injected;

    /// <summary>The number of the first call that fails, from 0 on.</summary>
    internal int First => first;

    /// <summary>Calls of the kind so far.</summary>
    internal int Seen => Volatile.Read(ref _seen);

    /// <summary>How many of them were made to fail.</summary>
    internal int Injected => Volatile.Read(ref _injected);

    /// <summary>Runs something with the plan in force.</summary>
    internal void Run(Action action)
    {
        OsFaults.Fails = Fails;
        try
        {
            action();
        }
        finally
        {
            OsFaults.Fails = null;
        }
    }

    private bool Fails(OsCall call)
    {
        if (kind != null && call != kind) return false;
        int number = Interlocked.Increment(ref _seen) - 1;
        bool fails = andAllLater ? number >= first : number == first;
        if (fails) Interlocked.Increment(ref _injected);
        return fails;
    }
}
