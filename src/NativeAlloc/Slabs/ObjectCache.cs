using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>
/// Objects of one size (<c>kmem_cache</c>): the slabs they are cut from and the depots of magazines before them, on
/// each node. A slab is a block of pages whose frame counts its free objects and whose bitmap, beside the frame and not
/// in the slab, has a bit per object: 1 for free.
/// </summary>
/// <remarks>
/// <code>
/// TakeObjects ─ partial slabs, the fullest first, then free ones    (cache_alloc_refill)
///             └ none: the caller grows the cache by TryMakeSlabs    (cache_grow, kmem_getpages)
///                     ├ TryFillOne, a hollow slab
///                     └ PageLayer.TryTakePages, the constructor; then Add and TakeObjects under one lock
/// SlabReturn  ─ each object's bit; slabs that are free then go back to the page layer
/// </code>
/// What is here does not change as long as the cache exists; what does is in its <see cref="CacheNode"/>s.
/// </remarks>
[StructLayout(LayoutKind.Sequential, Size = Bytes)]
internal unsafe partial struct ObjectCache
{
    internal const int Bytes = 128;

    /// <summary>Bytes from one object to the next; never 0.</summary>
    public uint ObjectBytes;

    /// <summary>Objects a slab holds.</summary>
    public uint ObjectsPerSlab;

    /// <summary>2^<see cref="ReciprocalShift"/> / ObjectBytes, rounded up: division by multiplication.</summary>
    private ulong _reciprocal;

    /// <summary>Pages of a slab.</summary>
    public uint SlabPages;

    /// <summary>A slab is cut from a block of this order and begins at a multiple of it.</summary>
    public int SlabOrder;

    /// <summary>
    /// Bytes of that block, less 1: of an address in the linear region it leaves the offset in its slab.
    /// </summary>
    public uint OffsetMask;

    /// <summary>The magazines of this cache; of capacity 0 where threads keep none of its objects.</summary>
    public Magazine Magazine;

    /// <summary>The most full magazines that a depot may keep.</summary>
    private int _largestDepot;

    /// <summary>Index of this cache in the table of all.</summary>
    public ushort Index;

    /// <summary>The page class that this cache begins with: the magazine that Alloc pops.</summary>
    public byte PageClass;

    /// <summary>The page class once threads share the cache: the return side; else <see cref="PageClass"/>.</summary>
    private byte _returnClass;

    /// <summary>The class of its pages at present, one of these two: the side that frees go to. By Volatile.</summary>
    private byte _pageClass;

    /// <summary>1 once threads share the cache. By Volatile.</summary>
    private byte _isShared;

    /// <summary>
    /// 0 where there is no cache, or it is being made or taken down; else 1 and the visits at present. By Interlocked.
    /// </summary>
    private int _visits;

    /// <summary>Runs once for each object of a new slab, with its address; null for none (<c>ctor</c>).</summary>
    public delegate*<void*, void> Constructor;

    /// <summary>
    /// Where in an object what the constructor gets begins: behind a red zone of check mode. Set before there is a
    /// slab.
    /// </summary>
    public uint ConstructorOffset;

    /// <summary>The cache's part on each node.</summary>
    private CacheNode* _nodes;

    /// <summary>
    /// Bytes that users hold of the heap that this cache is a part of; null for a cache that is of none. Written when
    /// the cache is made; the number is changed by Interlocked.
    /// </summary>
    public long* HeapBytes;

    // An offset in a slab (below 2^20) times 2^40 (the reciprocal of 16) stays within 64 bits up to 2^24; and the
    // quotient is exact while offset × ObjectBytes < 2^44: slabs have less than 2^20 bytes and objects at most 2^19.
    private const int ReciprocalShift = 44;

    // So many threads may have magazines of the largest capacity, or as many as can run at one time where that is more:
    // on two cores 64 threads with two of 128 KiB each for 40 classes kept 200 MiB from each other, and with as much in
    // all as 8 threads have, 100. Threads that run at one time need it (docs/design/scale.md).
    private const int FewThreads = 8;

