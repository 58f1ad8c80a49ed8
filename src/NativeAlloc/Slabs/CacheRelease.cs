using System.Diagnostics;
using NativeAlloc.Pages;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>Gives what magazines, depots and slabs hold back to the page layer and to the system.</summary>
internal static unsafe class CacheRelease
{
    // Beside a working program holes are made in a cache's slabs only where so much of it was free all the time, an
    // eighth and so many bytes: it may break huge pages up.
    private const int LeastHolesShift = 3;
    private const uint LeastHoles = 256 * 1024;

    /// <summary>
    /// Gives everything back, or what was not needed since the last call. Returns the bytes that went to the system.
    /// </summary>
    internal static nuint Release(bool all)
    {
        PageLayer.BeginPurge();
        nuint bytes = PageLayer.EndPurge(all ? ReleaseAll() : ReleaseUnneeded());
        BlockRelease.ForgetUnused();
        return bytes;
    }

    // What threads did not use, magazines that lay in the depots all the time, slabs that were free all the time, and
    // out of other slabs as much as was free all the time, where that is much.
    private static nuint ReleaseUnneeded()
    {
        nuint bytes = 0;
        DrainDeadThreads(ThreadRegistry.RestMilliseconds);
        DrainIdleThreads(all: false);
        for (int index = CacheTable.Next(0); index != 0; index = CacheTable.Next(index))
        {
            ObjectCache* cache = CacheTable.CacheAt(index);
            if (!cache->TryEnter()) continue;
            for (int i = 0; i < ObjectCache.NodeCount; i++) bytes += ReleaseUnneeded(cache, cache->Node(i));
            cache->Leave();
        }
        return bytes;
    }

    private static nuint ReleaseUnneeded(ObjectCache* cache, CacheNode* node)
    {
        (int full, int empty) = node->Depot.ReadAndResetUnneeded();
        DrainDepot(cache, node, null, full, empty);
        if (node->Slabs.FreeObjectsHint == 0) return 0; // as of most caches, always: no reason for a lock
        node->Lock.Acquire();
        uint freed = cache->TakeFreeSlabs(node, node->Slabs.ReadAndResetUnneededSlabs());
        ulong unneeded = node->Slabs.ReadAndResetUnneededObjects();
        ulong objects = (ulong)node->Slabs.SlabCount * cache->ObjectsPerSlab;
        node->Lock.Release();
        cache->GiveSlabs(null, freed);
        bool isWorthIt = unneeded >= objects >> LeastHolesShift && unneeded * cache->ObjectBytes >= LeastHoles;
        return isWorthIt ? cache->PurgeHoles(node, unneeded) : 0;
    }

    // The caches of all threads, those that have ended included, of the depots, and every free slab go back to the page
    // layer, and the holes of the others to the system. Returns the bytes of these.
    private static nuint ReleaseAll()
    {
        void* block = ThreadRegistry.OwnBlock();
        if (block != null) Drain(block);
        DrainDeadThreads(restMilliseconds: 0);
        DrainIdleThreads(all: true);
        // All depots first: their magazines are objects of other caches' slabs.
        for (int index = CacheTable.Next(0); index != 0; index = CacheTable.Next(index))
        {
            ObjectCache* cache = CacheTable.CacheAt(index);
            if (!cache->TryEnter()) continue;
            DrainDepots(cache, null);
            cache->Leave();
        }
        nuint bytes = 0;
        for (int index = CacheTable.Next(0); index != 0; index = CacheTable.Next(index))
        {
            ObjectCache* cache = CacheTable.CacheAt(index);
            if (!cache->TryEnter()) continue;
            Shrink(cache, null);
            for (int node = 0; node < ObjectCache.NodeCount; node++) bytes += cache->PurgeHoles(cache->Node(node));
            cache->Leave();
        }
        return bytes;
    }

    private static void DrainDeadThreads(uint restMilliseconds)
    {
        byte* dead;
        while ((dead = ThreadRegistry.TakeDead(restMilliseconds)) != null)
        {
            Drain(dead);
            ThreadRegistry.Release(dead);
        }
    }

