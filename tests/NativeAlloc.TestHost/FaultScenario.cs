namespace NativeAlloc.TestHost;

/// <summary>
/// A way through a part of the API that makes it grow and give back. Each step may end as out of memory, which is
/// counted, and in no other bad way; what was taken holds its pattern whatever failed before or after.
/// </summary>
internal abstract class FaultScenario
{
    private ulong _lastId;

    /// <summary>Steps that ended as out of memory.</summary>
    internal int Failures { get; private set; }

    /// <summary>Goes the whole way.</summary>
    internal abstract void Run();

    /// <summary>Throws if a live block does not hold its pattern.</summary>
    internal abstract void CheckAll();

    /// <summary>Frees whatever is left.</summary>
    internal abstract void FreeAll();

    protected ulong NextId() => ++_lastId;

    /// <summary>Takes a step; false where it ended as out of memory.</summary>
    protected bool Try(Action step)
    {
        try
        {
            step();
            return true;
        }
        catch (OutOfMemoryException)
        {
            Failures++;
            return false;
        }
    }

    /// <summary>Takes steps on a thread that ends then, and has what it left given back.</summary>
    protected static void OnAnotherThread(Action steps)
    {
        TestThread.RunOnNew(steps);
        NativeAllocator.Trim();
    }
}