    internal void Initialize(
        int index, int pageClass, int returnClass, nuint objectBytes, Magazine magazine, int depotLimit,
        CacheNode* nodes,
        delegate*<void*, void> constructor = null)
    {
        this = default;
        Index = (ushort)index;
        PageClass = _pageClass = (byte)pageClass;
        _returnClass = (byte)returnClass;
        ObjectBytes = (uint)objectBytes;
        SlabPages = SizeClasses.SlabPagesOf(objectBytes);
        SlabOrder = PageGeometry.OrderOf(SlabPages);
        OffsetMask = (uint)(PageGeometry.PageBytes << SlabOrder) - 1;
        ObjectsPerSlab = (uint)(SlabPages * PageGeometry.PageBytes / objectBytes);
        _reciprocal = ((1UL << ReciprocalShift) + ObjectBytes - 1) / ObjectBytes;
        Magazine = magazine;
        _largestDepot = depotLimit;
        Constructor = constructor;
        _nodes = nodes;
        for (int node = 0; node < NodeCount; node++) Node(node)->Initialize();
        Open();
    }

    /// <summary>
    /// Begins a visit of somebody who is no user of the cache, such as a thread that gives all of its caches back:
    /// until <see cref="Leave"/> it is not taken down. False where there is no cache. Visits are short, and run no code
    /// of users.
    /// </summary>
    internal bool TryEnter()
    {
        while (true)
        {
            int visits = Volatile.Read(ref _visits);
            if (visits == 0) return false;
            if (Interlocked.CompareExchange(ref _visits, visits + 1, visits) == visits) return true;
        }
    }

    internal void Leave() => Interlocked.Decrement(ref _visits);

    /// <summary>Lets visitors in.</summary>
    internal void Open() => Volatile.Write(ref _visits, 1);

    /// <summary>Waits until nobody visits, and lets nobody in from then on.</summary>
    internal void Close()
    {
        while (Interlocked.CompareExchange(ref _visits, 0, 1) != 1)
        {
            SchedulePoint.GiveWay();
            Thread.Yield();
        }
    }

    /// <summary>
    /// Whether a free object's memory must stay as it is: it was constructed once, and is handed out as constructed.
    /// </summary>
    internal readonly bool KeepsContents => Constructor != null;

    /// <summary>Nodes that a cache has a part on; one where there are no pages at all.</summary>
    internal static int NodeCount => Math.Max(1, PageLayer.NodeCount);

    internal readonly CacheNode* Node(int node) => (CacheNode*)((byte*)_nodes + (nint)node * CacheNode.Bytes);

    /// <summary>The part on the node that a thread is on.</summary>
    internal readonly CacheNode* NodeOf(ThreadPages* own) => Node(own == null ? 0 : own->Node);

    /// <summary>The part that a slab belongs to.</summary>
    internal readonly CacheNode* NodeOfSlab(uint slab) => Node(LinearRegion.Frames[slab].ZoneIndex / Zone.KindCount);

    /// <summary>
    /// What a new magazine holds at present: more where threads take turns at the depot, so that they meet there less
    /// often; but where there are many threads, no more than its share of what they may keep from each other in all.
    /// </summary>
    internal readonly int CapacityNow(CacheNode* node) =>
        node->Depot.Size.IsContended
            ? ContendedCapacity(Magazine, ThreadRegistry.WithContents, Environment.ProcessorCount)
            : Magazine.Capacity;

    internal static int ContendedCapacity(Magazine magazine, int threads, int processors)
    {
        int few = Math.Max(FewThreads, processors);
        return Math.Max(magazine.Capacity, magazine.LargestCapacity * few / Math.Max(few, threads));
    }

    /// <summary>Objects in a node's depot.</summary>
    internal readonly long InDepot(CacheNode* node) =>
        Magazine.IsFixed ? (long)node->Depot.FullCount * Magazine.Capacity : node->Depot.Objects;

    /// <summary>Magazines that are worth moving at one time.</summary>
    internal readonly int BulkOf(CacheNode* node) =>
        DepotSize.BulkOf((ulong)node->Slabs.SlabCount * ObjectsPerSlab, Magazine.Capacity);

    /// <summary>Whether a node's depot has room for a full magazine.</summary>
    internal readonly bool DepotHasRoom(CacheNode* node) =>
        node->Depot.FullCount < node->Depot.Size.FullToKeep(BulkOf(node));

