using System.Numerics;
using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>
/// Where the blocks of magazines come from and go to, and how a magazine's objects come back into their slabs.
/// </summary>
internal static unsafe class MagazineStore
{
    /// <summary>An empty magazine's block: from the depot, or a new one; 0 where there is no memory.</summary>
    internal static nint TakeBlock(ObjectCache* cache, CacheNode* node, ThreadPages* own)
    {
        nint block = node->Depot.PopEmpty();
        return block != 0 ? block : (nint)BlockCacheOf(cache)->AllocDirect(own, out _);
    }

    /// <summary>Frees the block of an empty magazine: it is an object of a slab, too.</summary>
    internal static void GiveBlock(ObjectCache* cache, ThreadPages* own, nint block) =>
        SlabReturn.FreeDirect(BlockCacheOf(cache), own, (void*)block);

    /// <summary>Pushes a full magazine onto a depot.</summary>
    internal static void PushFull(ObjectCache* cache, CacheNode* node, nint block)
    {
        if (!cache->Magazine.IsFixed) node->Depot.CountObjects(cache->Magazine.CountOf(cache->Magazine.FullTop(block)));
        node->Depot.PushFull(block);
    }

    /// <summary>
    /// A full magazine for a thread that needs one, counted as asked for; 0 where the depot has none.
    /// </summary>
    internal static nint PopFull(ObjectCache* cache, CacheNode* node) => Uncount(cache, node, node->Depot.PopFull());

    /// <summary>A full magazine for a thread that empties it; 0 where the depot has none.</summary>
    internal static nint PopSurplus(ObjectCache* cache, CacheNode* node) =>
        Uncount(cache, node, node->Depot.PopSurplus());

    private static nint Uncount(ObjectCache* cache, CacheNode* node, nint block)
    {
        if (block != 0 && !cache->Magazine.IsFixed)
            node->Depot.CountObjects(-cache->Magazine.CountOf(cache->Magazine.FullTop(block)));
        return block;
    }

    /// <summary>
    /// Drains a magazine into slabs, then frees its block. Returns the pages that were given to the page layer.
    /// </summary>
    internal static uint Empty(ObjectCache* cache, ThreadPages* own, nint top)
    {
        if (top == CacheTable.NoMagazine || top == 0) return 0; // 0: a block that is being set up
        nint block = cache->Magazine.BlockOf(top);
        SlabReturn batch = new(cache, PageFrame.None);
        batch.DrainMagazine(top);
        uint pages = cache->GiveSlabs(own, batch.End());
        GiveBlock(cache, own, block);
        return pages;
    }

    private static ObjectCache* BlockCacheOf(ObjectCache* cache)
    {
        int doublings = BitOperations.Log2((uint)(cache->Magazine.BlockBytes / Magazine.SmallestBlockBytes));
        return CacheTable.CacheAt(CacheTable.FirstMagazineCache + doublings);
    }
}
