using NativeAlloc.Slabs;

namespace NativeAlloc.TestHost;

/// <summary>
/// A heap in a process that has as many caches as it can: it refuses what needs a cache of its own, counts nothing for
/// it, and gives what needs none.
/// </summary>
internal static unsafe class CacheLimit
{
    internal const string Name = "cache-limit";

    private const int Tries = 10, LargeBytes = 1 << 20;

    internal static int Run()
    {
        using NativeHeap heap = new("late");
        object owner = new();
        List<int> caches = [];
        while (CacheChain.Create("one-of-many", 64, null, owner, wide: true) is var index and not 0) caches.Add(index);
        for (int i = 0; i < Tries; i++)
            if (heap.TryAlloc(100, out void* none) || none != null) return ProcessLimit.Complain("there is a cache");
        if (!Throws(() => heap.Alloc(100)) || !Throws(() => heap.AllocZeroed(100)))
            return ProcessLimit.Complain("Alloc does not say that there are too many caches");
        if (heap.LiveBytes != 0) return ProcessLimit.Complain($"{heap.LiveBytes} bytes are counted for nothing");
        heap.Verify();
        void* large = heap.Alloc(LargeBytes);
        if (heap.Realloc(large, 100) != large) return ProcessLimit.Complain("a block went where there is no cache");
        if (heap.LiveBytes != LargeBytes) return ProcessLimit.Complain($"{heap.LiveBytes} bytes are counted");
        CacheChain.Destroy(caches[0]);
        if (!heap.TryAlloc(100, out _)) return ProcessLimit.Complain("there is no cache though one has gone");
        heap.Verify();
        GC.KeepAlive(owner);
        return 0;
    }

    private static bool Throws(Action action)
    {
        try
        {
            action();
            return false;
        }
        catch (InvalidOperationException error)
        {
            return error.Message.Contains(" slab caches already", StringComparison.Ordinal);
        }
    }
}
