using System.Diagnostics;
using System.Runtime.CompilerServices;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>
/// The exchange between a thread's magazines, the depots and the slabs. What is inlined into callers is in
/// <c>NativeAllocator</c>; here is what it falls back on.
/// </summary>
/// <remarks>
/// <code>
/// Alloc (fast) pops the loaded magazine
///   AllocMiss ─ another magazine at hand has objects: swap              (no lock)
///             ├ the depot has a full magazine: exchange                 (no lock, two compare-and-swaps)
///             ├ slabs have objects: Refill ─ ObjectCache.TakeObjects    (one lock for up to four magazines)
///             ├ a larger class has many free objects: one of them       (Lending; as an Alloc of that class)
///             └ ObjectCache.TryMakeSlabs, outside the magazines         (runs constructors)
///                 └ Refill ─ ObjectCache.Add, TakeObjects               (one lock)
/// Free (fast) pushes onto the loaded magazine
///   FreeMiss  ─ another magazine at hand is empty: swap                 (no lock)
///             ├ the depot has room: exchange for an empty magazine      (no lock)
///             └ Drain ─ SlabReturn                                      (one lock for up to four magazines)
/// </code>
/// </remarks>
internal static unsafe class MagazineExchange
{
    // An object comes round after so many others: one in 64 times, so that two threads that share a line by chance
    // hardly ever write it at the same time.
    private const int SmallestRound = 64;

    private const int MostSlabsAtOnce = 4;

    /// <summary>
    /// What a miss takes from the slabs: how many objects, whether that is a whole magazine, and the slabs worth making
    /// for it.
    /// </summary>
    private record struct RefillSize(int Objects, bool IsWhole, int Slabs);

    // ── Alloc ──

    /// <summary>
    /// An object of a cache for a thread whose loaded magazine is empty, or that has no block. Null when there is no
    /// memory. May run the cache's constructor: callers read the thread's block again afterwards.
    /// </summary>
    /// <param name="block">The thread's block; null for none.</param>
    /// <param name="index">The cache.</param>
    /// <param name="refusal">Why there is no memory.</param>
    /// <param name="canBorrow">An object of a larger class will do where the cache would grow.</param>
    internal static void* AllocMiss(void* block, int index, out Refusal refusal, bool canBorrow = false)
    {
        MemorySignals.Raise(MemorySignals.Used);
        refusal = default;
        ObjectCache* cache = CacheTable.CacheAt(index);
        RefillSize refill = default;
        NewSlabs grown = default;
        bool hasMagazines = block != null && cache->Magazine.Capacity != 0
            && !ThreadMagazines.Of(block)->GoesAround(index, freeing: false);
        while (hasMagazines && block != null && RaisedFloors.TryEnter(ThreadMagazines.Of(block)))
        {
            void* pointer = AllocInside(cache, block, ref refill, ref grown);
            ThreadMagazines.Of(block)->Claim.Leave();
            if (pointer != null) return pointer;
            if (refill.Objects == 0 || grown.Count != 0) break; // no memory for a magazine
            if (canBorrow && (pointer = Borrow(cache, block)) != null) return pointer;
            if (!cache->TryMakeSlabs(ThreadPages.Of(block), refill.Slabs, out grown, out refusal))
                return cache->AllocAnywhere();
            // A constructor is user code: it may have given the block back, or used this very cache.
            if (cache->Constructor != null) block = CurrentThread.t_block;
        }
        return cache->AllocDirect(ThreadPages.Of(block), out refusal, grown); // around the magazines
    }

    // An object of a larger class, by way of the thread's magazines of that class: none of this cache's gets it.
    private static void* Borrow(ObjectCache* cache, void* block)
    {
        ObjectCache* lender = Lending.LenderFor(cache, ThreadPages.Of(block));
        if (lender == null || !RaisedFloors.TryEnter(ThreadMagazines.Of(block))) return null;
        RefillSize refill = default;
        NewSlabs none = default;
        void* pointer = AllocInside(lender, block, ref refill, ref none);
        ThreadMagazines.Of(block)->Claim.Leave();
        return pointer;
    }

