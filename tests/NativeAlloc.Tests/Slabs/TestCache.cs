using System.Runtime.InteropServices;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.Tests.Pages;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// A cache of a test's own, under an index that no cache of the allocator has. It remembers which objects are out and
/// checks every step against what is free in each slab; at its end everything must have come back.
/// </summary>
internal sealed unsafe class TestCache : IDisposable
{
    internal const int Index = 200;

    /// <summary>By slab: which of its objects are free.</summary>
    private readonly SortedDictionary<uint, bool[]> _slabs = [];

    /// <summary>Slabs that nothing is taken from, as part of their memory has been given back.</summary>
    private readonly HashSet<uint> _hollow = [];

    /// <summary>By slab: which of its system pages have been given back.</summary>
    private readonly Dictionary<uint, bool[]> _purged = [];

    private readonly List<nint> _live = [];
    private readonly CacheNode* _nodes;
    private int _peak;

    internal TestCache(nuint objectBytes, int magazineCapacity = 0, int depotLimit = 0)
    {
        if (CacheTable.Exists(Index)) throw new InvalidOperationException("the allocator has a cache at this index");
        Cache = (ObjectCache*)NativeMemory.AllocZeroed((nuint)sizeof(ObjectCache));
        _nodes = (CacheNode*)NativeMemory.AllocZeroed((nuint)ObjectCache.NodeCount, (nuint)sizeof(CacheNode));
        Magazine magazine = magazineCapacity == 0 ? default : Magazine.Of(magazineCapacity);
        Cache->Initialize(Index, Index, Index, objectBytes, magazine, depotLimit, _nodes);
    }

    internal ObjectCache* Cache { get; }

    /// <summary>The part that all slabs belong to, as the tests' pages are from the first node.</summary>
    internal CacheNode* Node => Cache->Node(0);

    internal IReadOnlyList<nint> Live => _live;

    /// <summary>Some of the objects that are out, in any order.</summary>
    internal nint[] Some(int count, int seed)
    {
        nint[] all = [.. _live];
        new Random(seed).Shuffle(all);
        return all[..Math.Min(count, all.Length)];
    }

    internal int SlabCount => _slabs.Count;

    internal int HollowCount => _hollow.Count;

    /// <summary>Objects that can be taken.</summary>
    internal int FreeObjects => _slabs.Sum(slab => _hollow.Contains(slab.Key) ? 0 : slab.Value.Count(free => free));

    /// <summary>Makes a slab and adds it.</summary>
    internal uint Grow() => Grow(1)[0];

    /// <summary>
    /// Makes one slab, or up to so many side by side, and adds them; returns their first pages in ascending order.
    /// </summary>
    internal uint[] Grow(int wanted)
    {
        Require(TryGrow(wanted, out uint[] slabs), "there is memory for a slab");
        return slabs;
    }

    /// <summary>
    /// Grows where a hollow slab can be filled again: one that needs little memory, before any slab is made.
    /// </summary>
    internal void Fill()
    {
        Require(_hollow.Count != 0, "there is a hollow slab");
        uint[] hollow = [.. _hollow];
        int least = hollow.Min(slab => LinearRegion.Frames[slab].PurgedPages);
        nuint charged = ResidentBudget.ChargedBytes, purged = (nuint)Node->Slabs.PurgedPages;
        bool isFilled = Cache->TryMakeSlabs(null, 1, out NewSlabs grown, out _);
        Require(isFilled && grown == new NewSlabs((nint)Node, PageFrame.None, 0), "a hollow slab is filled again");
        uint filled = hollow.Single(slab => LinearRegion.Frames[slab].List != NodeSlabs.Hollow);
        Require(hollow.Length > 16 || least - LinearRegion.Frames[filled].PurgedPages
            == (int)(purged - (nuint)Node->Slabs.PurgedPages), "it is the one that needs least");
        Require(ResidentBudget.ChargedBytes == charged
            + (purged - (nuint)Node->Slabs.PurgedPages) * VirtualMemory.PageBytes, "what it needs is charged");
        _hollow.Remove(filled);
        _purged[filled] = HolesOf(new bool[_slabs[filled].Length]); // the tail is nobody's
        Check();
    }

