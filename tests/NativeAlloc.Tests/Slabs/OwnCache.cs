using NativeAlloc.Slabs;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// A cache that a test has made and that no other test or thread has objects of. Its depot has no history. Loose thread
/// blocks that use it are disposed of before.
/// </summary>
internal sealed unsafe class OwnCache : IDisposable
{
    private const string Name = "a-tests-own";

    private readonly SlabCache _cache;

    internal OwnCache(nuint objectBytes)
    {
        _cache = new SlabCache(Name, objectBytes);
        Index = CacheChain.All().Single(one => one.Name == Name).Index;
        if (Index >= CacheTable.WideClass) throw new InvalidOperationException("the cache has magazines");
    }

    internal int Index { get; }

    internal ObjectCache* Cache => CacheTable.CacheAt(Index);

    public void Dispose() => _cache.Dispose();
}