    /// <summary>See <see cref="DepotSize.NoteExchange"/>.</summary>
    internal readonly bool NoteExchange(CacheNode* node, void* thread) =>
        node->Depot.Size.NoteExchange((nint)thread, _largestDepot);

    /// <summary>First page of the slab that a page belongs to.</summary>
    internal readonly uint SlabOf(uint page) => page & ~((1u << SlabOrder) - 1);

    /// <summary>Which object of its slab an offset lies in.</summary>
    internal readonly uint ObjectIndexOf(nuint offset) => (uint)(offset * _reciprocal >> ReciprocalShift);

    /// <summary>Whether an object begins at an address inside a slab.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal readonly bool BeginsAt(void* address)
    {
        nuint offset = unchecked((uint)((nuint)address - LinearRegion.Base)) & OffsetMask;
        uint index = ObjectIndexOf(offset);
        return index * (nuint)ObjectBytes == offset && index < ObjectsPerSlab;
    }

    /// <summary>
    /// The beginning of the object that an address inside a slab lies in; null in what is left over at the slab's end.
    /// </summary>
    internal readonly void* ObjectAt(void* address)
    {
        nuint slabAddress = LinearRegion.AddressOf(SlabOf((uint)LinearRegion.PageIndexOf(address)));
        uint index = ObjectIndexOf((nuint)address - slabAddress);
        return index < ObjectsPerSlab ? (void*)(slabAddress + index * (nuint)ObjectBytes) : null;
    }

    /// <summary>
    /// Takes up to <paramref name="wanted"/> objects out of a node's slabs that have some, and writes their addresses
    /// so that the last slot, which a magazine hands out first, has the lowest: memory is then used in ascending order.
    /// Returns how many; the node's lock is held.
    /// </summary>
    internal readonly int TakeObjects(CacheNode* node, nint* slots, int wanted)
    {
        PageFrame* frames = LinearRegion.Frames;
        nint* next = slots + wanted;
        while (next != slots)
        {
            uint slab = node->Slabs.Fullest();
            if (slab == PageFrame.None) break;
            next = TakeFromSlab(frames + slab, slab, slots, next);
            Place(node, slab);
        }
        int taken = wanted - (int)(next - slots);
        node->Slabs.RemoveFreeObjects((uint)taken);
        if (taken != 0 && next != slots) new Span<nint>(next, taken).CopyTo(new Span<nint>(slots, taken));
        Volatile.Write(ref node->Refills, node->Refills + 1);
        return taken;
    }

    // Works on whole words of the bitmap: one load and one store for up to 64 objects.
    private readonly nint* TakeFromSlab(PageFrame* frame, uint slab, nint* slots, nint* next)
    {
        ulong* words = LinearRegion.BitmapOf(slab);
        nint slabAddress = (nint)LinearRegion.AddressOf(slab);
        uint word = frame->FirstWord, free = frame->FreeObjects;
        while (free != 0 && next != slots)
        {
            ulong bits = words[word];
            nint wordAddress = slabAddress + (nint)word * 64 * (nint)ObjectBytes;
            while (bits != 0 && next != slots)
            {
                *--next = wordAddress + BitOperations.TrailingZeroCount(bits) * (nint)ObjectBytes;
                bits &= bits - 1;
                free--;
            }
            words[word] = bits;
            if (bits == 0) word++;
        }
        frame->FirstWord = (ushort)word;
        frame->FreeObjects = (ushort)free;
        return next;
    }

    /// <summary>Takes a slab out that is free; the node's lock is held.</summary>
    internal readonly void RemoveFreeSlab(CacheNode* node, uint slab, ref uint freed)
    {
        if (LinearRegion.Frames[slab].PurgedPages != 0) ForgetPurged(node, slab);
        node->Slabs.Remove(LinearRegion.Frames, slab);
        node->Slabs.RemoveFreeObjects(ObjectsPerSlab);
        LinearRegion.Frames[slab].Next = freed;
        freed = slab;
    }