    /// <summary>
    /// Writes to every byte of the slabs that has memory, has their holes and tails given back, and looks at every
    /// byte: what lies in a system page with an object that is out, or in a slab that is free, is as it was, and what
    /// lies in any other reads as zero. Returns how many bytes the cache says that were.
    /// </summary>
    internal nuint PurgeHoles()
    {
        foreach (uint slab in _slabs.Keys)
        {
            _purged.TryAdd(slab, new bool[BytesOf(slab).Length / SystemPage]);
            for (int page = 0; page < _purged[slab].Length; page++)
                if (!_purged[slab][page]) BytesOf(slab).Slice(page * SystemPage, SystemPage).Fill(Pattern);
        }
        nuint charged = ResidentBudget.ChargedBytes, purged = (nuint)Node->Slabs.PurgedPages,
            bytes = Cache->PurgeHoles(Node);
        foreach ((uint slab, bool[] objects) in _slabs)
        {
            bool[] holes = HolesOf(objects), isTail = HolesOf(new bool[objects.Length]);
            bool isFree = !objects.Contains(false);
            for (int page = 0; page < holes.Length; page++)
            {
                byte expected = holes[page] && !isFree ? (byte)0 : Pattern;
                if (holes[page]) TestCommit(slab, page);
                if (BytesOf(slab).Slice(page * SystemPage, SystemPage).ContainsAnyExcept(expected))
                    Require(false, $"system page {page} of slab {slab} holds {expected}");
            }
            if (!isFree) _purged[slab] = holes;
            bool isHollow = !isFree && holes.AsSpan().Count(true) > isTail.AsSpan().Count(true);
            if (isHollow) _hollow.Add(slab);
            Require(isHollow == _hollow.Contains(slab), "a slab that nothing came back to stays as hollow as it was");
            Require(isFree || LinearRegion.Frames[slab].PurgedPages == holes.AsSpan().Count(true),
                "holes and tail are counted");
        }
        Require(bytes == ((nuint)Node->Slabs.PurgedPages - purged) * VirtualMemory.PageBytes
            && ResidentBudget.ChargedBytes == charged - bytes, "what is given back is no longer charged");
        Check();
        return bytes;
    }

    // What was purged can be read again once it is committed.
    private static void TestCommit(uint slab, int page) =>
        Require(VirtualMemory.TryCommitToUse(LinearRegion.AddressOf(slab) + (nuint)page * VirtualMemory.PageBytes,
            VirtualMemory.PageBytes), "the system commits what was purged");

    /// <summary>Some slabs have been made hollow past this, with what free objects they had.</summary>
    internal void NoteHollow()
    {
        foreach ((uint slab, bool[] objects) in _slabs)
        {
            if (LinearRegion.Frames[slab].List != NodeSlabs.Hollow) continue;
            _hollow.Add(slab);
            _purged[slab] = HolesOf(objects);
        }
        Check();
    }

    private const byte Pattern = 0xEE;

    private static int SystemPage => (int)VirtualMemory.PageBytes;

    private Span<byte> BytesOf(uint slab) =>
        new((void*)LinearRegion.AddressOf(slab), (int)(Cache->SlabPages * PageGeometry.PageBytes));

    // By system pages: whether no object lies there that is out.
    private bool[] HolesOf(bool[] objects)
    {
        bool[] holes = Enumerable.Repeat(true, (int)(Cache->SlabPages * PageGeometry.PageBytes) / SystemPage).ToArray();
        for (int i = 0; i < objects.Length; i++)
        {
            int first = i * (int)Cache->ObjectBytes, last = first + (int)Cache->ObjectBytes - 1;
            for (int page = first / SystemPage; page <= last / SystemPage; page++) holes[page] &= objects[i];
        }
        return holes;
    }

