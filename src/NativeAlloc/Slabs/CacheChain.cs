using NativeAlloc.Pages;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>
/// All caches there are, with their names (<c>cache_chain</c>): those of the size classes, those of magazines, and
/// those that users make.
/// </summary>
internal static unsafe class CacheChain
{
    private static readonly Lock s_lock = new();

    /// <summary>
    /// By index; null where there is no cache. Written under the lock, read by any thread; a larger array takes its
    /// place.
    /// </summary>
    private static string?[] s_names = MakeNames();

    /// <summary>
    /// Makes a cache and returns its index; 0 if there are as many as there can be, or no memory for the table of
    /// caches.
    /// </summary>
    internal static int Create(string name, nuint objectBytes, delegate*<void*, void> constructor)
    {
        lock (s_lock)
        {
            if (!CacheTable.TryAdd(objectBytes, constructor, out int index)) return 0;
            string?[] names = s_names;
            if (index >= names.Length)
            {
                Array.Resize(ref names, index * 2);
                Volatile.Write(ref s_names, names);
            }
            Volatile.Write(ref names[index], name);
            return index;
        }
    }

    /// <summary>
    /// Takes a cache down: all its objects are free, and no thread uses it any more. What the threads' magazines hold
    /// of it goes back first. Returns how many objects are still live, and then nothing has changed; 0 when it is gone.
    /// </summary>
    internal static long Destroy(int index)
    {
        lock (s_lock)
        {
            ObjectCache* cache = CacheTable.CacheAt(index);
            cache->Close(); // visitors that put objects back have put them back then
            bool hasMagazines = cache->Magazine.Capacity != 0;
            for (int i = 0; hasMagazines && i < ThreadRegistry.Count; i++)
                Recall.Settle(cache, ThreadMagazines.Of(ThreadRegistry.At(i)), index);
            long live = CacheFigures.Of(index).Live;
            if (live != 0)
            {
                cache->Open();
                return live;
            }
            for (int i = 0; hasMagazines && i < ThreadRegistry.Count; i++)
                CacheRelease.DrainMagazines(ThreadRegistry.At(i), null, index);
            CacheRelease.DrainDepots(cache, null);
            CacheRelease.Shrink(cache, null);
            Volatile.Write(ref s_names[index], null);
            CacheTable.Remove(index);
            return 0;
        }
    }

    /// <summary>The caches by index, with their names.</summary>
    internal static IEnumerable<(int Index, string Name)> All()
    {
        for (int index = CacheTable.Next(0); index != 0; index = CacheTable.Next(index))
            if (NameOf(index) is { } name) yield return (index, name);
    }

    // Null where the cache is just being made or taken down.
    private static string? NameOf(int index)
    {
        string?[] names = Volatile.Read(ref s_names);
        return index < names.Length ? Volatile.Read(ref names[index]) : null;
    }

    private static string?[] MakeNames()
    {
        string?[] names = new string?[CacheTable.FirstUserCache];
        for (int index = 1; index < SizeClasses.Count; index++) names[index] = $"size-{SizeClasses.BytesOf(index)}";
        for (int i = 0; i < CacheTable.MagazineCaches; i++)
            names[CacheTable.FirstMagazineCache + i] = $"magazine-{Magazine.SmallestBlockBytes << i}";
        return names;
    }
}
