using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>Which list of its cache a slab is in.</summary>
internal enum SlabFill : byte
{
    /// <summary>No object of it is free.</summary>
    Full = 0,

    /// <summary>Some are.</summary>
    Partial = 1,

    /// <summary>All are: the slab can be taken down.</summary>
    Free = 2,
}

/// <summary>The slabs of one cache on one node (<c>kmem_list3</c>), a list per <see cref="SlabFill"/>. Under the cache's lock.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NodeSlabs
{
    /// <summary>The lists, through the frames of the slabs' first pages.</summary>
    private SlabLists _lists;

    /// <summary>Objects that are in slabs, whatever their list.</summary>
    public ulong FreeObjects;

    private uint _slabCount;

    private uint _peakSlabCount;

    internal void Initialize()
    {
        this = default;
        foreach (ref FreeArea list in (Span<FreeArea>)_lists) list = FreeArea.Empty;
    }

    internal readonly uint Count(SlabFill fill) => _lists[(int)fill].Count;

    /// <summary>Slabs in all lists. Also without the lock, as an estimate.</summary>
    internal readonly uint SlabCount => Volatile.Read(in _slabCount);

    /// <summary>The most slabs there ever were. Also without the lock.</summary>
    internal readonly uint PeakSlabCount => Volatile.Read(in _peakSlabCount);

    internal readonly uint First(SlabFill fill) => _lists[(int)fill].First;

    internal void Add(PageFrame* frames, uint slab, SlabFill fill)
    {
        frames[slab].List = (byte)fill;
        _lists[(int)fill].AddFirst(frames, slab);
        Volatile.Write(ref _slabCount, _slabCount + 1);
        if (_slabCount > _peakSlabCount) Volatile.Write(ref _peakSlabCount, _slabCount);
    }

    internal void Remove(PageFrame* frames, uint slab)
    {
        _lists[frames[slab].List].Remove(frames, slab);
        Volatile.Write(ref _slabCount, _slabCount - 1);
    }

    /// <summary>Puts a slab on the list that its free objects call for.</summary>
    internal void Place(PageFrame* frames, uint slab, uint objectsPerSlab)
    {
        uint free = frames[slab].FreeObjects;
        SlabFill fill = free == 0 ? SlabFill.Full : free == objectsPerSlab ? SlabFill.Free : SlabFill.Partial;
        if (frames[slab].List == (byte)fill) return;
        Remove(frames, slab);
        Add(frames, slab, fill);
    }

    [InlineArray(3)]
    private struct SlabLists
    {
        private FreeArea _first;
    }
}