    /// <summary>The same where there may be no memory.</summary>
    internal bool TryGrow(int wanted, out uint[] slabs)
    {
        uint used = UsedPages();
        bool made = Cache->TryMakeSlabs(null, wanted, out NewSlabs grown, out _);
        uint taken = UsedPages() - used;
        if (made)
        {
            Node->Lock.Acquire();
            Cache->Add(grown);
            Node->Lock.Release();
        }
        slabs = made ? [.. NewSlabs().Order()] : [];
        Require(!made || grown.Node == (nint)Node, "the slabs are the first node's");
        Require(slabs.Length <= wanted && made == (slabs.Length != 0),
            "there are as many new slabs as the answer says");
        Require(!made || taken == slabs.Length * Cache->SlabPages, "the pages that were taken are those of the slabs");
        for (int i = 0; i < slabs.Length; i++)
        {
            Require(slabs[i] % (1u << Cache->SlabOrder) == 0, "a slab begins at a multiple of its order");
            Require(slabs[i] == slabs[0] + i * Cache->SlabPages, "slabs that are made together stand side by side");
            _slabs.Add(slabs[i], Enumerable.Repeat(true, (int)Cache->ObjectsPerSlab).ToArray());
        }
        _peak = Math.Max(_peak, _slabs.Count);
        Check();
        return made;
    }

    private List<uint> NewSlabs()
    {
        List<uint> slabs = [];
        for (uint slab = Node->Slabs.First(NodeSlabs.Free); slab != PageFrame.None;
            slab = LinearRegion.Frames[slab].Next)
            if (!_slabs.ContainsKey(slab)) slabs.Add(slab);
        return slabs;
    }

    /// <summary>
    /// Takes up to so many objects, the first in the last slot. Each must be from one of the fullest slabs, to the
    /// quarter, and there the first that is free.
    /// </summary>
    internal nint[] Take(int wanted)
    {
        nint[] slots = new nint[wanted];
        int available = FreeObjects, taken;
        Node->Lock.Acquire();
        fixed (nint* first = slots) taken = Cache->TakeObjects(Node, first, wanted);
        Node->Lock.Release();
        Require(taken == Math.Min(wanted, available),
            $"{taken} of {wanted} objects were taken and {available} were free");
        for (int i = taken; i-- > 0;)
        {
            nint pointer = slots[i];
            uint slab = Cache->SlabOf((uint)LinearRegion.PageIndexOf((void*)pointer));
            Require(_slabs.TryGetValue(slab, out bool[]? objects), "an object lies in a slab of its cache");
            long offset = pointer - (nint)LinearRegion.AddressOf(slab);
            int quarter = ListOf(objects!);
            Require(!_hollow.Contains(slab), "nothing is taken from a hollow slab");
            Require(!_slabs.Any(others => !_hollow.Contains(others.Key) && ListOf(others.Value) is var other
                && other != 0 && other < quarter), "objects come from the fullest slab that has some");
            int next = Array.IndexOf(objects!, true);
            Require(offset == next * (long)Cache->ObjectBytes,
                $"the object at offset {offset} is not its slab's next free one, {next}");
            objects![next] = false;
            _live.Add(pointer);
        }
        Check();
        return slots[..taken];
    }

    /// <summary>
    /// Puts objects back and gives the slabs that come out, which are those that become free, to the page layer;
    /// returns how many those are.
    /// </summary>
    internal int Put(params ReadOnlySpan<nint> objects)
    {
        nint[] batch = objects.ToArray();
        return PutAll(batch);
    }

