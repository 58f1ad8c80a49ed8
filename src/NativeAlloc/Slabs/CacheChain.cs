using NativeAlloc.Pages;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>All caches there are, with their names (<c>cache_chain</c>): those of the size classes, those of magazines, and those that users make.</summary>
internal static unsafe class CacheChain
{
    private static readonly Lock s_lock = new();

    /// <summary>By index; null where there is no cache. Written under the lock, read by any thread.</summary>
    private static readonly string?[] s_names = MakeNames();

    /// <summary>Makes a cache and returns its index; 0 if there are as many as there can be.</summary>
    internal static int Create(string name, nuint objectBytes, delegate*<void*, void> constructor)
    {
        lock (s_lock)
        {
            for (int index = SlabLayer.FirstUserCache; index < SlabLayer.EndOfCaches; index++)
            {
                if (s_names[index] != null) continue;
                SlabLayer.Initialize(index, objectBytes, withMagazines: true, constructor);
                Volatile.Write(ref s_names[index], name);
                return index;
            }
        }
        return 0;
    }

    /// <summary>
    /// Takes a cache down: all its objects are free, and nobody uses it any more. Whatever any thread's magazines hold of it goes back first. Returns how many objects are still live, and
    /// then nothing has changed; 0 when it is gone.
    /// </summary>
    internal static long Destroy(int index)
    {
        lock (s_lock)
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
            Volatile.Write(ref s_names[index], null);
            return 0;
        }
    }

    /// <summary>The caches by index, with their names.</summary>
    internal static IEnumerable<(int Index, string Name)> All()
    {
        for (int index = 1; index < SlabLayer.EndOfCaches; index++)
            if (Volatile.Read(ref s_names[index]) is { } name) yield return (index, name);
    }

    private static string?[] MakeNames()
    {
        string?[] names = new string?[SlabLayer.EndOfCaches];
        for (int index = 1; index < SizeClasses.Count; index++) names[index] = $"size-{SizeClasses.BytesOf(index)}";
        for (int i = 0; i < SlabLayer.MagazineCaches; i++) names[SlabLayer.FirstMagazineCache + i] = $"magazine-{Magazine.SmallestBlockBytes << i}";
        return names;
    }
}