    /// <summary>
    /// Takes free slabs of a node out, so many at most; its lock is held. The list goes to <see cref="GiveSlabs"/>
    /// after its release.
    /// </summary>
    internal readonly uint TakeFreeSlabs(CacheNode* node, uint most = uint.MaxValue)
    {
        uint freed = PageFrame.None;
        for (; most != 0 && node->Slabs.First(NodeSlabs.Free) is var slab && slab != PageFrame.None; most--)
            RemoveFreeSlab(node, slab, ref freed);
        return freed;
    }

    /// <summary>
    /// Takes all slabs of a node out, whatever is in use of them. The cache is closed, and nobody uses it.
    /// </summary>
    internal readonly uint TakeAllSlabs(CacheNode* node)
    {
        uint taken = PageFrame.None;
        node->Lock.Acquire();
        for (int list = 0; list < NodeSlabs.ListCount; list++)
        {
            while (node->Slabs.First(list) is var slab && slab != PageFrame.None)
            {
                if (LinearRegion.Frames[slab].PurgedPages != 0) ForgetPurged(node, slab);
                node->Slabs.RemoveFreeObjects(LinearRegion.Frames[slab].FreeObjects);
                node->Slabs.Remove(LinearRegion.Frames, slab);
                LinearRegion.Frames[slab].Next = taken;
                taken = slab;
            }
        }
        node->Lock.Release();
        return taken;
    }

    /// <summary>Gives slabs that were taken out back to the page layer; without the lock. Returns the pages.</summary>
    internal readonly uint GiveSlabs(ThreadPages* own, uint freed)
    {
        uint pages = 0;
        while (freed != PageFrame.None)
        {
            uint slab = freed;
            freed = LinearRegion.Frames[slab].Next;
            LinearRegion.SetClass(slab, SlabPages, 0);
            if (Platform.ChargesCommit && LinearRegion.Frames[slab].PurgedPages != 0) GiveHollow(slab);
            else PageLayer.GivePages(own, slab, SlabPages);
            pages += SlabPages;
        }
        if (pages != 0) EventRing.Raise(EventKind.SlabsGiven, ObjectBytes, pages / SlabPages);
        return pages;
    }

    // To commit what a slab has not may fail; to give up the rest cannot, unless a thread reads there. Where neither
    // can be done, it matters more that the pages are zero.
    private readonly void GiveHollow(uint slab)
    {
        nuint address = LinearRegion.AddressOf(slab), bytes = SlabPages * PageGeometry.PageBytes;
        bool purged = VirtualMemory.TryPurge(address, bytes);
        bool committed = !purged && VirtualMemory.TryCommit(address, bytes);
        if (!purged && !committed) VirtualMemory.TryDecommit(address, bytes);
        PageLayer.GivePages(slab, SlabPages, clean: !committed);
    }

    /// <summary>
    /// Takes objects from whichever node has some: the last resort of a node that has none and cannot grow.
    /// </summary>
    internal readonly int TakeAnywhere(nint* slots, int wanted)
    {
        int taken = 0;
        for (int index = 0; index < NodeCount && taken == 0; index++)
        {
            CacheNode* node = Node(index);
            node->Lock.Acquire();
            taken = TakeObjects(node, slots, wanted);
            node->Lock.Release();
        }
        return taken;
    }

    /// <summary>
    /// Whether an object is free in its slab. Read without the lock: for an object that is in use, or in a magazine,
    /// the answer is no.
    /// </summary>
    internal readonly bool IsInSlab(uint slab, uint index) =>
        (Volatile.Read(ref LinearRegion.BitmapOf(slab)[index >> 6]) >> (int)(index & 63) & 1) != 0;

    /// <summary>The same for the address of an object.</summary>
    internal readonly bool IsInSlab(void* pointer)
    {
        uint slab = SlabOf((uint)LinearRegion.PageIndexOf(pointer));
        return IsInSlab(slab, ObjectIndexOf((nuint)pointer - LinearRegion.AddressOf(slab)));
    }

    /// <summary>Ends the process: an object came back that cannot have been handed out.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal readonly void StopOnBadFree(nint pointer, bool isObject) =>
        ThrowHelper.StopOnBadFree((void*)pointer, ObjectBytes, isObject ? null : ObjectAt((void*)pointer));