    /// <summary>Puts several batches back under one lock, as magazines are drained.</summary>
    internal int PutAll(params ReadOnlySpan<nint[]> batches)
    {
        int unused = _slabs.Values.Count(all => !all.Contains(false));
        foreach (nint[] batch in batches)
        {
            foreach (nint pointer in batch)
            {
                uint slab = Cache->SlabOf((uint)LinearRegion.PageIndexOf((void*)pointer));
                _slabs[slab][(pointer - (nint)LinearRegion.AddressOf(slab)) / (int)Cache->ObjectBytes] = true;
                Require(_live.Remove(pointer), "the test holds the object");
            }
        }
        uint locks = Node->Lock.Acquisitions;
        SlabReturn put = new(Cache, PageFrame.None);
        foreach (nint[] batch in batches)
            fixed (nint* first = batch) put.Drain(first, batch.Length);
        uint freed = put.End();
        Require(Node->Lock.Acquisitions == locks + (batches.ToArray().Any(batch => batch.Length != 0) ? 1 : 0),
            "the lock is taken once");
        int given = Give(freed);
        Require(_slabs.Values.Count(all => !all.Contains(false)) == unused, "slabs that become free go back at once");
        return given;
    }

    /// <summary>Takes all free slabs out and gives them to the page layer; returns how many those are.</summary>
    internal int Shrink()
    {
        Node->Lock.Acquire();
        uint freed = Cache->TakeFreeSlabs(Node);
        Node->Lock.Release();
        return Give(freed);
    }

    /// <summary>Slabs have come and gone past this: how many there were at a time is not known here.</summary>
    internal void ForgetPeak() => _peak = (int)Node->Slabs.PeakSlabCount;

    private int Give(uint freed)
    {
        int count = 0;
        for (uint slab = freed; slab != PageFrame.None; slab = LinearRegion.Frames[slab].Next, count++)
        {
            Require(!_slabs[slab].Contains(false), "a slab that goes has all its objects");
            _slabs.Remove(slab);
            _hollow.Remove(slab);
            _purged.Remove(slab);
        }
        uint used = UsedPages(), pages = Cache->GiveSlabs(null, freed);
        Require(pages == count * Cache->SlabPages, "the pages of the slabs are counted");
        Require(UsedPages() == used - pages, "the pages of the slabs have come back");
        if (freed != PageFrame.None)
            Require(LinearRegion.ClassOf(freed) == 0, "a page that is no slab has no class");
        Check();
        return count;
    }

    private void Check()
    {
        Cache->Verify();
        Require(Node->Slabs.SlabCount == _slabs.Count, "the slabs are counted");
        Require(Node->Slabs.FreeObjects == (ulong)FreeObjects, "the free objects are counted");
        Require(Node->Slabs.ObjectsInSlabs == (ulong)_slabs.Values.Sum(objects => objects.Count(free => free)),
            "those of hollow slabs are counted");
        Require(Node->Slabs.PeakSlabCount == _peak, "the most slabs there ever were are known");
        for (int list = 0; list < NodeSlabs.ListCount; list++)
            Require(Node->Slabs.Count(list) == _slabs.Count(slab => (_hollow.Contains(slab.Key)
                ? NodeSlabs.Hollow
                : ListOf(slab.Value)) == list), "the slabs are on the lists they belong in");
        foreach ((uint slab, bool[] objects) in _slabs)
        {
            ulong* bits = LinearRegion.BitmapOf(slab);
            for (int i = 0; i < objects.Length; i++)
                if (((bits[i >> 6] >> (i & 63)) & 1) != 0 != objects[i])
                    Require(false, $"the bit of object {i} is that of the oracle");
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

    // Of the whole process, which others change, too: good for a difference over one call only.
    private static uint UsedPages() => TestZone.Normal->OnlinePages - TestZone.Normal->FreePages;

    public void Dispose()
    {
        Put([.. _live]);
        Shrink();
        NativeMemory.Free(Cache);
        NativeMemory.Free(_nodes);
        Require(_slabs.Count == 0, "every slab has come back");
    }
}
