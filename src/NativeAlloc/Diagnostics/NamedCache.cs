using NativeAlloc.Slabs;

namespace NativeAlloc.Diagnostics;

/// <summary>A slab cache that has memory, as reports name it.</summary>
/// <param name="Label">
/// Its name; where a cache with a lower index has that name, the index follows it. So no two caches have the same
/// label, and a cache keeps its own whatever its size, as monitoring systems need.
/// </param>
/// <param name="Figures">Its figures.</param>
internal readonly record struct NamedCache(string Label, CacheReport Figures)
{
    /// <summary>Bytes of all its objects.</summary>
    internal long Bytes => Figures.Objects * Figures.ObjectBytes;

    /// <summary>All caches that have slabs, those with the most memory first.</summary>
    internal static List<NamedCache> ReadAll()
    {
        List<NamedCache> caches = [];
        HashSet<string> labels = [];
        foreach ((int index, string name) in CacheChain.All())
        {
            string label = name; // also of those without slabs: they may have some in the next report
            while (!labels.Add(label)) label = $"{label}#{index}";
            if (CacheReport.ReadOrNull(index) is { Slabs: > 0 } cache) caches.Add(new NamedCache(label, cache));
        }
        return [.. caches.OrderByDescending(cache => cache.Bytes)];
    }
}
