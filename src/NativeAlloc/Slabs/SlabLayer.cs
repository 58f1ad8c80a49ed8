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
///   AllocMiss ─ another magazine at hand has objects: swap             (no lock)
///             ├ the depot has a full magazine: exchange                (no lock, two compare-and-swaps)
///             ├ slabs have objects: Refill ─ ObjectCache.TakeObjects   (one lock for up to nine magazines)
///             └ ObjectCache.TryMakeSlabs, then as before
/// Free (fast) pushes onto the loaded magazine
///   FreeMiss  ─ another magazine at hand is empty: swap                (no lock)
///             ├ the depot has room: exchange for an empty magazine     (no lock)
///             └ Drain ─ SlabReturn                                     (one lock for up to nine magazines)
/// </code>
/// <para><b>Return sides.</b> Objects of 16, 32 and 48 bytes share cache lines. If a thread frees such an object that another thread allocated, and then allocates one, it must not get the same again,
/// and again: the two threads would write the same line for ever. So these classes have two loaded magazines, one that Alloc pops and one that Free pushes onto, and an object comes round only
/// after many others. It costs the fast paths nothing, as the class byte of a page says which magazine Free pushes onto; and a program of one thread nothing at all, as the pages of a cache get the
/// return side's byte only when a second thread turns up.</para>
/// </remarks>
internal static unsafe partial class SlabLayer
{
    /// <summary>Magazines that a thread can have loaded: a page's class is one byte.</summary>
    internal const int MaxCaches = 256;

    /// <summary>The caches that magazines come from, of 512, 1024 and 2048 bytes.</summary>
    internal const int FirstMagazineCache = SizeClasses.Count, MagazineCaches = 3;

    /// <summary>Indexes for caches that users make.</summary>
    internal const int FirstUserCache = FirstMagazineCache + MagazineCaches, EndOfCaches = MaxCaches - TinyClasses;

    /// <summary>The classes with a return side: all that have two objects in a cache line of 64 bytes, wherever they begin.</summary>
    internal const int TinyClasses = 3;

    // An object comes round after so many others: one in 64 times, so that two threads that share a line by chance hardly ever write it at the same time.
    private const int SmallestRound = 64;

    // A magazine holds at most 16 KiB, or 255 objects: what a thread can keep from others is bounded in bytes, class by class. Where threads take turns at the depot it holds up to 128 KiB, as far as
    // its block has slots for them, so that of large objects, too, there is an exchange for several.
    private const nuint MagazineBytes = 16 * 1024, ContendedBytes = 128 * 1024;

    // From this size on: 32 of them fill a magazine, in a block that has slots for 63. With more than 32 a magazine of smaller ones has no room for twice as many.
    private const nuint SmallestContended = MagazineBytes / (Magazine.SmallestBlockBytes / (2 * sizeof(long)));

    // Beyond this size an object goes straight to its slab: a lock is little against touching it.
    private const nuint LargestMagazineObject = SizeClasses.MagazineBytes;

    // The most that a depot keeps in full magazines, where threads pass many to each other.
    private const nuint DepotBytes = 1024 * 1024;

    private const int SmallestMagazine = 2;

    private const int LargestBulk = ObjectCache.LargestBulk, MostSlabsAtOnce = 4;

    private static readonly byte[] s_tables; // keeps what the next three point into
    private static readonly nint s_noMagazine;
    private static readonly nuint s_caches;
    private static readonly nuint s_nodes;

