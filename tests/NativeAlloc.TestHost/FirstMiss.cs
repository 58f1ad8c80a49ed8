using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.Threads;

namespace NativeAlloc.TestHost;

/// <summary>Allocates one block in a fresh process and prints what that took, a figure a line.</summary>
internal static unsafe class FirstMiss
{
    internal const string Name = "first-miss";

    private const nuint BlockBytes = 100;

    internal static int Run()
    {
        ObjectCache* cache = CacheTable.CacheAt(SizeClasses.Of(BlockBytes));
        CacheNode* node = cache->Node(0);
        void* block = NativeAllocator.Alloc(BlockBytes);
        ThreadMagazines* own = ThreadMagazines.Of(CurrentThread.t_block);
        Console.WriteLine($"objects in the magazine: {cache->Magazine.CountOf(own->Loaded(cache->Index))}");
        Console.WriteLine($"misses: {node->Depot.Misses}");
        Console.WriteLine($"depot exchanges: {own->DepotExchanges}");
        Console.WriteLine($"slab exchanges: {own->SlabExchanges}");
        Console.WriteLine($"refills: {node->Refills}");
        Console.WriteLine($"next refill: {own->NextRefill(cache->Index, cache->ObjectBytes, Magazine.MostObjects)}");
        Console.WriteLine($"locks of the cache: {node->Lock.Acquisitions}");
        Console.WriteLine($"locks of the magazines' caches: {LocksOfMagazines()}");
        Console.WriteLine($"locks of the threads' registry: {ThreadRegistry.LockAcquisitions}");
        Console.WriteLine($"the decay's thread: {DecayThread.IsMade}");
        NativeAllocator.Free(block);
        foreach (nuint bytes in (nuint[])[BlockBytes, 40_000, 600_000])
        {
            void* other = NativeAllocator.Alloc(bytes);
            Console.WriteLine($"type of {bytes} bytes: {LinearRegion.TypeOf((uint)LinearRegion.PageIndexOf(other))}");
            NativeAllocator.Free(other);
        }
        NativeAllocator.Free(NativeAllocator.Alloc(4 << 20));
        Console.WriteLine($"and with 4 MiB: {DecayThread.IsMade}");
        return 0;
    }

    private static uint LocksOfMagazines()
    {
        uint locks = 0;
        for (int i = 0; i < CacheTable.MagazineCaches; i++)
            locks += CacheTable.CacheAt(CacheTable.FirstMagazineCache + i)->Node(0)->Lock.Acquisitions;
        return locks;
    }
}
