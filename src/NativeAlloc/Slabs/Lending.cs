using System.Numerics;
using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>
/// Which class lends to another: where one would have to grow, a larger one that has many free objects gives one of
/// them. So memory that one size has freed serves other sizes before whole slabs of it are free.
/// </summary>
/// <remarks>
/// The object stays one of the larger class: its page says so, and <c>Free</c> pushes it onto that class's magazine. No
/// magazine ever holds an object of another class.
/// </remarks>
internal static unsafe class Lending
{
    // So no block has more than twice what it would have. With four times, sizes that drift have 1 to 5 % less.
    private const uint MostTimes = 2;

    // A class lends while one in so many of its objects is free, and a slab's worth.
    private const ulong FreeShare = 8;

    /// <summary>
    /// The smallest class that can lend to a cache on a node at present; null where there is none. An estimate, without
    /// a lock.
    /// </summary>
    internal static ObjectCache* LenderFor(ObjectCache* cache, ThreadPages* own)
    {
        // Objects that share cache lines go round by their return sides.
        if (cache->Index <= CacheTable.TinyClasses) return null;
        for (int index = cache->Index + 1; index < SizeClasses.Count; index++)
        {
            ObjectCache* larger = CacheTable.CacheAt(index);
            if (larger->ObjectBytes > cache->ObjectBytes * MostTimes || larger->Magazine.Capacity == 0) return null;
            if (CanLend(larger->ObjectBytes, cache->ObjectBytes) && HasMany(larger, larger->NodeOf(own))) return larger;
        }
        return null;
    }

    /// <summary>
    /// Whether an object will do for a smaller class: it is at most twice as large, and has each alignment that the
    /// smaller one's size promises.
    /// </summary>
    internal static bool CanLend(uint largerBytes, uint smallerBytes) =>
        largerBytes > smallerBytes && largerBytes <= smallerBytes * MostTimes
        && BitOperations.TrailingZeroCount(largerBytes) >= BitOperations.TrailingZeroCount(smallerBytes);

    private static bool HasMany(ObjectCache* cache, CacheNode* node)
    {
        ulong free = node->Slabs.FreeObjectsHint, perSlab = cache->ObjectsPerSlab;
        return free > perSlab && free * FreeShare >= node->Slabs.SlabCount * perSlab;
    }
}
