using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>
/// All caches, and the way between a thread's magazines and them. What is inlined into callers is in <c>NativeAllocator</c>; here is what it
/// falls back on.
/// </summary>
/// <remarks>
/// <code>
/// Alloc (fast) pops the loaded magazine
///   AllocMiss ─ the previous magazine is full: swap                        (no lock)
///             ├ the depot has a full magazine: exchange                    (one lock)
///             ├ slabs have objects: ObjectCache.TakeObjects                (the same lock)
///             └ ObjectCache.TryMakeSlab, then as before
/// Free (fast) pushes onto the loaded magazine
///   FreeMiss  ─ the previous magazine is empty: swap                       (no lock)
///             ├ the depot has room: exchange for an empty magazine         (one lock)
///             └ ObjectCache.PutObjects of the previous magazine            (the same lock)
/// </code>
/// </remarks>
internal static unsafe class SlabLayer
{
    /// <summary>Caches there can be: a page's class is one byte.</summary>
    internal const int MaxCaches = 256;

    /// <summary>The caches that magazines come from, of 512, 1024 and 2048 bytes.</summary>
    private const int FirstMagazineCache = SizeClasses.Count, MagazineCaches = 3;

    /// <summary>Caches in use: the size classes and those of magazines.</summary>
    internal const int CacheCount = FirstMagazineCache + MagazineCaches;

    // A magazine holds at most 16 KiB, or 255 objects: what a thread can keep from others is bounded in bytes, class by class.
    private const nuint MagazineBytes = 16 * 1024;

    // Beyond this size an object goes straight to its slab: a lock is little against touching it.
    private const nuint LargestMagazineObject = SizeClasses.MagazineBytes;

    // The most that a depot keeps in full magazines, where threads pass many to each other.
    private const nuint DepotBytes = 1024 * 1024;

    private const int SmallestMagazine = 2;

    private static readonly byte[] s_tables; // keeps what the next two point into
    private static readonly nint s_noMagazine;
    private static readonly nuint s_caches;

