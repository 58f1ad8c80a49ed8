using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>
/// Slabs that a thread has made and not added to their cache yet: only this thread knows of them. Side by side.
/// </summary>
/// <param name="Node">The node that their pages are from: where there are several, not always the thread's own.</param>
/// <param name="First">First page of the first slab.</param>
/// <param name="Count">Slabs; 0 where none had to be made, as a hollow one of the node has been filled.</param>
internal readonly unsafe record struct NewSlabs(nint Node, uint First, uint Count);

/// <content>
/// Makes slabs (<c>cache_grow</c>): <see cref="TryMakeSlabs"/> without a lock, as constructors are user code, then <see
/// cref="Add"/> under the lock under which objects are taken out of them.
/// </content>
internal unsafe partial struct ObjectCache
{
    /// <summary>
    /// Makes new slabs, with every object free; no lock is held. One, or several side by side where only fresh memory
    /// is left. False when there is no memory. <b>Runs the constructor, which is user code</b>: whatever was read of
    /// the thread's block before may be wrong afterwards, and so may the block itself.
    /// </summary>
    /// <param name="own">The calling thread's pages; not used any more once the constructor runs.</param>
    /// <param name="wanted">Slabs that the caller could use.</param>
    /// <param name="slabs">For <see cref="Add"/>.</param>
    /// <param name="refusal">Why there is no memory.</param>
    internal readonly bool TryMakeSlabs(ThreadPages* own, int wanted, out NewSlabs slabs, out Refusal refusal)
    {
        refusal = default;
        CacheNode* node = NodeOf(own);
        slabs = new NewSlabs((nint)node, PageFrame.None, 0);
        if (TryFillOne(node)) return true;
        if (!TryTakePages(own, node, wanted, out uint first, out uint count, out refusal)) return false;
        uint end = first + count * SlabPages;
        for (uint slab = first; slab != end; slab += SlabPages)
        {
            if (slab != first) PageLayer.SplitOff(first, slab);
            if (Constructor != null) Construct(first, slab, end);
            Describe(slab);
        }
        slabs = new NewSlabs((nint)NodeOfSlab(first), first, count);
        EventRing.Raise(EventKind.SlabsMade, ObjectBytes, count);
        return true;
    }

    private readonly bool TryTakePages(
        ThreadPages* own, CacheNode* node, int wanted, out uint first, out uint count, out Refusal refusal)
    {
        count = 1;
        // A cache that never had two slabs may well leave this one nearly empty. On fresh pages it then costs the few
        // system pages that are touched; on used ones it would hold all of their memory back.
        bool isFirst = node->Slabs.SlabCount == 0 && node->Slabs.PeakSlabCount <= 1;
        bool sparse = isFirst && ObjectBytes < VirtualMemory.PageBytes;
        MemoryChoice choice = sparse ? MemoryChoice.FreshFirst : MemoryChoice.UsedFirst;
        MigrateType type = SlabPages == 1 ? MigrateType.Unmovable : MigrateType.Run;
        if (wanted == 1 || SlabPages != 1u << SlabOrder) // slabs of other sizes do not stand side by side
            return PageLayer.TryTakePages(own, SlabPages, choice, out first, out refusal, type);
        // Used pages first, one by one, as they are rarely side by side.
        if (PageLayer.TryTakePages(own, SlabPages, MemoryChoice.UsedOnly, out first, out refusal, type)) return true;
        count = (uint)wanted;
        if (PageLayer.TryTakePages(own, SlabPages * count, MemoryChoice.UsedFirst, out first, out refusal, type))
            return true;
        count = 1;
        return PageLayer.TryTakePages(own, SlabPages, MemoryChoice.UsedFirst, out first, out refusal, type);
    }

    // Constructs the objects of one of several new slabs. Where the constructor throws, the slabs before it are added,
    // and the pages from this one on are given back.
    private readonly void Construct(uint first, uint slab, uint end)
    {
        try
        {
            byte* address = (byte*)LinearRegion.AddressOf(slab) + ConstructorOffset;
            for (uint index = 0; index < ObjectsPerSlab; index++) Constructor(address + (nuint)index * ObjectBytes);
        }
        catch
        {
            PageLayer.GivePages(slab, end - slab);
            CacheNode* node = NodeOfSlab(first);
            node->Lock.Acquire();
            Add(new NewSlabs((nint)node, first, (slab - first) / SlabPages));
            node->Lock.Release();
            throw;
        }
    }

    private readonly void Describe(uint slab)
    {
        ulong* words = LinearRegion.BitmapOf(slab);
        uint wholeWords = ObjectsPerSlab / 64, rest = ObjectsPerSlab % 64;
        // not Span.Fill, which waits for the JIT
        for (uint word = 0; word < wholeWords; word++) words[word] = ulong.MaxValue;
        if (rest != 0) words[wholeWords] = (1UL << (int)rest) - 1;
        PageFrame* frame = LinearRegion.Frames + slab;
        frame->Order = (byte)SlabOrder;
        frame->FreeObjects = (ushort)ObjectsPerSlab;
        frame->FirstWord = 0;
        frame->PurgedPages = 0;
        // A wide cache is found by any page of a slab.
        for (uint page = 0; page < SlabPages; page++) frame[page].Cache = Index;
        frame->SetState(PageState.Slab);
        LinearRegion.SetClass(slab, SlabPages, Volatile.Read(in _pageClass));
    }

    /// <summary>Adds new slabs, if there are any, to their node's, whose lock is held.</summary>
    internal readonly void Add(in NewSlabs slabs)
    {
        if (slabs.Count == 0) return;
        CacheNode* node = (CacheNode*)slabs.Node;
        for (uint i = 0; i < slabs.Count; i++)
            node->Slabs.Add(LinearRegion.Frames, slabs.First + i * SlabPages, NodeSlabs.Free);
        node->Slabs.AddFreeObjects(slabs.Count * ObjectsPerSlab);
    }

    /// <summary>
    /// One object straight from the slabs, without a magazine; null when there is no memory. Runs the constructor where
    /// it has to grow.
    /// </summary>
    /// <param name="own">The calling thread's pages.</param>
    /// <param name="refusal">Why there is no memory.</param>
    /// <param name="grown">Slabs that have been made already; they are added.</param>
    internal readonly void* AllocDirect(ThreadPages* own, out Refusal refusal, NewSlabs grown = default)
    {
        refusal = default;
        nint pointer;
        if (grown.Node == 0) grown = new NewSlabs((nint)NodeOf(own), PageFrame.None, 0);
        // Where a constructor has run there are new slabs, and an object is taken out of them under the lock under
        // which they are added: so the thread's pages are not used again after it.
        while (!TryTakeOne(grown, &pointer))
            if (!TryMakeSlabs(own, 1, out grown, out refusal)) return AllocAnywhere();
        return (void*)pointer;
    }

    /// <summary>One object from whichever node has some; null where none has.</summary>
    internal readonly void* AllocAnywhere()
    {
        nint pointer;
        return TakeAnywhere(&pointer, 1) == 1 ? (void*)pointer : null;
    }

    private readonly bool TryTakeOne(in NewSlabs grown, nint* pointer)
    {
        CacheNode* node = (CacheNode*)grown.Node;
        // The usual case where a slab is a single object.
        if (grown.Count == 0 && node->Slabs.FreeObjectsHint == 0) return false;
        node->Lock.Acquire();
        Add(grown);
        bool taken = TakeObjects(node, pointer, 1) == 1;
        node->Lock.Release();
        return taken;
    }
}
