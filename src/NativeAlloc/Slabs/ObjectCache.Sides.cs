using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <content>Which loaded magazine frees go to: that of allocations, or the return side.</content>
internal unsafe partial struct ObjectCache
{
    // Slabs that are gone through under one lock, some microseconds.
    private const int SetAtOnce = 128;

    /// <summary>
    /// Has objects freed to the return side from now on, if there is one: of new slabs, and of all there are. Either
    /// class is right for a page at any time, so other threads need not be kept out, and a slab that is being made
    /// meanwhile, or is moved to another list, may keep the other until it changes lists again.
    /// </summary>
    internal void UseReturnSide()
    {
        Volatile.Write(ref _isShared, 1);
        SetPageClass(Volatile.Read(ref _returnClass));
    }

    /// <summary>
    /// Has objects freed to the return side, whether threads share the cache or not; or no longer, if they do not.
    /// </summary>
    internal void SeparateFrees(bool on) =>
        SetPageClass(on || Volatile.Read(ref _isShared) != 0 ? Volatile.Read(ref _returnClass) : PageClass);

    /// <summary>Gives a cache its return side.</summary>
    internal void SetReturnSide(byte side) => Volatile.Write(ref _returnClass, side);

    private void SetPageClass(byte pageClass)
    {
        if (Volatile.Read(ref _pageClass) == pageClass) return;
        Volatile.Write(ref _pageClass, pageClass);
        for (int index = 0; index < NodeCount; index++)
            for (int list = 0; list < NodeSlabs.ListCount; list++)
                SetPageClass(Node(index), list, pageClass);
    }

    /// <summary>
    /// Puts a slab on the list that it belongs on now. The node's lock is held. Its pages get the class that they
    /// should have: a slab that changes lists while these are gone through may have been on none of them.
    /// </summary>
    internal readonly void Place(CacheNode* node, uint slab)
    {
        node->Slabs.Place(LinearRegion.Frames, slab, ObjectsPerSlab);
        byte pageClass = Volatile.Read(in _pageClass);
        if (LinearRegion.ClassOf(slab) != pageClass) LinearRegion.SetClass(slab, SlabPages, pageClass);
    }

    private readonly void SetPageClass(CacheNode* node, int list, byte pageClass)
    {
        uint left = uint.MaxValue;
        do
        {
            node->Lock.Acquire();
            left = Math.Min(left, node->Slabs.Count(list));
            for (int looks = SetAtOnce; looks != 0 && left != 0; looks--, left--)
            {
                // From the end to the front, so that none is met twice while other threads move slabs.
                uint slab = node->Slabs.Last(list);
                node->Slabs.MoveTo(LinearRegion.Frames, slab, list);
                LinearRegion.SetClass(slab, SlabPages, pageClass);
            }
            node->Lock.Release();
        }
        while (left != 0);
    }
}
