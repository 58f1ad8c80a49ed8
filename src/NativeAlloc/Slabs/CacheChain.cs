using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>
/// All caches there are, with their names (<c>cache_chain</c>): those of the size classes, those of magazines, and
/// those that users make.
/// </summary>
internal static unsafe class CacheChain
{
    // Not a managed lock: a wait for that can be interrupted, and a cache would be left half taken down.
    private static NativeLock s_lock;

    /// <summary>
    /// By index; null where there is no cache. Written under the lock, read by any thread; a larger array takes its
    /// place.
    /// </summary>
    private static string?[] s_names = MakeNames();

    /// <summary>
    /// By index, the object through which a user has the cache. Where the collector has taken it, the cache is dropped.
    /// The references are long ones: a finalizer may still use the object. As <see cref="s_names"/>.
    /// </summary>
    private static WeakReference?[] s_owners = new WeakReference?[CacheTable.Sides];

    /// <summary>Collections at the last look for dropped caches: no object goes without one. Any thread.</summary>
    private static int s_collectionsAtLook;

    internal static uint LockAcquisitions => s_lock.Acquisitions;

    /// <summary>
    /// Makes a cache and returns its index; 0 if there are as many as there can be, or no memory for the table of
    /// caches. Dropped caches that have no live objects are taken down first.
    /// </summary>
    /// <param name="name">What it is called in reports.</param>
    /// <param name="objectBytes">Bytes from one object to the next.</param>
    /// <param name="constructor">Runs once for each object of a new slab; null for none.</param>
    /// <param name="owner">The object without which no thread can allocate from the cache.</param>
    /// <param name="heapBytes">For a cache of a heap, the heap's count of bytes.</param>
    /// <param name="wide">Threads have no magazines of it.</param>
    internal static int Create(string name, nuint objectBytes, delegate*<void*, void> constructor, object owner,
        long* heapBytes = null, bool wide = false)
    {
        WeakReference weak = new(owner, trackResurrection: true);
        DestroyDropped();
        while (true)
        {
            string?[] names = Volatile.Read(ref s_names);
            int index = CreateLocked(name, objectBytes, constructor, weak, heapBytes, wide);
            if (index >= 0) return index;
            Grow(names.Length * 2); // allocates managed memory, so not under the lock
        }
    }

    /// <inheritdoc cref="CacheTable.TryReserveCountedSide"/>
    internal static bool TryReserveCountedSide(int sizeClass)
    {
        s_lock.Acquire();
        bool reserved = CacheTable.TryReserveCountedSide(sizeClass);
        s_lock.Release();
        return reserved;
    }

    // The index, 0 where there is none, or -1 where the arrays have to grow first.
    private static int CreateLocked(string name, nuint objectBytes, delegate*<void*, void> constructor,
        WeakReference owner, long* heapBytes, bool wide)
    {
        s_lock.Acquire();
        int made = 0;
        if (CacheTable.TryAdd(objectBytes, constructor, heapBytes, wide, out int index))
        {
            made = index < s_names.Length ? index : -1;
            if (made < 0)
            {
                CacheTable.CacheAt(index)->Close();
                CacheTable.Remove(index);
            }
            else
            {
                Volatile.Write(ref s_owners[index], owner);
                Volatile.Write(ref s_names[index], name);
            }
        }
        s_lock.Release();
        return made;
    }

    private static void Grow(int length)
    {
        string?[] names = new string?[length];
        WeakReference?[] owners = new WeakReference?[length];
        s_lock.Acquire();
        if (s_names.Length < length)
        {
            s_names.CopyTo(names, 0);
            s_owners.CopyTo(owners, 0);
            Volatile.Write(ref s_owners, owners);
            Volatile.Write(ref s_names, names);
        }
        s_lock.Release();
    }

    /// <summary>Whether no user has the cache any more, though it was not disposed of.</summary>
    private static bool IsDropped(int index)
    {
        WeakReference?[] owners = Volatile.Read(ref s_owners);
        return index < owners.Length && Volatile.Read(ref owners[index]) is { IsAlive: false };
    }

    // Their objects can still be freed, by NativeAllocator.Free; when none is left, no user can come to the cache any
    // more.
    private static void DestroyDropped()
    {
        int collections = GC.CollectionCount(0);
        if (Interlocked.Exchange(ref s_collectionsAtLook, collections) == collections) return;
        int first = CacheTable.FirstUserCache - 1;
        for (int index = CacheTable.Next(first); index != 0; index = CacheTable.Next(index))
            if (IsDropped(index)) Destroy(index, onlyDropped: true);
    }