    /// <summary>
    /// Puts all that a thread's block holds back into slabs and free pages. The caller owns the block.
    /// </summary>
    internal static void Drain(void* block)
    {
        ThreadPages* own = ThreadPages.Of(block);
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        RaisedFloors.Enter(magazines);
        for (int index = CacheTable.Next(0); index is > 0 and < CacheTable.WideClass; index = CacheTable.Next(index))
        {
            if (!CacheTable.CacheAt(index)->TryEnter()) continue;
            DrainMagazines(block, own, index);
            CacheTable.CacheAt(index)->Leave();
        }
        magazines->Claim.Leave();
        PageLayer.Drain(own);
    }

    /// <summary>
    /// Puts what the calling thread's magazines hold of a cache back into slabs. Returns the pages given back.
    /// </summary>
    internal static uint DrainOwn(void* block, int index)
    {
        if (block == null) return 0;
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        RaisedFloors.Enter(magazines);
        uint pages = DrainMagazines(block, null, index);
        magazines->Claim.Leave();
        return pages;
    }

    /// <summary>
    /// Puts nearly all that the magazines of other threads hold back into slabs, without their doing, class by class:
    /// of what they have not used since the last call. See <see cref="Recall"/>.
    /// </summary>
    /// <param name="all">Also what they have used.</param>
    /// <returns>True if there is more that a later call may get.</returns>
    internal static bool DrainIdleThreads(bool all) => Recall.Run(all);

    /// <summary>Gives every free slab of a cache back to the page layer; returns the pages.</summary>
    internal static uint Shrink(ObjectCache* cache, ThreadPages* own)
    {
        uint pages = 0;
        for (int index = 0; index < ObjectCache.NodeCount; index++)
        {
            CacheNode* node = cache->Node(index);
            if (node->Slabs.FreeObjectsHint == 0) continue;
            node->Lock.Acquire();
            uint freed = cache->TakeFreeSlabs(node);
            node->Lock.Release();
            pages += cache->GiveSlabs(own, freed);
        }
        return pages;
    }

    /// <summary>
    /// Empties the magazines that a thread has of a cache. Only for the block's owner, inside, or where no thread uses
    /// the cache any more. Returns the pages given back.
    /// </summary>
    internal static uint DrainMagazines(void* block, ThreadPages* own, int index)
    {
        ObjectCache* cache = CacheTable.CacheAt(index);
        if (cache->Magazine.Capacity == 0) return 0;
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        Debug.Assert(!magazines->Raised.Contains(index), "the magazine is whole");
        uint pages = MagazineStore.Empty(cache, own, magazines->TakeLoaded(index))
            + MagazineStore.Empty(cache, own, magazines->TakePrevious(index));
        int side = CacheTable.ReturnSideOf(index), counted = CacheTable.CountedSideOf(index);
        if (side != index) pages += MagazineStore.Empty(cache, own, magazines->TakeLoaded(side));
        if (counted != 0 && counted != side) pages += MagazineStore.Empty(cache, own, magazines->TakeLoaded(counted));
        return pages;
    }

    /// <summary>Empties the depots of a cache. Returns the pages given back.</summary>
    internal static uint DrainDepots(ObjectCache* cache, ThreadPages* own)
    {
        uint pages = 0;
        for (int index = 0; index < ObjectCache.NodeCount; index++)
            pages += DrainDepot(cache, cache->Node(index), own, int.MaxValue, int.MaxValue);
        return pages;
    }

    // Empties a depot of so many full and empty magazines.
    private static uint DrainDepot(ObjectCache* cache, CacheNode* node, ThreadPages* own, int full, int empty)
    {
        uint pages = 0;
        nint block;
        for (; full > 0 && (block = MagazineStore.PopSurplus(cache, node)) != 0; full--)
            pages += MagazineStore.Empty(cache, own, cache->Magazine.FullTop(block));
        for (; empty > 0 && (block = node->Depot.PopEmpty()) != 0; empty--) MagazineStore.GiveBlock(cache, own, block);
        return pages;
    }
}
