using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>
/// Puts objects of a cache back into their slabs, any number of magazines under one lock: of the node whose slabs they come from, and on a machine with more nodes
/// of one after the other.
/// </summary>
internal unsafe ref struct SlabReturn(ObjectCache* cache, uint surplus)
{
    private CacheNode* _node; // whose lock is held
    private uint _slab = PageFrame.None;
    private uint _surplus = surplus;
    private ulong* _freeObjects; // of the node: in slabs like _slab

    /// <summary>Puts objects back.</summary>
    internal void Put(nint* slots, int count)
    {
        PageFrame* frames = LinearRegion.Frames;
        for (int i = 0; i < count; i++)
        {
            nint pointer = slots[i];
            uint slab = cache->SlabOf((uint)LinearRegion.PageIndexOf((void*)pointer));
            if (slab != _slab) MoveTo(frames, slab);
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

    /// <summary>Ends it and returns the slabs that are free now, together with those there were: a list through their frames.</summary>
    internal uint End()
    {
        Settle(LinearRegion.Frames);
        if (_node != null) _node->Lock.Release();
        return _surplus;
    }

    private void MoveTo(PageFrame* frames, uint slab)
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
        _slab = slab;
        _freeObjects = NodeSlabs.IsHollow(frames[slab].List) ? &node->Slabs.HollowObjects : &node->Slabs.FreeObjects;
    }

    // A slab has got objects back: move it to the list it belongs in now, or out, when it is free. Other sizes may need its pages, and the page
    // layer hands them out nearly as fast as a list of free slabs would; that list holds only slabs that are not used yet.
    private void Settle(PageFrame* frames)
    {
        if (_slab == PageFrame.None) return;
        _node->Slabs.Place(frames, _slab, cache->ObjectsPerSlab);
        if (frames[_slab].FreeObjects == cache->ObjectsPerSlab && frames[_slab].List != NodeSlabs.InPurge) cache->RemoveFreeSlab(_node, _slab, ref _surplus);
    }
}
