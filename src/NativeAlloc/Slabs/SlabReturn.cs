using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>
/// Drains objects of a cache into their slabs, any number of magazines under one lock: the lock of the node whose
/// slabs they come from. On a machine with several nodes these locks are taken one after the other.
/// </summary>
/// <remarks>
/// A magazine holds what callers freed, and a caller may have freed something twice. So every object is checked before
/// anything is written: its page is still a slab of this cache, an object begins there, and it is not in the slab
/// already.
/// </remarks>
internal unsafe ref struct SlabReturn(ObjectCache* cache, uint freed)
{
    private CacheNode* _node; // its lock is held
    private uint _slab = PageFrame.None;
    private uint _freed = freed; // a list through the frames
    private ulong* _freeObjects; // of the node: in slabs like _slab

    /// <summary>Drains one object, which is in no magazine, into its slab.</summary>
    internal static void FreeDirect(ObjectCache* cache, ThreadPages* own, void* pointer)
    {
        nint slot = (nint)pointer;
        SlabReturn batch = new(cache, PageFrame.None);
        batch.Drain(&slot, 1);
        cache->GiveSlabs(own, batch.End());
    }

    /// <summary>Drains all objects of a magazine.</summary>
    internal void DrainMagazine(nint top)
    {
        nint bottom = cache->Magazine.BottomOf(top);
        Drain((nint*)bottom, (int)((top - bottom) / sizeof(nint)));
    }

    /// <summary>Drains objects that stand side by side.</summary>
    internal void Drain(nint* slots, int count)
    {
        PageFrame* frames = LinearRegion.Frames;
        for (int i = 0; i < count; i++)
        {
            nint pointer = slots[i];
            uint slab = cache->SlabOf((uint)LinearRegion.PageIndexOf((void*)pointer));
            if (slab != _slab) MoveTo(frames, slab, pointer);
            nuint offset = (nuint)pointer - LinearRegion.AddressOf(slab);
            uint index = cache->ObjectIndexOf(offset);
            bool isObject = index * (nuint)cache->ObjectBytes == offset && index < cache->ObjectsPerSlab;
            ref ulong word = ref LinearRegion.BitmapOf(slab)[index >> 6];
            ulong bit = 1UL << (int)(index & 63);
            if (!isObject || (word & bit) != 0) cache->StopOnBadFree(pointer, isObject);
            word |= bit;
            frames[slab].FreeObjects++;
            frames[slab].FirstWord = (ushort)Math.Min(frames[slab].FirstWord, index >> 6);
            Volatile.Write(ref *_freeObjects, *_freeObjects + 1);
        }
    }

    /// <summary>
    /// Ends the draining. Returns the list of free slabs, through their frames: those of the constructor, and those
    /// that became free.
    /// </summary>
    internal uint End()
    {
        Settle(LinearRegion.Frames);
        if (_node != null) _node->Lock.Release();
        return _freed;
    }

    private void MoveTo(PageFrame* frames, uint slab, nint pointer)
    {
        Settle(frames);
        CacheNode* node = cache->NodeOfSlab(slab);
        if (node != _node)
        {
            if (_node != null) _node->Lock.Release();
            node->Lock.Acquire();
            Volatile.Write(ref node->Drains, node->Drains + 1);
            _node = node;
        }
        // Under the lock: a slab of this cache stays one as long as it is held.
        if (frames[slab].GetState() != PageState.Slab || frames[slab].Cache != cache->Index)
            cache->StopOnStaleFree(frames + slab, pointer);
        _slab = slab;
        _freeObjects = NodeSlabs.IsHollow(frames[slab].List) ? &node->Slabs.HollowObjects : &node->Slabs.FreeObjects;
    }

    // A slab that has got objects back moves to the list that it belongs on now. A slab that is free leaves the cache:
    // other sizes may need its pages, and the page layer hands pages out nearly as fast as a list of free slabs would.
    // So that list holds only slabs that were never used.
    private void Settle(PageFrame* frames)
    {
        if (_slab == PageFrame.None) return;
        cache->Place(_node, _slab);
        if (frames[_slab].FreeObjects == cache->ObjectsPerSlab && frames[_slab].List != NodeSlabs.InPurge)
            cache->RemoveFreeSlab(_node, _slab, ref _freed);
    }
}
