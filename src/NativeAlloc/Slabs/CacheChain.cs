using NativeAlloc.Os;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>All caches there are, with their names (<c>cache_chain</c>): those of the size classes, those of magazines, and those that users make.</summary>
internal static unsafe class CacheChain
{
    // Not a managed lock: a wait for that can be interrupted, and a cache would be left half taken down.
    private static NativeLock s_lock;

    /// <summary>By index; null where there is no cache. Written under the lock, read by any thread.</summary>
    private static readonly string?[] s_names = MakeNames();

    /// <summary>By index, the object through which a user has the cache. Where the collector has taken it, the cache is dropped.</summary>
    private static readonly WeakReference?[] s_owners = new WeakReference?[SlabLayer.EndOfCaches];

    internal static uint LockAcquisitions => s_lock.Acquisitions;

    /// <summary>
    /// Makes a cache and returns its index; 0 if there are as many as there can be. Dropped caches that have no live objects are
    /// taken down first.
    /// </summary>
    /// <param name="owner">The object without which nobody can allocate from the cache.</param>
    internal static int Create(string name, nuint objectBytes, delegate*<void*, void> constructor, object owner)
    {
        WeakReference weak = new(owner);
        DestroyDropped();
        int made = 0;
        s_lock.Acquire();
        for (int index = SlabLayer.FirstUserCache; index < SlabLayer.EndOfCaches && made == 0; index++)
        {
            if (s_names[index] != null) continue;
            SlabLayer.Initialize(index, objectBytes, withMagazines: true, constructor);
            Volatile.Write(ref s_owners[index], weak);
            Volatile.Write(ref s_names[index], name);
            made = index;
        }
        s_lock.Release();
        return made;
    }

    /// <summary>Whether nobody has the cache any more, though it was not disposed of.</summary>
    private static bool IsDropped(int index) => Volatile.Read(ref s_owners[index]) is { IsAlive: false };

    // Their objects can still be freed, by NativeAllocator.Free; when none is left, nobody can come to the cache any more. A thread
    // that moves a magazine just then would have its objects counted twice, so none may; then only live objects are missing.
    private static void DestroyDropped()
    {
        int first = SlabLayer.FirstUserCache;
        while (first < SlabLayer.EndOfCaches && !IsDropped(first)) first++;
        if (first == SlabLayer.EndOfCaches || !Recall.TryClaimAll(out ClaimRound<ThreadMagazines, ProcessorSteps> round)) return;
        for (int index = first; index < SlabLayer.EndOfCaches; index++)
            if (IsDropped(index)) Destroy(index);
        round.End();
    }

    /// <summary>
    /// Takes a cache down: all its objects are free, and nobody uses it any more. Whatever any thread's magazines hold of it goes
    /// back first. Returns how many objects are still live, and then nothing has changed; 0 when it is gone, also where another
    /// thread was faster.
    /// </summary>
    internal static long Destroy(int index)
    {
        s_lock.Acquire();
        long live = 0;
        if (s_names[index] != null)
        {
            live = DestroyLocked(index);
            if (live == 0)
            {
                Volatile.Write(ref s_owners[index], null);
                Volatile.Write(ref s_names[index], null);
            }
        }
        s_lock.Release();
        return live;
    }

    private static long DestroyLocked(int index)
    {
        ObjectCache* cache = SlabLayer.CacheAt(index);
        cache->Close(); // whoever is putting objects back has put them back then
        for (int i = 0; i < ThreadRegistry.Count; i++)
            RaisedFloors.Lower(cache, ThreadMagazines.Of(ThreadRegistry.At(i)), index);
        long live = SlabLayer.Count(index).Live;
        if (live != 0)
        {
            cache->Open();
            return live;
        }
        for (int i = 0; i < ThreadRegistry.Count; i++) SlabLayer.DrainMagazines(ThreadRegistry.At(i), null, index);
        SlabLayer.DrainDepots(cache, null);
        SlabLayer.Shrink(cache, null);
        cache->Remove();
        return 0;
    }

    /// <summary>The caches by index, with their names; behind that of a dropped one stands that it is dropped.</summary>
    internal static IEnumerable<(int Index, string Name)> All()
    {
        for (int index = 1; index < SlabLayer.EndOfCaches; index++)
            if (Volatile.Read(ref s_names[index]) is { } name) yield return (index, IsDropped(index) ? name + "(dropped)" : name);
    }

    private static string?[] MakeNames()
    {
        string?[] names = new string?[SlabLayer.EndOfCaches];
        for (int index = 1; index < SizeClasses.Count; index++) names[index] = $"size-{SizeClasses.BytesOf(index)}";
        for (int i = 0; i < SlabLayer.MagazineCaches; i++) names[SlabLayer.FirstMagazineCache + i] = $"magazine-{Magazine.SmallestBlockBytes << i}";
        return names;
    }
}