    /// <summary>Ends the process: an object came back whose slab is gone.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal readonly void StopOnStaleFree(PageFrame* frame, nint pointer) =>
        ThrowHelper.StopOnStaleFree((void*)pointer, ObjectBytes, frame->GetState() switch
        {
            PageState.Slab => $"a slab of cache {frame->Cache}",
            PageState.Free or PageState.Hot or PageState.Offline or PageState.Withheld => "free",
            PageState.Large => "part of a large block",
            PageState.Block => "a block of the page allocator",
            _ => "used for something else",
        });

    /// <summary>
    /// Walks the lists and bitmaps and checks them against the counters. Throws where something is wrong; takes the
    /// locks.
    /// </summary>
    internal readonly void Verify()
    {
        for (int index = 0; index < NodeCount; index++)
        {
            CacheNode* node = Node(index);
            node->Lock.Acquire();
            string? error = FindError(node);
            node->Lock.Release();
            if (error != null)
                throw new InvalidOperationException($"cache {Index} of {ObjectBytes} B, node {index}: {error}");
        }
    }

    private readonly string? FindError(CacheNode* node)
    {
        PageFrame* frames = LinearRegion.Frames;
        ulong freeObjects = 0, hollowObjects = 0, purgedPages = 0;
        for (int list = 0; list < NodeSlabs.ListCount; list++)
        {
            uint count = 0;
            for (uint slab = node->Slabs.First(list); slab != PageFrame.None; slab = frames[slab].Next, count++)
            {
                PageFrame frame = frames[slab];
                if (frame.State != PageState.Slab || frame.Cache != Index)
                    return $"page {slab} is {frame.State} of cache {frame.Cache}";
                if (NodeOfSlab(slab) != node) return $"slab {slab} is another node's";
                if (frame.List != list) return $"slab {slab} of list {frame.List} is on list {list}";
                if (FindBitmapError(slab, frame, out uint bits) is { } bitmapError) return bitmapError;
                if (bits != frame.FreeObjects)
                    return $"slab {slab} has {bits} free objects and says {frame.FreeObjects}";
                if (NodeSlabs.ListOf(bits, ObjectsPerSlab) != list && !NodeSlabs.IsHollow(list))
                    return $"slab {slab} with {bits} free objects is on list {list}";
                if (FindHoleError(slab, frame) is { } error) return error;
                purgedPages += frame.PurgedPages;
                if (FindPageError(slab) is { } pageError) return pageError;
                if (NodeSlabs.IsHollow(list)) hollowObjects += bits;
                else freeObjects += bits;
            }
            if (count != node->Slabs.Count(list))
                return $"list {list} has {count} slabs and says {node->Slabs.Count(list)}";
        }
        if (hollowObjects != node->Slabs.HollowObjects)
            return $"the hollow slabs have {hollowObjects} free objects and the cache says {node->Slabs.HollowObjects}";
        if (purgedPages != node->Slabs.PurgedPages)
            return $"{purgedPages} system pages of slabs are given back and the cache says {node->Slabs.PurgedPages}";
        return freeObjects == node->Slabs.FreeObjects
            ? null
            : $"the slabs have {freeObjects} free objects and the cache says {node->Slabs.FreeObjects}";
    }

    private readonly string? FindBitmapError(uint slab, in PageFrame frame, out uint bits)
    {
        bits = 0;
        for (int word = 0; word < LinearRegion.BitmapWords && word * 64 < ObjectsPerSlab; word++)
        {
            ulong free = LinearRegion.BitmapOf(slab)[word];
            if (free != 0 && word < frame.FirstWord)
                return $"slab {slab} has free objects before word {frame.FirstWord}";
            if (ObjectsPerSlab - word * 64 < 64 && free >> (int)(ObjectsPerSlab - word * 64) != 0)
                return $"slab {slab} has bits beyond its last object";
            bits += (uint)BitOperations.PopCount(free);
        }
        return null;
    }

    private readonly string? FindPageError(uint slab)
    {
        for (uint page = slab; page < slab + SlabPages; page++)
        {
            byte pageClass = LinearRegion.ClassOf(page);
            if (pageClass != PageClass && pageClass != _returnClass)
                return $"page {page} of slab {slab} has class {pageClass}";
            int owner = LinearRegion.Frames[page].Cache;
            if (owner != Index) return $"page {page} of slab {slab} names cache {owner}";
        }
        return null;
    }
}