    // An object out of the thread's magazines. Null where the slabs have none, and where there is no memory for a
    // magazine. After the cache has grown, only the loaded magazine is looked at again.
    private static void* AllocInside(ObjectCache* cache, void* block, ref RefillSize refill, ref NewSlabs grown)
    {
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        CacheNode* node = grown.Node != 0 ? (CacheNode*)grown.Node : cache->NodeOf(ThreadPages.Of(block));
        int index = cache->Index;
        nint loaded = magazines->Loaded(index);
        if (Magazine.IsEmpty(loaded) && refill.Objects == 0)
        {
            if (TrySwapIn(cache, magazines, loaded) || TryExchange(cache, node, block, loaded))
                loaded = magazines->Loaded(index);
        }
        if (Magazine.IsEmpty(loaded))
        {
            loaded = TakeFromSlabs(cache, node, block, loaded, ref refill, ref grown);
            if (loaded == 0) return null;
        }
        else if (grown.Count != 0) // the constructor has filled the magazine
        {
            node->Lock.Acquire();
            cache->Add(grown);
            node->Lock.Release();
        }
        void* pointer = Pop(magazines, index, loaded);
        if (SampleGap.IsOn) SampledCaches.Hide(cache, block);
        return pointer;
    }

    // Without going anywhere else: the previous magazine, or the one that frees have filled.
    private static bool TrySwapIn(ObjectCache* cache, ThreadMagazines* magazines, nint loaded)
    {
        int index = cache->Index, side = CacheTable.ReturnSideOf(index);
        if (side != index)
        {
            nint returned = magazines->Loaded(side);
            if (returned != CacheTable.NoMagazine && cache->Magazine.CountOf(returned) >= RoundOf(cache))
            {
                MagazineCheck.CheckSlots(cache, returned);
                magazines->SetLoaded(side, loaded);
                magazines->SetLoaded(index, returned);
                return true;
            }
        }
        nint previous = magazines->Previous(index);
        if (Magazine.IsEmpty(previous)) return false;
        magazines->SetPrevious(index, loaded);
        magazines->SetLoaded(index, previous);
        return true;
    }

    // Only the tiny classes need the round; others have a return side for the profiler alone.
    private static int RoundOf(ObjectCache* cache) => cache->Index <= CacheTable.TinyClasses ? SmallestRound : 1;

    // A full magazine of the depot for the thread's previous one, which is empty.
    private static bool TryExchange(ObjectCache* cache, CacheNode* node, void* block, nint loaded)
    {
        NoteExchange(cache, node, block);
        nint full = MagazineStore.PopFull(cache, node);
        if (full == 0) return false;
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        nint previous = magazines->Previous(cache->Index);
        if (previous != CacheTable.NoMagazine) node->Depot.PushEmpty(cache->Magazine.BlockOf(previous));
        magazines->SetPrevious(cache->Index, loaded);
        magazines->SetLoaded(cache->Index, cache->Magazine.FullTop(full));
        Volatile.Write(ref magazines->DepotExchanges, magazines->DepotExchanges + 1);
        return true;
    }

    private static void NoteExchange(ObjectCache* cache, CacheNode* node, void* block)
    {
        if (cache->NoteExchange(node, block) && cache->Index <= CacheTable.TinyClasses) cache->UseReturnSide();
    }

    // Fills the empty loaded magazine and returns its top; 0 where the slabs have no object.
    private static nint TakeFromSlabs(
        ObjectCache* cache, CacheNode* node, void* block, nint loaded, ref RefillSize refill, ref NewSlabs grown)
    {
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        ThreadPages* own = ThreadPages.Of(block);
        int index = cache->Index;
        if (loaded == CacheTable.NoMagazine)
        {
            nint empty = MagazineStore.TakeBlock(cache, node, own);
            if (empty == 0) return 0;
            loaded = cache->Magazine.MakeEmpty(empty, cache->CapacityNow(node));
            magazines->SetLoaded(index, loaded);
        }
        int room = cache->Magazine.RoomOf(loaded);
        if (refill.Objects == 0) refill = NextRefill(cache, node, magazines, room);
        RefillSize fitting = refill with { Objects = Math.Min(refill.Objects, room) };
        int taken = Refill(cache, node, own, loaded, fitting, ref grown);
        if (taken == 0) return 0;
        Volatile.Write(ref magazines->SlabExchanges, magazines->SlabExchanges + 1);
        return loaded + taken * sizeof(nint);
    }

    private static RefillSize NextRefill(ObjectCache* cache, CacheNode* node, ThreadMagazines* magazines, int room)
    {
        int objects = magazines->NextRefill(cache->Index, cache->ObjectBytes, room), slabs = 1;
        bool isWhole = objects == room;
        if (isWhole)
        {
            node->Depot.Size.NoteSlabs(to: false);
            slabs = (int)(cache->BulkOf(node) * (uint)cache->CapacityNow(node) / cache->ObjectsPerSlab);
        }
        return new RefillSize(objects, isWhole, Math.Clamp(slabs, 1, MostSlabsAtOnce));
    }