    static SlabLayer()
    {
        // A pinned array, as no call can do without these tables: the system may refuse a mapping at this very moment.
        const int NoneBytes = 3 * Magazine.LargestBlockBytes; // holds a multiple of the block's size with zeroes below, wherever it begins
        int nodeBytes = CacheNode.Bytes * ObjectCache.NodeCount;
        s_tables = GC.AllocateArray<byte>(NoneBytes + MaxCaches * (ObjectCache.Bytes + nodeBytes), pinned: true);
        nint tables = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(s_tables));
        s_noMagazine = (tables + 2 * Magazine.LargestBlockBytes) & ~(nint)(Magazine.LargestBlockBytes - 1);
        s_caches = (nuint)((tables + NoneBytes) & ~(nint)(ObjectCache.Bytes - 1));
        s_nodes = s_caches + MaxCaches * ObjectCache.Bytes;
        for (int index = 1; index < SizeClasses.Count; index++) Initialize(index, SizeClasses.BytesOf(index), withMagazines: true, null);
        for (int i = 0; i < MagazineCaches; i++) Initialize(FirstMagazineCache + i, (nuint)(Magazine.SmallestBlockBytes << i), withMagazines: false, null);
    }

    /// <summary>Makes a cache at an index that has none.</summary>
    internal static void Initialize(int index, nuint objectBytes, bool withMagazines, delegate*<void*, void> constructor)
    {
        Magazine magazine = default;
        int depotLimit = 0;
        if (withMagazines && objectBytes <= LargestMagazineObject)
        {
            int capacity = (int)Math.Clamp(MagazineBytes / objectBytes, SmallestMagazine, Magazine.MostObjects);
            magazine = objectBytes < SmallestContended ? Magazine.Of(capacity) : Magazine.Of(capacity, (int)Math.Min(ContendedBytes / objectBytes, Magazine.MostObjects));
            depotLimit = (int)(DepotBytes / ((nuint)magazine.LargestCapacity * objectBytes));
        }
        CacheNode* nodes = (CacheNode*)(s_nodes + (nuint)(index * ObjectCache.NodeCount) * CacheNode.Bytes);
        CacheAt(index)->Initialize(index, objectBytes, magazine, depotLimit, nodes, constructor);
    }

    /// <summary>The top of a magazine that is full and empty: an address at a multiple of the largest block, with a 0 below.</summary>
    internal static nint NoMagazine => s_noMagazine;

    internal static ObjectCache* CacheAt(int index) => (ObjectCache*)s_caches + index;

    /// <summary>The loaded magazine that objects of a cache are freed to: the cache's own index, or beyond all caches.</summary>
    internal static int ReturnSideOf(int index) => index <= TinyClasses ? EndOfCaches - 1 + index : index;

    /// <summary>The cache that a page's class byte stands for; 0 for none.</summary>
    internal static int IndexOfClass(int pageClass) => pageClass < EndOfCaches ? pageClass : pageClass - (EndOfCaches - 1);

    /// <summary>The cache of objects that users can hold, from their page's class byte; null for pages that have none.</summary>
    internal static ObjectCache* CacheOfClass(int pageClass)
    {
        int index = IndexOfClass(pageClass);
        return index is 0 or (>= FirstMagazineCache and < FirstUserCache) ? null : CacheAt(index);
    }

    /// <summary>Sets a new thread block's part up.</summary>
    internal static void Initialize(void* block) => ThreadMagazines.Of(block)->Initialize();

    // ── a miss of the fast paths ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// <summary>An object of a cache for a thread whose loaded magazine is empty, or that has no block. Null when there is no memory.</summary>
    internal static void* AllocMiss(void* block, int index, out Refusal refusal)
    {
        MemorySignals.Raise(MemorySignals.Used);
        refusal = default;
        ObjectCache* cache = CacheAt(index);
        ThreadPages* own = ThreadPages.Of(block);
        if (block == null || cache->Magazine.Capacity == 0) return cache->AllocDirect(own, out refusal);
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        CacheNode* node = cache->NodeOf(own);
        while (magazines->TryEnter())
        {
            void* pointer = AllocInside(cache, node, block, out int slabs);
            magazines->Leave();
            if (pointer != null) return pointer;
            // After growing everything is looked at anew: a constructor is user code, and may have used this very cache.
            if (slabs == 0 || !TryGrow(cache, ref node, block, slabs)) break;
        }
        return cache->AllocDirect(own, out refusal); // around the magazines
    }

    // An object out of the thread's magazines. Null where none is left in the node's slabs, with the number of slabs that are worth making; or, with 0 of them, where there is no memory for a magazine.
    private static void* AllocInside(ObjectCache* cache, CacheNode* node, void* block, out int slabs)
    {
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        ThreadPages* own = ThreadPages.Of(block);
        int index = cache->Index;
        slabs = 0;
        while (true)
        {
            nint loaded = magazines->Loaded(index);
            if (!Magazine.IsEmpty(loaded)) return Pop(magazines, index, loaded);
            if (TrySwapIn(cache, magazines, index, loaded)) continue;
            NoteExchange(cache, node, block);
            nint full = Counted(cache, node, node->Depot.PopFull());
            if (full != 0)
            {
                nint previous = magazines->Previous(index);
                if (previous != s_noMagazine) node->Depot.PushEmpty(cache->Magazine.BlockOf(previous));
                magazines->SetPrevious(index, loaded);
                magazines->SetLoaded(index, cache->Magazine.FullTop(full));
                Volatile.Write(ref magazines->DepotExchanges, magazines->DepotExchanges + 1);
                continue;
            }
            if (loaded == s_noMagazine)
            {
                nint empty = TakeEmpty(cache, node, own);
                if (empty == 0) return null;
                loaded = cache->Magazine.MakeEmpty(empty, cache->CapacityNow(node));
                magazines->SetLoaded(index, loaded);
            }
            int room = cache->Magazine.RoomOf(loaded), wanted = magazines->NextRefill(index, room);
            if (wanted == room) node->Depot.NoteSlabs(to: false);
            int taken = Refill(cache, node, own, loaded, wanted, isWhole: wanted == room);
            Volatile.Write(ref magazines->SlabExchanges, magazines->SlabExchanges + 1);
            if (taken != 0) return Pop(magazines, index, loaded + taken * sizeof(nint));
            slabs = wanted == room ? (int)(cache->BulkOf(node) * (uint)cache->CapacityNow(node) / cache->ObjectsPerSlab) : 1;
            slabs = Math.Clamp(slabs, 1, MostSlabsAtOnce);
            return null;
        }
    }

    private static void NoteExchange(ObjectCache* cache, CacheNode* node, void* block)
    {
        if (cache->NoteExchange(node, block) && cache->Index <= TinyClasses) cache->UseReturnSide();
    }

    // Without going anywhere else: the previous magazine, or the one that frees have filled.
    private static bool TrySwapIn(ObjectCache* cache, ThreadMagazines* magazines, int index, nint loaded)
    {
        int side = ReturnSideOf(index);
        if (side != index)
        {
            nint returned = magazines->Loaded(side);
            if (returned != s_noMagazine && cache->Magazine.CountOf(returned) >= SmallestRound)
            {
                magazines->SetLoaded(side, loaded);
                magazines->SetLoaded(index, returned);
                Volatile.Write(ref magazines->PreviousHits, magazines->PreviousHits + 1);
                return true;
            }
        }
        nint previous = magazines->Previous(index);
        if (Magazine.IsEmpty(previous)) return false;
        magazines->SetPrevious(index, loaded);
        magazines->SetLoaded(index, previous);
        Volatile.Write(ref magazines->PreviousHits, magazines->PreviousHits + 1);
        return true;
    }

    // Fills the loaded magazine from slabs, and, for a thread that takes whole ones, more of them for the depot under the same lock.
    private static int Refill(ObjectCache* cache, CacheNode* node, ThreadPages* own, nint loaded, int wanted, bool isWhole)
    {
        int capacity = cache->CapacityNow(node), spares = 0, filled = 0;
        if (node->Slabs.FreeObjectsHint == 0) return 0;
        Blocks blocks = default;
        for (int most = isWhole ? cache->BulkOf(node) : 0; spares < most; spares++)
        {
            blocks[spares] = TakeEmpty(cache, node, own);
            if (blocks[spares] == 0) break;
        }
        node->Lock.Acquire();
        int taken = cache->TakeObjects(node, (nint*)loaded, wanted);
        for (; filled < spares && node->Slabs.FreeObjects >= (ulong)capacity; filled++)
            cache->TakeObjects(node, (nint*)cache->Magazine.MakeEmpty(blocks[filled], capacity), capacity);
        node->Lock.Release();
        // Last in, first out: what was taken first is to be used first.
        for (int i = filled; i-- > 0;) PushFull(cache, node, blocks[i]);
        for (int i = filled; i < spares; i++) node->Depot.PushEmpty(blocks[i]);
        return taken;
    }

    private static bool TryGrow(ObjectCache* cache, ref CacheNode* node, void* block, int slabs)
    {
        ThreadPages* own = ThreadPages.Of(block);
        if (PageLayer.ShouldReap(own, cache->SlabOrder)) Reap(block, cache->Index);
        if (!cache->TryMakeSlabs(own, slabs, out CacheNode* grown, out _)) return false; // AllocDirect says why
        node = grown;
        return true;
    }

    /// <summary>Takes an object back from a thread whose loaded magazine is full, or that has no block.</summary>
    /// <param name="side">The class byte of the object's page.</param>
    internal static void FreeMiss(void* block, int side, void* pointer)
    {
        MemorySignals.Raise(MemorySignals.Used);
        int index = IndexOfClass(side);
        ObjectCache* cache = CacheAt(index);
        ThreadPages* own = ThreadPages.Of(block);
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        if (block == null || cache->Magazine.Capacity == 0 || !magazines->TryEnter())
        {
            cache->FreeDirect(own, pointer);
            return;
        }
        FreeInside(cache, block, side, pointer);
        magazines->Leave();
    }

    private static void FreeInside(ObjectCache* cache, void* block, int side, void* pointer)
    {
        int index = cache->Index;
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        ThreadPages* own = ThreadPages.Of(block);
        nint loaded = magazines->Loaded(side), previous = magazines->Previous(index);
        if (loaded != s_noMagazine && !cache->Magazine.IsFull(loaded))
        {
            Push(magazines, side, loaded, pointer);
            return;
        }
        if (side != index && loaded != s_noMagazine && magazines->Loaded(index) is var other && other != s_noMagazine && Magazine.IsEmpty(other))
        {
            Volatile.Write(ref magazines->PreviousHits, magazines->PreviousHits + 1);
            magazines->SetLoaded(index, loaded);
            Push(magazines, side, other, pointer);
            return;
        }
        if (previous != s_noMagazine && Magazine.IsEmpty(previous))
        {
            Volatile.Write(ref magazines->PreviousHits, magazines->PreviousHits + 1);
            magazines->SetPrevious(index, loaded);
            Push(magazines, side, previous, pointer);
            return;
        }

        CacheNode* node = cache->NodeOf(own);
        NoteExchange(cache, node, block);
        nint empty = 0;
        if (previous != s_noMagazine)
        {
            magazines->SetPrevious(index, s_noMagazine);
            nint full = cache->Magazine.BlockOf(previous);
            if (cache->DepotHasRoom(node))
            {
                PushFull(cache, node, full);
                Volatile.Write(ref magazines->DepotExchanges, magazines->DepotExchanges + 1);
            }
            else
            {
                node->Depot.NoteSlabs(to: true);
                empty = Drain(cache, node, own, full);
                Volatile.Write(ref magazines->SlabExchanges, magazines->SlabExchanges + 1);
            }
        }
        if (empty == 0) empty = TakeEmpty(cache, node, own);
        if (empty == 0)
        {
            cache->FreeDirect(own, pointer); // no memory for a magazine: slower, and nothing is lost
            return;
        }
        if (loaded != s_noMagazine) magazines->SetPrevious(index, loaded);
        Push(magazines, side, cache->Magazine.MakeEmpty(empty, cache->CapacityNow(node)), pointer);
    }

    // Puts a full magazine's objects back into slabs, and those of some more that the depot has, under the same lock. Returns the block, which is empty now.
    private static nint Drain(ObjectCache* cache, CacheNode* node, ThreadPages* own, nint full)
    {
        Blocks blocks = default;
        int count = 0;
        for (int most = cache->BulkOf(node); count < most; count++)
        {
            blocks[count] = Counted(cache, node, node->Depot.PopSurplus());
            if (blocks[count] == 0) break;
        }
        SlabReturn batch = new(cache, PageFrame.None);
        PutMagazine(ref batch, cache, full);
        for (int i = 0; i < count; i++) PutMagazine(ref batch, cache, blocks[i]);
        uint surplus = batch.End();
        for (int i = 0; i < count; i++) node->Depot.PushEmpty(blocks[i]);
        cache->GiveSlabs(own, surplus);
        return full;
    }

    private static void PutMagazine(ref SlabReturn batch, ObjectCache* cache, nint full)
    {
        nint top = cache->Magazine.FullTop(full), bottom = cache->Magazine.BottomOf(top);
        batch.Put((nint*)bottom, (int)((top - bottom) / sizeof(nint)));
    }

    private static void PushFull(ObjectCache* cache, CacheNode* node, nint block)
    {
        if (!cache->Magazine.IsFixed) node->Depot.CountObjects(cache->Magazine.CountOf(cache->Magazine.FullTop(block)));
        node->Depot.PushFull(block);
    }

    // A full magazine that has just come out of the depot, or 0.
    private static nint Counted(ObjectCache* cache, CacheNode* node, nint block)
    {
        if (block != 0 && !cache->Magazine.IsFixed) node->Depot.CountObjects(-cache->Magazine.CountOf(cache->Magazine.FullTop(block)));
        return block;
    }

    // ── giving caches back ───────────────────────────────────────────────────────────────────────────────────────────────────────

    /// <summary>
    /// Puts what the depots and the calling thread's magazines hold back into slabs (<c>cache_reap</c>), before resident memory grows: objects of
    /// sizes that are out of use give up their pages for those that are in use now.
    /// </summary>
    /// <param name="block">The calling thread's.</param>
    /// <param name="exceptIndex">The cache that the caller is about to refill, left as it is.</param>
    private static void Reap(void* block, int exceptIndex)
    {
        ThreadPages* own = ThreadPages.Of(block);
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        if (!magazines->TryEnter()) return; // somebody is doing the same already
        for (int index = 1; index < EndOfCaches; index++)
        {
            // A cache of one slab has little to give, and would take a fresh page for its next object.
            if (index == exceptIndex || !CacheAt(index)->TryEnter()) continue;
            if (CacheAt(index)->NodeOf(own)->Slabs.SlabCount > 1)
            {
                DrainMagazines(block, own, index);
                DrainDepots(CacheAt(index), own);
            }
            CacheAt(index)->Leave();
        }
        magazines->Leave();
    }

    /// <summary>Whether there is a cache at an index.</summary>
    internal static bool Exists(int index) => Volatile.Read(ref CacheAt(index)->ObjectBytes) != 0;

    /// <summary>Puts all that a thread's block holds back into slabs and free pages. The caller owns the block.</summary>
    internal static void Drain(void* block)
    {
        ThreadPages* own = ThreadPages.Of(block);
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        magazines->Enter();
        for (int index = 1; index < EndOfCaches; index++)
        {
            if (!CacheAt(index)->TryEnter()) continue;
            DrainMagazines(block, own, index);
            CacheAt(index)->Leave();
        }
        magazines->Leave();
        PageLayer.Drain(own);
    }

    /// <summary>Puts what the calling thread's magazines hold of a cache back into slabs. Returns the pages given back.</summary>
    internal static uint DrainOwn(void* block, int index)
    {
        if (block == null) return 0;
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        magazines->Enter();
        uint pages = DrainMagazines(block, null, index);
        magazines->Leave();
        return pages;
    }

    /// <summary>
    /// Puts nearly all that the magazines of other threads hold back into slabs, without their doing, class by class: of what they have not used since the last call. See <see cref="Recall"/>.
    /// </summary>
    /// <param name="all">Also what they have used.</param>
    /// <returns>True if there is more that a later call may get.</returns>
    internal static bool DrainIdleThreads(bool all) => Recall.Run(all);

    /// <summary>Gives back what all caches have: everything, or what was not needed since the last call. Returns the bytes that the system got; what the page layer got is none.</summary>
    internal static nuint Release(bool all)
    {
        PageLayer.BeginPurge();
        return PageLayer.EndPurge(all ? ReleaseCaches() : ReleaseUnneeded());
    }

    // What threads did not use, magazines that lay in the depots all the time, slabs that were free all the time, and out of other slabs as much as was free all the time, where that is much.
    private static nuint ReleaseUnneeded()
    {
        nuint bytes = 0;
        DrainIdleThreads(all: false);
        for (int index = 1; index < EndOfCaches; index++)
        {
            ObjectCache* cache = CacheAt(index);
            if (!cache->TryEnter()) continue;
            for (int i = 0; i < ObjectCache.NodeCount; i++)
            {
                CacheNode* node = cache->Node(i);
                (int full, int empty) = node->Depot.TakeUnneeded();
                DrainDepot(cache, node, null, full, empty);
                if (node->Slabs.FreeObjectsHint == 0) continue; // as of most caches, always: no reason to disturb the others' users
                node->Lock.Acquire();
                uint surplus = cache->TakeFreeSlabs(node, node->Slabs.TakeUnneeded());
                ulong unneeded = node->Slabs.TakeUnneededObjects(), objects = (ulong)node->Slabs.SlabCount * cache->ObjectsPerSlab;
                node->Lock.Release();
                cache->GiveSlabs(null, surplus);
                if (unneeded >= objects >> LeastHolesShift && unneeded * cache->ObjectBytes >= LeastHoles) bytes += cache->PurgeHoles(node, unneeded);
            }
            cache->Leave();
        }
        return bytes;
    }

    // Beside a working program holes are made in a cache's slabs only where so much of it was free all the time, an eighth and so many bytes: it may break huge pages up.
    private const int LeastHolesShift = 3;
    private const uint LeastHoles = 256 * 1024;

    /// <summary>Gives the caches of all threads, those that have ended included, of the depots, and every free slab back to the page layer, and the holes of the others to the system. Returns the bytes of these.</summary>
    private static nuint ReleaseCaches()
    {
        void* block = CurrentThread.t_block;
        if (block != null) Drain(block);
        byte* dead;
        while ((dead = ThreadRegistry.TakeDead()) != null)
        {
            Drain(dead);
            ThreadRegistry.Release(dead);
        }
        DrainIdleThreads(all: true);
        for (int index = 1; index < EndOfCaches; index++)
        {
            if (!CacheAt(index)->TryEnter()) continue;
            DrainDepots(CacheAt(index), null);
            CacheAt(index)->Leave();
        }
        nuint bytes = 0;
        for (int index = 1; index < EndOfCaches; index++)
        {
            if (!CacheAt(index)->TryEnter()) continue;
            Shrink(CacheAt(index), null);
            for (int node = 0; node < ObjectCache.NodeCount; node++) bytes += CacheAt(index)->PurgeHoles(CacheAt(index)->Node(node));
            CacheAt(index)->Leave();
        }
        return bytes;
    }

    /// <summary>Gives every free slab of a cache back to the page layer; returns the pages.</summary>
    internal static uint Shrink(ObjectCache* cache, ThreadPages* own)
    {
        uint pages = 0;
        for (int index = 0; index < ObjectCache.NodeCount; index++)
        {
            CacheNode* node = cache->Node(index);
            if (node->Slabs.FreeObjectsHint == 0) continue;
            node->Lock.Acquire();
            uint surplus = cache->TakeFreeSlabs(node);
            node->Lock.Release();
            pages += cache->GiveSlabs(own, surplus);
        }
        return pages;
    }

    /// <summary>Empties the magazines that a thread has of a cache. Only for the thread's owner, inside, or where nobody uses the cache any more. Returns the pages given back.</summary>
    internal static uint DrainMagazines(void* block, ThreadPages* own, int index)
    {
        ObjectCache* cache = CacheAt(index);
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        Debug.Assert(!magazines->Raised.Contains(index) && magazines->Recalled.Find(index) == null, "what was recalled is settled");
        uint pages = Empty(cache, own, magazines->TakeLoaded(index)) + Empty(cache, own, magazines->TakePrevious(index));
        return ReturnSideOf(index) == index ? pages : pages + Empty(cache, own, magazines->TakeLoaded(ReturnSideOf(index)));
    }

    /// <summary>Empties the depots of a cache. Returns the pages given back.</summary>
    internal static uint DrainDepots(ObjectCache* cache, ThreadPages* own)
    {
        uint pages = 0;
        for (int index = 0; index < ObjectCache.NodeCount; index++) pages += DrainDepot(cache, cache->Node(index), own, int.MaxValue, int.MaxValue);
        return pages;
    }

    // Empties a depot of so many full and empty magazines.
    private static uint DrainDepot(ObjectCache* cache, CacheNode* node, ThreadPages* own, int full, int empty)
    {
        uint pages = 0;
        nint block;
        for (; full > 0 && (block = Counted(cache, node, node->Depot.PopSurplus())) != 0; full--) pages += Empty(cache, own, cache->Magazine.FullTop(block));
        for (; empty > 0 && (block = node->Depot.PopEmpty()) != 0; empty--) FreeMagazine(cache, own, block);
        return pages;
    }

    // An empty magazine's block: from the depot, or a new one; 0 where there is no memory.
    private static nint TakeEmpty(ObjectCache* cache, CacheNode* node, ThreadPages* own)
    {
        nint block = node->Depot.PopEmpty();
        return block != 0 ? block : (nint)MagazineCacheOf(cache)->AllocDirect(own, out _);
    }

    private static void FreeMagazine(ObjectCache* cache, ThreadPages* own, nint block) => MagazineCacheOf(cache)->FreeDirect(own, (void*)block);

    private static ObjectCache* MagazineCacheOf(ObjectCache* cache) =>
        CacheAt(FirstMagazineCache + BitOperations.Log2((uint)(cache->Magazine.BlockBytes / Magazine.SmallestBlockBytes)));

    /// <summary>Puts a magazine's objects into their slabs, then the magazine into its own. Returns the pages given back.</summary>
    internal static uint Empty(ObjectCache* cache, ThreadPages* own, nint top)
    {
        if (top == s_noMagazine || top == 0) return 0; // 0: a block that is being set up
        nint block = cache->Magazine.BlockOf(top);
        nint bottom = cache->Magazine.BottomOf(top);
        uint surplus = PageFrame.None;
        if (top != bottom) cache->PutObjects((nint*)bottom, (int)((top - bottom) / sizeof(nint)), ref surplus);
        uint pages = cache->GiveSlabs(own, surplus);
        FreeMagazine(cache, own, block);
        return pages;
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

    // Magazines that move together. Not a stackalloc: the JIT compiles a method that has one but once, before it knows what statics hold.
    [InlineArray(LargestBulk)]
    private struct Blocks
    {
        private nint _first;
    }
}