    static SlabLayer()
    {
        // A pinned array, as no call can do without these tables: the system may refuse a mapping at this very moment.
        const int NoneBytes = 3 * Magazine.LargestBlockBytes; // holds a multiple of the block's size with zeroes below, wherever it begins
        s_tables = GC.AllocateArray<byte>(NoneBytes + MaxCaches * sizeof(ObjectCache), pinned: true);
        nint tables = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(s_tables));
        s_noMagazine = (tables + 2 * Magazine.LargestBlockBytes) & ~(nint)(Magazine.LargestBlockBytes - 1);
        s_caches = (nuint)(tables + NoneBytes);
        for (int index = 1; index < SizeClasses.Count; index++)
        {
            nuint bytes = SizeClasses.BytesOf(index);
            int capacity = bytes > LargestMagazineObject ? 0 : (int)Math.Clamp(MagazineBytes / bytes, SmallestMagazine, Magazine.LargestCapacity);
            int depotLimit = capacity == 0 ? 0 : (int)(DepotBytes / ((nuint)capacity * bytes));
            CacheAt(index)->Initialize(index, bytes, capacity, depotLimit);
        }
        Reclaimer.SetCaches(&ReleaseCaches);
        for (int i = 0; i < MagazineCaches; i++) CacheAt(FirstMagazineCache + i)->Initialize(FirstMagazineCache + i, (nuint)(Magazine.SmallestBlockBytes << i), 0, 0);
    }

    /// <summary>The top of a magazine that is full and empty: an address at a multiple of the largest block, with a 0 below.</summary>
    internal static nint NoMagazine => s_noMagazine;

    internal static ObjectCache* CacheAt(int index) => (ObjectCache*)s_caches + index;

    /// <summary>Sets a new thread block's part up.</summary>
    internal static void Initialize(void* block) => ThreadMagazines.Of(block)->Initialize();

    /// <summary>An object of a cache for a thread whose loaded magazine is empty, or that has no block. Null when there is no memory.</summary>
    internal static void* AllocMiss(void* block, int index)
    {
        ObjectCache* cache = CacheAt(index);
        ThreadPages* own = ThreadPages.Of(block);
        if (block == null || cache->Magazine.Capacity == 0) return cache->AllocDirect(own);
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        nint loaded = magazines->Loaded(index), previous = magazines->Previous(index);
        if (!Magazine.IsEmpty(loaded)) return Pop(magazines, index, loaded); // the fast path was not taken for another reason
        if (!Magazine.IsEmpty(previous))
        {
            magazines->PreviousHits++;
            magazines->SetPrevious(index, loaded);
            return Pop(magazines, index, previous);
        }

        cache->Lock.Acquire();
        cache->NoteExchange(block);
        nint full = cache->Depot.PopFull();
        if (full != 0)
        {
            if (previous != s_noMagazine) cache->Depot.PushEmpty(cache->Magazine.BlockOf(previous));
            cache->Lock.Release();
            magazines->DepotExchanges++;
            magazines->SetPrevious(index, loaded);
            return Pop(magazines, index, cache->Magazine.FullTop(full));
        }
        if (loaded == s_noMagazine)
        {
            nint empty = cache->Depot.PopEmpty();
            cache->Lock.Release();
            if (empty == 0) empty = AllocMagazine(cache, own);
            if (empty == 0) return cache->AllocDirect(own);
            loaded = cache->Magazine.MakeEmpty(empty);
            magazines->SetLoaded(index, loaded);
            cache->Lock.Acquire();
        }
        magazines->SlabExchanges++;
        int wanted = magazines->NextRefill(index, cache->Magazine.Capacity);
        int taken = cache->TakeObjects((nint*)loaded, wanted);
        cache->Lock.Release();
        if (taken == 0)
        {
            if (PageLayer.ShouldReap(own, cache->SlabOrder)) Reap(block, index);
            if (!cache->TryMakeSlab(own, out uint slab)) return null;
            cache->Lock.Acquire();
            cache->AddSlab(slab);
            taken = cache->TakeObjects((nint*)loaded, wanted);
            cache->Lock.Release();
        }
        return Pop(magazines, index, loaded + taken * sizeof(nint));
    }

    /// <summary>Takes an object back from a thread whose loaded magazine is full, or that has no block.</summary>
    internal static void FreeMiss(void* block, int index, void* pointer)
    {
        ObjectCache* cache = CacheAt(index);
        ThreadPages* own = ThreadPages.Of(block);
        if (block == null || cache->Magazine.Capacity == 0)
        {
            cache->FreeDirect(own, pointer);
            return;
        }
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        nint loaded = magazines->Loaded(index), previous = magazines->Previous(index);
        if (loaded != s_noMagazine && !cache->Magazine.IsFull(loaded))
        {
            Push(magazines, index, loaded, pointer);
            return;
        }
        if (previous != s_noMagazine && Magazine.IsEmpty(previous))
        {
            magazines->PreviousHits++;
            magazines->SetPrevious(index, loaded);
            Push(magazines, index, previous, pointer);
            return;
        }

        nint empty;
        uint surplus = PageFrame.None;
        cache->Lock.Acquire();
        cache->NoteExchange(block);
        if (previous == s_noMagazine || cache->DepotHasRoom)
        {
            if (previous != s_noMagazine)
            {
                cache->Depot.PushFull(cache->Magazine.BlockOf(previous));
                magazines->SetPrevious(index, s_noMagazine);
                magazines->DepotExchanges++;
            }
            empty = cache->Depot.PopEmpty();
        }
        else
        {
            // The objects of the previous magazine are the colder ones.
            empty = cache->Magazine.BlockOf(previous);
            surplus = cache->PutObjects((nint*)cache->Magazine.EmptyTop(empty), cache->Magazine.Capacity);
            magazines->SetPrevious(index, s_noMagazine);
            magazines->SlabExchanges++;
        }
        cache->Lock.Release();
        cache->GiveSlabs(own, surplus);
        if (empty == 0) empty = AllocMagazine(cache, own);
        if (empty == 0)
        {
            cache->FreeDirect(own, pointer); // no memory for a magazine: slower, and nothing is lost
            return;
        }
        if (loaded != s_noMagazine) magazines->SetPrevious(index, loaded);
        Push(magazines, index, cache->Magazine.MakeEmpty(empty), pointer);
    }

    /// <summary>
    /// Puts what the depots and the calling thread's magazines hold back into slabs (<c>cache_reap</c>), before resident memory grows: objects of
    /// sizes that are out of use give up their pages for those that are in use now.
    /// </summary>
    /// <param name="block">The calling thread's.</param>
    /// <param name="exceptIndex">The cache that the caller is about to refill, left as it is.</param>
    private static void Reap(void* block, int exceptIndex)
    {
        ThreadPages* own = ThreadPages.Of(block);
        for (int index = 1; index < SizeClasses.Count; index++)
        {
            // A cache of one slab has little to give, and would take a fresh page for its next object.
            if (index == exceptIndex || CacheAt(index)->Slabs.SlabCount <= 1) continue;
            DrainMagazines(block, own, index);
            DrainDepot(CacheAt(index), own);
        }
    }

    /// <summary>Puts all that a thread's block holds back into slabs and free pages. The caller owns the block.</summary>
    internal static void Drain(void* block)
    {
        ThreadPages* own = ThreadPages.Of(block);
        for (int index = 1; index < CacheCount; index++) DrainMagazines(block, own, index);
        PageLayer.Drain(own);
    }

    /// <summary>Gives the caches of the calling thread, of threads that have ended, of the depots, and every free slab back to the page layer.</summary>
    private static void ReleaseCaches()
    {
        void* block = CurrentThread.t_block;
        if (block != null) Drain(block);
        byte* dead;
        while ((dead = ThreadRegistry.TakeDead()) != null)
        {
            Drain(dead);
            ThreadRegistry.Release(dead);
        }
        Trim();
    }

    private static void Trim()
    {
        ThreadPages* own = null; // to the zones at once
        for (int index = 1; index < CacheCount; index++) DrainDepot(CacheAt(index), own);
        for (int index = 1; index < CacheCount; index++)
        {
            ObjectCache* cache = CacheAt(index);
            cache->Lock.Acquire();
            uint surplus = cache->TakeFreeSlabs();
            cache->Lock.Release();
            cache->GiveSlabs(own, surplus);
        }
    }

    private static void DrainMagazines(void* block, ThreadPages* own, int index)
    {
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        nint loaded = magazines->Loaded(index), previous = magazines->Previous(index);
        magazines->SetLoaded(index, s_noMagazine);
        magazines->SetPrevious(index, s_noMagazine);
        Empty(CacheAt(index), own, loaded);
        Empty(CacheAt(index), own, previous);
    }

    private static void DrainDepot(ObjectCache* cache, ThreadPages* own)
    {
        while (TryTakeMagazine(cache, out nint block, out bool full))
        {
            if (full) Empty(cache, own, cache->Magazine.FullTop(block));
            else FreeMagazine(cache, own, block);
        }
    }

    private static nint AllocMagazine(ObjectCache* cache, ThreadPages* own) => (nint)MagazineCacheOf(cache)->AllocDirect(own);

    private static void FreeMagazine(ObjectCache* cache, ThreadPages* own, nint block) => MagazineCacheOf(cache)->FreeDirect(own, (void*)block);

    private static ObjectCache* MagazineCacheOf(ObjectCache* cache) =>
        CacheAt(FirstMagazineCache + BitOperations.Log2((uint)(cache->Magazine.BlockBytes / Magazine.SmallestBlockBytes)));

    private static bool TryTakeMagazine(ObjectCache* cache, out nint block, out bool full)
    {
        cache->Lock.Acquire();
        block = cache->Depot.PopFull();
        full = block != 0;
        if (!full) block = cache->Depot.PopEmpty();
        cache->Lock.Release();
        return block != 0;
    }

    // Puts a magazine's objects into their slabs, then the magazine into its own.
    private static void Empty(ObjectCache* cache, ThreadPages* own, nint top)
    {
        if (top == s_noMagazine) return;
        nint block = cache->Magazine.BlockOf(top);
        nint bottom = cache->Magazine.EmptyTop(block);
        if (top != bottom)
        {
            cache->Lock.Acquire();
            uint surplus = cache->PutObjects((nint*)bottom, (int)((top - bottom) / sizeof(nint)));
            cache->Lock.Release();
            cache->GiveSlabs(own, surplus);
        }
        FreeMagazine(cache, own, block);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void* Pop(ThreadMagazines* magazines, int index, nint top)
    {
        Debug.Assert(!Magazine.IsEmpty(top), "there is an object to pop");
        top -= sizeof(nint);
        magazines->SetLoaded(index, top);
        return *(void**)top;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Push(ThreadMagazines* magazines, int index, nint top, void* pointer)
    {
        Debug.Assert(!CacheAt(index)->Magazine.IsFull(top), "there is room to push");
        *(void**)top = pointer;
        magazines->SetLoaded(index, top + sizeof(nint));
    }

    /// <summary>Where a cache's objects are. The threads' magazines are read while they are in use, so the figures are estimates then.</summary>
    internal static CacheFigures Count(int index)
    {
        ObjectCache* cache = CacheAt(index);
        long inMagazines = 0;
        for (int i = 0; i < ThreadRegistry.Count; i++)
        {
            ThreadMagazines* magazines = ThreadMagazines.Of(ThreadRegistry.At(i));
            inMagazines += CountIn(cache, magazines->Loaded(index)) + CountIn(cache, magazines->Previous(index));
        }
        cache->Lock.Acquire();
        long inSlabs = (long)cache->Slabs.FreeObjects;
        long objects = (long)cache->Slabs.SlabCount * cache->ObjectsPerSlab;
        inMagazines += (long)cache->Depot.FullCount * cache->Magazine.Capacity;
        cache->Lock.Release();
        return new CacheFigures(inMagazines, inSlabs, Math.Max(0, objects - inSlabs - inMagazines));
    }

    // A block that is being set up has tops of 0.
    private static int CountIn(ObjectCache* cache, nint top) => top == 0 || top == s_noMagazine ? 0 : cache->Magazine.CountOf(top);

    /// <summary>Objects of a cache by where they are.</summary>
    internal readonly record struct CacheFigures(long InMagazines, long InSlabs, long Live);

    /// <summary>Checks every cache. Throws where something is wrong.</summary>
    internal static void Verify()
    {
        for (int index = 1; index < CacheCount; index++) CacheAt(index)->Verify();
    }
}
