using System.Runtime.InteropServices;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.Tests.Pages;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// A cache of a test's own, under an index that no cache of the allocator has. It remembers which objects are out and checks every step
/// against what is free in each slab; at its end everything must have come back.
/// </summary>
internal sealed unsafe class TestCache : IDisposable
{
    internal const int Index = 200;

    private readonly uint _usedBefore = UsedPages();

    /// <summary>By slab: which of its objects are free.</summary>
    private readonly SortedDictionary<uint, bool[]> _slabs = [];

    /// <summary>By slab: the object that is handed out first.</summary>

    private readonly List<nint> _live = [];
    private int _peak;

    internal TestCache(nuint objectBytes, int magazineCapacity = 0, int depotLimit = 0)
    {
        if (SlabLayer.CacheCount > Index) throw new InvalidOperationException("the index is one of the allocator's own");
        Cache = (ObjectCache*)NativeMemory.AllocZeroed((nuint)sizeof(ObjectCache));
        Cache->Initialize(Index, objectBytes, magazineCapacity, depotLimit);
    }

    internal ObjectCache* Cache { get; }

    internal IReadOnlyList<nint> Live => _live;

    internal int SlabCount => _slabs.Count;

    internal int FreeObjects => _slabs.Values.Sum(objects => objects.Count(free => free));

    /// <summary>Makes a slab and adds it.</summary>
    internal uint Grow()
    {
        Require(Cache->TryMakeSlab(null, out uint slab), "there is memory for a slab");
        Cache->Lock.Acquire();
        Cache->AddSlab(slab);
        Cache->Lock.Release();
        Require(slab % (1u << Cache->SlabOrder) == 0, "a slab begins at a multiple of its order");
        _slabs.Add(slab, Enumerable.Repeat(true, (int)Cache->ObjectsPerSlab).ToArray());
        _peak = Math.Max(_peak, _slabs.Count);
        Check();
        return slab;
    }

    /// <summary>
    /// Takes up to so many objects, the first in the last slot. Each must be from one of the fullest slabs, to the quarter, and there the first
    /// that is free.
    /// </summary>
    internal nint[] Take(int wanted)
    {
        nint[] slots = new nint[wanted];
        int available = FreeObjects, taken;
        Cache->Lock.Acquire();
        fixed (nint* first = slots) taken = Cache->TakeObjects(first, wanted);
        Cache->Lock.Release();
        Require(taken == Math.Min(wanted, available), $"{taken} of {wanted} objects were taken and {available} were free");
        for (int i = taken; i-- > 0;)
        {
            nint pointer = slots[i];
            uint slab = Cache->SlabOf((uint)LinearRegion.PageIndexOf((void*)pointer));
            Require(_slabs.TryGetValue(slab, out bool[]? objects), "an object lies in a slab of its cache");
            long offset = pointer - (nint)LinearRegion.AddressOf(slab);
            int quarter = ListOf(objects!);
            Require(!_slabs.Values.Any(others => ListOf(others) is var other && other != 0 && other < quarter), "objects come from the fullest slab that has some");
            int next = Array.IndexOf(objects!, true);
            Require(offset == next * (long)Cache->ObjectBytes, $"the object at offset {offset} is not its slab's next free one, {next}");
            objects![next] = false;
            _live.Add(pointer);
        }
        Check();
        return slots[..taken];
    }

    /// <summary>Puts objects back and gives the slabs that come out, which are those that become free, to the page layer; returns how many those are.</summary>
    internal int Put(params ReadOnlySpan<nint> objects)
    {
        int unused = _slabs.Values.Count(all => !all.Contains(false));
        foreach (nint pointer in objects)
        {
            uint slab = Cache->SlabOf((uint)LinearRegion.PageIndexOf((void*)pointer));
            _slabs[slab][(pointer - (nint)LinearRegion.AddressOf(slab)) / (int)Cache->ObjectBytes] = true;
            Require(_live.Remove(pointer), "the test holds the object");
        }
        Cache->Lock.Acquire();
        uint surplus;
        fixed (nint* first = objects) surplus = Cache->PutObjects(first, objects.Length);
        Cache->Lock.Release();
        int given = Give(surplus);
        Require(_slabs.Values.Count(all => !all.Contains(false)) == unused, "slabs that become free go back at once");
        return given;
    }

    /// <summary>Takes all free slabs out and gives them to the page layer; returns how many those are.</summary>
    internal int Shrink()
    {
        Cache->Lock.Acquire();
        uint surplus = Cache->TakeFreeSlabs();
        Cache->Lock.Release();
        return Give(surplus);
    }

    /// <summary>Slabs have come and gone past this: how many there were at a time is not known here.</summary>
    internal void ForgetPeak() => _peak = (int)Cache->Slabs.PeakSlabCount;

    private int Give(uint surplus)
    {
        int count = 0;
        for (uint slab = surplus; slab != PageFrame.None; slab = LinearRegion.Frames[slab].Next, count++)
        {
            Require(!_slabs[slab].Contains(false), "a slab that goes has all its objects");
            _slabs.Remove(slab);
        }
        uint pages = Cache->GiveSlabs(null, surplus);
        Require(pages == count * Cache->SlabPages, "the pages of the slabs are counted");
        if (surplus != PageFrame.None) Require(LinearRegion.ClassOf(surplus) == 0, "a page that is no slab has no class");
        Check();
        return count;
    }

    private void Check()
    {
        Cache->Verify();
        Require(Cache->Slabs.SlabCount == _slabs.Count, "the slabs are counted");
        Require(Cache->Slabs.FreeObjects == (ulong)FreeObjects, "the free objects are counted");
        Require(Cache->Slabs.PeakSlabCount == _peak, "the most slabs there ever were are known");
        for (int list = 0; list < NodeSlabs.ListCount; list++)
            Require(Cache->Slabs.Count(list) == _slabs.Values.Count(objects => ListOf(objects) == list), "the slabs are on the lists they belong in");
        Require(UsedPages() == _usedBefore + _slabs.Count * Cache->SlabPages, "the cache has the pages of its slabs");
        foreach ((uint slab, bool[] objects) in _slabs)
        {
            ulong* bits = LinearRegion.BitmapOf(slab);
            for (int i = 0; i < objects.Length; i++)
                if (((bits[i >> 6] >> (i & 63)) & 1) != 0 != objects[i]) Require(false, $"the bit of object {i} is that of the oracle");
        }
    }

    // Full, by quarters, free.
    private static int ListOf(bool[] objects)
    {
        int free = objects.Count(isFree => isFree);
        return free == 0 ? 0 : free == objects.Length ? 5 : 1 + free * 4 / objects.Length;
    }

    private static void Require(bool condition, string what)
    {
        if (!condition) throw new InvalidOperationException("violated: " + what);
    }

    private static uint UsedPages() => TestZone.Normal->OnlinePages - TestZone.Normal->FreePages;

    public void Dispose()
    {
        Put([.. _live]);
        Shrink();
        NativeMemory.Free(Cache);
        Require(_slabs.Count == 0 && UsedPages() == _usedBefore, "every page has come back");
    }
}
