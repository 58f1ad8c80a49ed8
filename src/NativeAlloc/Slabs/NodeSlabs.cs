using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>
/// The slabs of one cache on one node (<c>kmem_list3</c>), in lists through the frames of their first pages: the full ones, the partial ones by how
/// full they are, and the free ones. Objects are taken from the fullest partial slab, so that those that are nearly empty become free.
/// Under the cache's lock.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NodeSlabs
{
    /// <summary>List of slabs of which no object is free.</summary>
    internal const int Full = 0;

    /// <summary>Lists of partial slabs: 1 holds those with less than a quarter of their objects free, 4 those with three quarters or more.</summary>
    internal const int FirstPartial = 1, LastPartial = 4;

    /// <summary>List of slabs of which every object is free.</summary>
    internal const int Free = LastPartial + 1;

    internal const int ListCount = Free + 1;

    /// <summary>The lists.</summary>
    private SlabLists _lists;

    /// <summary>Objects that are in slabs, whatever their list. Written under the lock, read by any thread.</summary>
    public ulong FreeObjects;

    /// <summary><see cref="FreeObjects"/>, as an estimate without the lock.</summary>
    internal readonly ulong FreeObjectsHint => Volatile.Read(in FreeObjects);

    private uint _slabCount;

    private uint _peakSlabCount;

    /// <summary>The fewest free slabs since <see cref="TakeUnneeded"/>.</summary>
    private uint _leastFree;

    internal void Initialize()
    {
        this = default;
        foreach (ref FreeArea list in (Span<FreeArea>)_lists) list = FreeArea.Empty;
    }

    /// <summary>The list that a slab with so many free objects belongs in.</summary>
    internal static int ListOf(uint freeObjects, uint objectsPerSlab) =>
        freeObjects == 0 ? Full
        : freeObjects == objectsPerSlab ? Free
        : FirstPartial + (int)(freeObjects * (LastPartial - FirstPartial + 1) / objectsPerSlab);

    internal readonly uint Count(int list) => _lists[list].Count;

    internal readonly uint First(int list) => _lists[list].First;

    /// <summary>Slabs in all lists. Also without the lock, as an estimate.</summary>
    internal readonly uint SlabCount => Volatile.Read(in _slabCount);

    /// <summary>The most slabs there ever were. Also without the lock.</summary>
    internal readonly uint PeakSlabCount => Volatile.Read(in _peakSlabCount);

    /// <summary>The slab to take objects from: the fullest that has some, or <see cref="PageFrame.None"/>.</summary>
    internal readonly uint Fullest()
    {
        for (int list = FirstPartial; list <= Free; list++)
            if (_lists[list].First != PageFrame.None) return _lists[list].First;
        return PageFrame.None;
    }

    /// <summary>Free slabs that nobody needed since the last call: so many there were at any time.</summary>
    internal uint TakeUnneeded()
    {
        uint unneeded = Math.Min(_leastFree, Count(Free));
        _leastFree = Count(Free);
        return unneeded;
    }

    internal void Add(PageFrame* frames, uint slab, int list)
    {
        Link(frames, slab, list);
        Volatile.Write(ref _slabCount, _slabCount + 1);
        if (_slabCount > _peakSlabCount) Volatile.Write(ref _peakSlabCount, _slabCount);
    }

    internal void Remove(PageFrame* frames, uint slab)
    {
        Unlink(frames, slab);
        Volatile.Write(ref _slabCount, _slabCount - 1);
    }

    /// <summary>Puts a slab whose free objects have changed on the list that they call for.</summary>
    internal void Place(PageFrame* frames, uint slab, uint objectsPerSlab)
    {
        int list = ListOf(frames[slab].FreeObjects, objectsPerSlab);
        if (frames[slab].List == list) return;
        Unlink(frames, slab);
        Link(frames, slab, list);
    }

    private void Unlink(PageFrame* frames, uint slab)
    {
        _lists[frames[slab].List].Remove(frames, slab);
        _leastFree = Math.Min(_leastFree, Count(Free));
    }

    private void Link(PageFrame* frames, uint slab, int list)
    {
        frames[slab].List = (byte)list;
        _lists[list].AddFirst(frames, slab);
    }

    [InlineArray(ListCount)]
    private struct SlabLists
    {
        private FreeArea _first;
    }
}