    // Fills the loaded magazine from slabs, and, for a thread that takes whole ones, more of them for the depot under
    // the same lock. New slabs are added under it, too.
    private static int Refill(
        ObjectCache* cache, CacheNode* node, ThreadPages* own, nint loaded, RefillSize refill, ref NewSlabs grown)
    {
        int capacity = cache->CapacityNow(node), spares = 0, filled = 0;
        if (grown.Count == 0 && node->Slabs.FreeObjectsHint == 0) return 0;
        Blocks blocks = default;
        for (int most = refill.IsWhole ? cache->BulkOf(node) : 0; spares < most; spares++)
        {
            blocks[spares] = MagazineStore.TakeBlock(cache, node, own);
            if (blocks[spares] == 0) break;
        }
        node->Lock.Acquire();
        cache->Add(grown);
        int taken = cache->TakeObjects(node, (nint*)loaded, refill.Objects);
        for (; filled < spares && node->Slabs.FreeObjects >= (ulong)capacity; filled++)
            cache->TakeObjects(node, (nint*)cache->Magazine.MakeEmpty(blocks[filled], capacity), capacity);
        node->Lock.Release();
        grown = default;
        // Last in, first out: what was taken first is to be used first.
        for (int i = filled; i-- > 0;) MagazineStore.PushFull(cache, node, blocks[i]);
        for (int i = filled; i < spares; i++) node->Depot.PushEmpty(blocks[i]);
        return taken;
    }

    // ── Free ──

    /// <summary>Takes an object back from a thread whose loaded magazine is full, or that has no block.</summary>
    /// <param name="block">The thread's block; null for none.</param>
    /// <param name="side">The class of the object's page, which is the side of the magazine that it goes to.</param>
    /// <param name="pointer">The object; an object begins there.</param>
    /// <exception cref="ArgumentException">
    /// It lies on top of the loaded magazine, or in its slab, so it was freed before.
    /// </exception>
    internal static void FreeMiss(void* block, int side, void* pointer)
    {
        MemorySignals.Raise(MemorySignals.Used);
        ObjectCache* cache = side == CacheTable.WideClass
            ? CacheTable.CacheOfPage(LinearRegion.PageIndexOf(pointer))
            : CacheTable.CacheAt(CacheTable.IndexOfSide(side));
        if (cache->IsInSlab(pointer)
            || block != null && Magazine.IsOnTop(ThreadMagazines.Of(block)->Loaded(side), pointer))
            ThrowHelper.ThrowIsFree(pointer, cache->ObjectBytes);
        // A cache of users may be a dropped one, which another thread takes down with its last object: it is visited as
        // long as magazines move.
        bool mayGo = cache->Index >= CacheTable.FirstUserCache;
        bool hasMagazines = block != null && cache->Magazine.Capacity != 0
            && !ThreadMagazines.Of(block)->GoesAround(side, freeing: true) && (!mayGo || cache->TryEnter());
        if (hasMagazines && RaisedFloors.TryEnter(ThreadMagazines.Of(block)))
        {
            FreeInside(cache, block, side, pointer);
            if (mayGo) cache->Leave();
            return;
        }
        if (hasMagazines && mayGo) cache->Leave();
        FreeAsVisitor(cache, ThreadPages.Of(block), pointer);
    }

    private static void FreeInside(ObjectCache* cache, void* block, int side, void* pointer)
    {
        MagazineCheck.CheckObject(cache, (nint)pointer);
        nint top = EmptyFor(cache, block, side);
        // Without memory for a magazine it is slower, and nothing is lost.
        if (top == 0) SlabReturn.FreeDirect(cache, ThreadPages.Of(block), pointer);
        else Push(ThreadMagazines.Of(block), side, top, pointer);
        ThreadMagazines.Of(block)->Claim.Leave();
    }

    // The object may be the last of a dropped cache: the cache is not taken down before the slab has gone back.
    private static void FreeAsVisitor(ObjectCache* cache, ThreadPages* own, void* pointer)
    {
        nuint page = LinearRegion.PageIndexOf(pointer);
        while (!cache->TryEnter())
        {
            // Another thread tries to take it down, and finds this object; or it takes a heap down, with this object.
            if (LinearRegion.ClassOf(page) == 0)
                cache->StopOnStaleFree(LinearRegion.Frames + cache->SlabOf((uint)page), (nint)pointer);
            SchedulePoint.GiveWay();
            Thread.Yield();
        }
        SlabReturn.FreeDirect(cache, own, pointer);
        if (cache->HeapBytes != null) Interlocked.Add(ref *cache->HeapBytes, -(long)cache->ObjectBytes);
        cache->Leave();
    }