    /// <summary>
    /// Takes a cache down: all its objects are free, and no thread uses it any more. What the threads' magazines hold
    /// of it goes back first. Returns how many objects are still live, and then nothing has changed; 0 when it is gone,
    /// also where another thread was faster.
    /// </summary>
    internal static long Destroy(int index) => Destroy(index, onlyDropped: false);

    // Several threads may look for dropped caches: by the time that one has the lock, another may have taken the cache
    // down and made a new one at its index.
    private static long Destroy(int index, bool onlyDropped)
    {
        s_lock.Acquire();
        long live = 0;
        if (s_names[index] != null && (!onlyDropped || IsDropped(index)))
        {
            live = DestroyLocked(index);
            if (live == 0) Remove(index);
        }
        s_lock.Release();
        return live;
    }

    /// <summary>
    /// Gives all slabs of a cache of a heap back, with what is in use of them. Nobody uses the cache meanwhile, and the
    /// caller keeps its owner alive: else it would be taken down as a dropped one.
    /// </summary>
    /// <param name="index">The cache.</param>
    /// <param name="own">The calling thread's pages.</param>
    /// <param name="keep">The cache stays, empty; else it is gone.</param>
    internal static void Empty(int index, ThreadPages* own, bool keep)
    {
        ObjectCache* cache = CacheTable.CacheAt(index);
        cache->Close();
        for (int node = 0; node < ObjectCache.NodeCount; node++)
            cache->GiveSlabs(own, cache->TakeAllSlabs(cache->Node(node)));
        if (keep)
        {
            cache->Open();
            return;
        }
        s_lock.Acquire();
        Remove(index);
        s_lock.Release();
    }

    private static void Remove(int index)
    {
        Volatile.Write(ref s_owners[index], null);
        Volatile.Write(ref s_names[index], null);
        CacheTable.Remove(index);
    }

    private static long DestroyLocked(int index)
    {
        ObjectCache* cache = CacheTable.CacheAt(index);
        // From here on no visitor moves objects or magazines, which would be counted twice. What is left is a push on
        // the fast path: an object that is counted as live until it is in the magazine.
        cache->Close();
        long live = CacheFigures.Of(index).Live;
        if (live != 0)
        {
            cache->Open();
            return live;
        }
        // Now no owner is on a fast path of the cache either, so magazines of others can be moved. Their last pushes
        // have to be seen as a whole: the count has seen the top of a magazine, and what follows reads its slots.
        bool hasMagazines = cache->Magazine.Capacity != 0;
        if (hasMagazines) Interlocked.MemoryBarrierProcessWide();
        for (int i = 0; hasMagazines && i < ThreadRegistry.Count; i++)
        {
            byte* block = ThreadRegistry.At(i);
            if (!ThreadRegistry.HasContents(block)) continue;
            RaisedFloors.Lower(cache, ThreadMagazines.Of(block), index);
            CacheRelease.DrainMagazines(block, null, index);
        }
        CacheRelease.DrainDepots(cache, null);
        CacheRelease.Shrink(cache, null);
        return 0;
    }

    /// <summary>
    /// The caches by index, with their names; behind that of a dropped one stands that it is dropped.
    /// </summary>
    internal static IEnumerable<(int Index, string Name)> All()
    {
        for (int index = CacheTable.Next(0); index != 0; index = CacheTable.Next(index))
            if (NameOf(index) is { } name) yield return (index, IsDropped(index) ? name + "(dropped)" : name);
    }

    // Null where the cache is just being made or taken down.
    private static string? NameOf(int index)
    {
        string?[] names = Volatile.Read(ref s_names);
        return index < names.Length ? Volatile.Read(ref names[index]) : null;
    }

    private static string?[] MakeNames()
    {
        string?[] names = new string?[CacheTable.Sides];
        for (int index = 1; index < SizeClasses.Count; index++) names[index] = $"size-{SizeClasses.BytesOf(index)}";
        for (int i = 0; i < CacheTable.MagazineCaches; i++)
            names[CacheTable.FirstMagazineCache + i] = $"magazine-{Magazine.SmallestBlockBytes << i}";
        return names;
    }
}
