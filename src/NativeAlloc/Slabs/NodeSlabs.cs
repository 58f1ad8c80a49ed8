using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Common;
using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>
/// The slabs of one cache on one node (<c>kmem_list3</c>), in lists through the frames of their first pages: full
/// slabs, partial slabs by how full they are, and free slabs. Objects are taken from the fullest partial slab, so that
/// nearly empty slabs become free. The lock of the node guards all of it.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NodeSlabs
{
    /// <summary>List of slabs of which no object is free.</summary>
    internal const int Full = 0;

    /// <summary>
    /// Lists of partial slabs: 1 holds those with less than a quarter of their objects free, 4 those with three
    /// quarters or more.
    /// </summary>
    internal const int FirstPartial = 1, LastPartial = 4;

    /// <summary>List of slabs of which every object is free.</summary>
    internal const int Free = LastPartial + 1;

    /// <summary>
    /// List of <b>hollow</b> slabs: partial ones of which holes have been given back to the system. Nothing is taken
    /// from a hollow slab until it is filled again.
    /// </summary>
    internal const int Hollow = Free + 1;

    /// <summary>
    /// List of slabs that a thread is just making hollow. Nothing is taken from them, and they are not given back.
    /// </summary>
    internal const int InPurge = Hollow + 1;

    internal const int ListCount = InPurge + 1;

    /// <summary>The lists.</summary>
    private SlabLists _lists;

    /// <summary>Objects in slabs that can be taken. Written under the lock, read by any thread.</summary>
    public ulong FreeObjects;

    /// <summary>Objects in hollow slabs and in those that are becoming hollow. As <see cref="FreeObjects"/>.</summary>
    public ulong HollowObjects;

    /// <summary>Objects that are in slabs, whatever their list. Also without the lock, as an estimate.</summary>
    internal readonly ulong ObjectsInSlabs => Volatile.Read(in FreeObjects) + Volatile.Read(in HollowObjects);

    /// <summary>System pages of all slabs that have been given back. As <see cref="FreeObjects"/>.</summary>
    private ulong _purgedPages;

    /// <summary>The fewest free objects since <see cref="ReadAndResetUnneededObjects"/>.</summary>
    private LowWater _freeObjectsLowWater;

    /// <summary><see cref="FreeObjects"/>, as an estimate without the lock.</summary>
    internal readonly ulong FreeObjectsHint => Volatile.Read(in FreeObjects);

    private uint _slabCount;

    private uint _peakSlabCount;

    /// <summary>The fewest free slabs since <see cref="ReadAndResetUnneededSlabs"/>.</summary>
    private LowWater _freeSlabsLowWater;

    internal void Initialize()
    {
        this = default;
        for (int list = 0; list < ListCount; list++) ListAt(list) = FrameList.Empty;
    }

    /// <summary>The list that a slab with so many free objects belongs in.</summary>
    internal static int ListOf(uint freeObjects, uint objectsPerSlab) =>
        freeObjects == 0 ? Full
        : freeObjects == objectsPerSlab ? Free
        : FirstPartial + (int)(freeObjects * (LastPartial - FirstPartial + 1) / objectsPerSlab);

    internal readonly uint Count(int list) => ListAt(list).Count;

    internal readonly uint First(int list) => ListAt(list).First;

    internal readonly uint Last(int list) => ListAt(list).Last;

    /// <summary>System pages of all slabs that have been given back. Also without the lock.</summary>
    internal readonly ulong PurgedPages => Volatile.Read(in _purgedPages);

    /// <summary>Slabs in all lists. Also without the lock, as an estimate.</summary>
    internal readonly uint SlabCount => Volatile.Read(in _slabCount);

    /// <summary>The most slabs there ever were. Also without the lock.</summary>
    internal readonly uint PeakSlabCount => Volatile.Read(in _peakSlabCount);

    /// <summary>The slab to take objects from: the fullest that has some, or <see cref="PageFrame.None"/>.</summary>
    internal readonly uint Fullest()
    {
        for (int list = FirstPartial; list <= Free; list++)
            if (First(list) != PageFrame.None) return First(list);
        return PageFrame.None;
    }

    /// <summary>Free slabs that there were all the time since the last call.</summary>
    internal uint ReadAndResetUnneededSlabs() => (uint)_freeSlabsLowWater.ReadAndReset(Count(Free));

    /// <summary>Free objects that there were all the time since the last call, beside those in hollow slabs.</summary>
    internal ulong ReadAndResetUnneededObjects() => _freeObjectsLowWater.ReadAndReset(FreeObjects);

    /// <summary>Notes that free objects have been taken, or a slab with all of its objects.</summary>
    internal void RemoveFreeObjects(ulong count)
    {
        Volatile.Write(ref FreeObjects, FreeObjects - count);
        _freeObjectsLowWater.Note(FreeObjects);
    }

    internal void AddFreeObjects(ulong count) => Volatile.Write(ref FreeObjects, FreeObjects + count);

    /// <summary>
    /// Moves a slab to the hollow ones, to those that become hollow, or back. Its free objects are counted with the
    /// slabs that it stands with.
    /// </summary>
    internal void MoveTo(PageFrame* frames, uint slab, int list)
    {
        PageFrame* frame = frames + slab;
        bool wasHollow = IsHollow(frame->List), isHollow = IsHollow(list);
        if (isHollow && !wasHollow)
        {
            RemoveFreeObjects(frame->FreeObjects);
            Volatile.Write(ref HollowObjects, HollowObjects + frame->FreeObjects);
        }
        else if (wasHollow && !isHollow)
        {
            Volatile.Write(ref HollowObjects, HollowObjects - frame->FreeObjects);
            AddFreeObjects(frame->FreeObjects);
        }
        Unlink(frames, slab);
        Link(frames, slab, list);
    }

    /// <summary>Counts system pages of a slab as given back, or as having memory again.</summary>
    internal void SetPurged(PageFrame* frame, uint pages)
    {
        Volatile.Write(ref _purgedPages, _purgedPages + pages - frame->PurgedPages);
        frame->PurgedPages = (ushort)pages;
    }

    /// <summary>Whether objects of the slabs on a list are counted as <see cref="HollowObjects"/>.</summary>
    internal static bool IsHollow(int list) => list >= Hollow;

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

    /// <summary>
    /// Puts a slab on the list that goes with its number of free objects, which has changed. A hollow slab stays
    /// hollow.
    /// </summary>
    internal void Place(PageFrame* frames, uint slab, uint objectsPerSlab)
    {
        int list = ListOf(frames[slab].FreeObjects, objectsPerSlab);
        if (frames[slab].List == list || IsHollow(frames[slab].List)) return;
        Unlink(frames, slab);
        Link(frames, slab, list);
    }

    private void Unlink(PageFrame* frames, uint slab)
    {
        ListAt(frames[slab].List).Remove(frames, slab);
        _freeSlabsLowWater.Note(Count(Free));
    }

    private void Link(PageFrame* frames, uint slab, int list)
    {
        frames[slab].List = (byte)list;
        ListAt(list).AddFirst(frames, slab);
    }

    // An index into the array goes by way of a span of its type: code that a compiled assembly cannot have, so that the
    // first block of a process would wait for the JIT.
    [UnscopedRef]
    private readonly ref FrameList ListAt(int list)
    {
        Debug.Assert((uint)list < ListCount, "there is such a list");
        return ref Unsafe.Add(ref Unsafe.As<SlabLists, FrameList>(ref Unsafe.AsRef(in _lists)), list);
    }

    [InlineArray(ListCount)]
    private struct SlabLists
    {
        private FrameList _first;
    }
}