    // A magazine with room, as the loaded one of a side; its top. 0 where there is no memory for one.
    private static nint EmptyFor(ObjectCache* cache, void* block, int side)
    {
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        nint loaded = magazines->Loaded(side);
        if (loaded != CacheTable.NoMagazine)
        {
            if (!cache->Magazine.IsFull(loaded)) return loaded;
            if (magazines->IsFullCheckDue()) MagazineCheck.CheckFully(cache, loaded);
        }
        nint other = SwapOut(cache, magazines, side, loaded);
        if (other != 0) return other;
        CacheNode* node = cache->NodeOf(ThreadPages.Of(block));
        NoteExchange(cache, node, block);
        nint empty = GivePrevious(cache, node, block);
        if (empty == 0) empty = MagazineStore.TakeBlock(cache, node, ThreadPages.Of(block));
        if (empty == 0) return 0;
        if (loaded != CacheTable.NoMagazine) magazines->SetPrevious(cache->Index, loaded);
        return cache->Magazine.MakeEmpty(empty, cache->CapacityNow(node));
    }

    // Without going anywhere else: an empty magazine that is at hand, whose place the full loaded one takes. 0 where
    // there is none.
    private static nint SwapOut(ObjectCache* cache, ThreadMagazines* magazines, int side, nint loaded)
    {
        int index = cache->Index;
        // What allocations pop on their own is not counted.
        if (side != index && loaded != CacheTable.NoMagazine && !SampleGap.IsOn)
        {
            nint popped = magazines->Loaded(index);
            if (popped != CacheTable.NoMagazine && Magazine.IsEmpty(popped))
            {
                magazines->SetLoaded(index, loaded);
                return popped;
            }
        }
        nint previous = magazines->Previous(index);
        if (previous == CacheTable.NoMagazine || !Magazine.IsEmpty(previous)) return 0;
        magazines->SetPrevious(index, loaded);
        return previous;
    }

    // The previous magazine, which is full, goes to the depot, or its objects go to the slabs: then its block is
    // returned, else 0.
    private static nint GivePrevious(ObjectCache* cache, CacheNode* node, void* block)
    {
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        nint previous = magazines->Previous(cache->Index);
        if (previous == CacheTable.NoMagazine) return 0;
        magazines->SetPrevious(cache->Index, CacheTable.NoMagazine);
        nint full = cache->Magazine.BlockOf(previous);
        if (cache->DepotHasRoom(node))
        {
            MagazineCheck.CheckSlots(cache, previous);
            MagazineStore.PushFull(cache, node, full);
            Volatile.Write(ref magazines->DepotExchanges, magazines->DepotExchanges + 1);
            return 0;
        }
        node->Depot.Size.NoteSlabs(to: true);
        Drain(cache, node, ThreadPages.Of(block), full);
        Volatile.Write(ref magazines->SlabExchanges, magazines->SlabExchanges + 1);
        return full;
    }

    // Drains a full magazine into slabs, and some more that the depot has, under the same lock.
    private static void Drain(ObjectCache* cache, CacheNode* node, ThreadPages* own, nint full)
    {
        Blocks blocks = default;
        int count = 0;
        for (int most = cache->BulkOf(node); count < most; count++)
        {
            blocks[count] = MagazineStore.PopSurplus(cache, node);
            if (blocks[count] == 0) break;
        }
        SlabReturn batch = new(cache, PageFrame.None);
        batch.DrainMagazine(cache->Magazine.FullTop(full));
        for (int i = 0; i < count; i++) batch.DrainMagazine(cache->Magazine.FullTop(blocks[i]));
        uint freed = batch.End();
        for (int i = 0; i < count; i++) node->Depot.PushEmpty(blocks[i]);
        cache->GiveSlabs(own, freed);
    }

    // ── the loaded magazine ──

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void* Pop(ThreadMagazines* magazines, int index, nint top)
    {
        Debug.Assert(!Magazine.IsEmpty(top), "there is an object to pop");
        top -= sizeof(nint);
        magazines->SetLoaded(index, top);
        return *(void**)top;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Push(ThreadMagazines* magazines, int side, nint top, void* pointer)
    {
        *(void**)top = pointer;
        magazines->SetLoaded(side, top + sizeof(nint));
    }

    // Magazines that move together. Not a stackalloc: the JIT compiles a method that has one but once, before it knows
    // what statics hold.
    [InlineArray(DepotSize.LargestBulk)]
    private struct Blocks
    {
        private nint _first;
    }
}
