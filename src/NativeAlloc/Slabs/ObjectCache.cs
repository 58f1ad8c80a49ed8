using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>
/// Objects of one size (<c>kmem_cache</c>): the slabs they are cut from and the depot of magazines before them. A slab is a block of pages
/// whose frame counts its free objects and whose bitmap, beside the frame and not in the slab, has a bit per object: 1 for free.
/// </summary>
/// <remarks>
/// <code>
/// TakeObjects ─ partial slabs, the fullest first, then free ones    (cache_alloc_refill)
///             └ none: the caller grows the cache by MakeSlab ─ PageLayer.TryTakePages  (cache_grow, kmem_getpages)
/// PutObjects  ─ each object's bit; slabs that are free then go back to the page layer
/// </code>
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ObjectCache
{
    /// <summary>Guards the depot, the slab lists, and the frames and bitmaps of the slabs.</summary>
    public NativeLock Lock;

    /// <summary>Bytes from one object to the next. This and the next fields are immutable.</summary>
    public uint ObjectBytes;

    /// <summary>Objects a slab holds.</summary>
    public uint ObjectsPerSlab;

    /// <summary>2^<see cref="ReciprocalShift"/> / ObjectBytes, rounded up: division by multiplication.</summary>
    private ulong _reciprocal;

    /// <summary>Pages of a slab.</summary>
    public uint SlabPages;

    /// <summary>A slab is cut from a block of this order and begins at a multiple of it.</summary>
    public int SlabOrder;

    /// <summary>The magazines of this cache; of capacity 0 where threads keep none of its objects.</summary>
    public Magazine Magazine;

    /// <summary>The most full magazines that the depot may keep; immutable.</summary>
    private int _largestDepot;

    /// <summary>Full magazines that the depot keeps at present; beyond, objects go back to their slabs.</summary>
    private int _depotLimit;

    /// <summary>Exchanges since the limit last changed that the same thread made one after the other.</summary>
    private int _calmExchanges;

    /// <summary>The thread block that made the last exchange.</summary>
    private nint _lastUser;

    /// <summary>Index of this cache, which is also its size class.</summary>
    public ushort Index;

    /// <summary>Magazines for threads to exchange.</summary>
    public Depot Depot;

    /// <summary>Full, partial and free slabs. One node's: there is one set of zones so far.</summary>
    public NodeSlabs Slabs;

    /// <summary>Times that objects were taken out of slabs and put back into them, one per batch.</summary>
    public ulong Refills, Drains;

    // An offset in a slab (below 2^20) times 2^40 (the reciprocal of 16) stays within 64 bits up to 2^24; and the quotient is exact
    // while offset × ObjectBytes < 2^44: slabs have less than 2^20 bytes and objects at most 2^19.
    private const int ReciprocalShift = 44;

    // So many exchanges of one thread in a row halve the depot.
    private const int CalmExchanges = 64;

    internal void Initialize(int index, nuint objectBytes, int magazineCapacity, int depotLimit)
    {
        this = default;
        Index = (ushort)index;
        ObjectBytes = (uint)objectBytes;
        SlabPages = SizeClasses.SlabPagesOf(objectBytes);
        SlabOrder = LinearRegion.OrderOf(SlabPages);
        ObjectsPerSlab = (uint)(SlabPages * LinearRegion.PageBytes / objectBytes);
        _reciprocal = ((1UL << ReciprocalShift) + ObjectBytes - 1) / ObjectBytes;
        Magazine = magazineCapacity == 0 ? default : Magazine.Of(magazineCapacity);
        _largestDepot = depotLimit;
        Slabs.Initialize();
    }

    /// <summary>Whether the depot has room for a full magazine.</summary>
    internal readonly bool DepotHasRoom => Depot.FullCount < _depotLimit;

    /// <summary>
    /// Notes who exchanges a magazine, or objects for the lack of one, and sets the depot's limit by that; the lock is held. Magazines are kept for
    /// threads to pass on to each other, so the limit doubles when the lock comes from another thread, and a thread that is alone with a cache
    /// soon finds none: what it frees goes to the slabs, where it can become whole pages again.
    /// </summary>
    internal void NoteExchange(void* block)
    {
        if (_lastUser != (nint)block)
        {
            _lastUser = (nint)block;
            _calmExchanges = 0;
            _depotLimit = Math.Min(_largestDepot, _depotLimit * 2 + 1);
        }
        else if (++_calmExchanges == CalmExchanges)
        {
            _calmExchanges = 0;
            _depotLimit /= 2;
        }
    }

    /// <summary>First page of the slab that a page belongs to.</summary>
    internal readonly uint SlabOf(uint page) => page & ~((1u << SlabOrder) - 1);

    /// <summary>Which object of its slab an offset lies in.</summary>
    internal readonly uint ObjectIndexOf(nuint offset) => (uint)(offset * _reciprocal >> ReciprocalShift);

    /// <summary>The beginning of the object that an address inside a slab lies in; null in what is left over at the slab's end.</summary>
    internal readonly void* ObjectAt(void* address)
    {
        nuint slabAddress = LinearRegion.AddressOf(SlabOf((uint)LinearRegion.PageIndexOf(address)));
        uint index = ObjectIndexOf((nuint)address - slabAddress);
        return index < ObjectsPerSlab ? (void*)(slabAddress + index * (nuint)ObjectBytes) : null;
    }

    /// <summary>
    /// Takes up to <paramref name="wanted"/> objects out of slabs that have some, and writes their addresses so that the last slot, which
    /// a magazine hands out first, has the lowest: memory is then used in ascending order. Returns how many; the lock is held.
    /// </summary>
    internal int TakeObjects(nint* slots, int wanted)
    {
        PageFrame* frames = LinearRegion.Frames;
        nint* next = slots + wanted;
        while (next != slots)
        {
            uint slab = Slabs.Fullest();
            if (slab == PageFrame.None) break;
            next = TakeFromSlab(frames + slab, slab, slots, next);
            Slabs.Place(frames, slab, ObjectsPerSlab);
        }
        int taken = wanted - (int)(next - slots);
        Slabs.FreeObjects -= (uint)taken;
        if (taken != 0 && next != slots) new Span<nint>(next, taken).CopyTo(new Span<nint>(slots, taken));
        Refills++;
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

    /// <summary>
    /// Puts objects back into their slabs; the lock is held. Slabs that are free then come out as a list through their frames,
    /// for the caller to give back to the page layer after it has released the lock.
    /// </summary>
    internal uint PutObjects(nint* slots, int count)
    {
        PageFrame* frames = LinearRegion.Frames;
        uint slab = PageFrame.None, surplus = PageFrame.None;
        Slabs.FreeObjects += (uint)count; // before any slab that becomes free takes its objects out of the count
        for (int i = 0; i < count; i++)
        {
            nint pointer = slots[i];
            uint owner = SlabOf((uint)LinearRegion.PageIndexOf((void*)pointer));
            if (owner != slab)
            {
                if (slab != PageFrame.None) Settle(frames, slab, ref surplus);
                slab = owner;
            }
            nuint offset = (nuint)pointer - LinearRegion.AddressOf(slab);
            uint index = ObjectIndexOf(offset);
            bool isObject = index * (nuint)ObjectBytes == offset && index < ObjectsPerSlab;
            ref ulong word = ref LinearRegion.BitmapOf(slab)[index >> 6];
            ulong bit = 1UL << (int)(index & 63);
            if (!isObject || (word & bit) != 0) StopOnBadFree(pointer, isObject);
            word |= bit;
            frames[slab].FreeObjects++;
            frames[slab].FirstWord = (ushort)Math.Min(frames[slab].FirstWord, index >> 6);
        }
        if (slab != PageFrame.None) Settle(frames, slab, ref surplus);
        Drains++;
        return surplus;
    }

    // A slab has got objects back: move it to the list it belongs in now, or out, when it is free. Other sizes may need its pages, and the page
    // layer hands them out nearly as fast as a list of free slabs would; that list holds only slabs that are not used yet.
    private void Settle(PageFrame* frames, uint slab, ref uint surplus)
    {
        Slabs.Place(frames, slab, ObjectsPerSlab);
        if (frames[slab].FreeObjects == ObjectsPerSlab) RemoveFreeSlab(frames, slab, ref surplus);
    }

    private void RemoveFreeSlab(PageFrame* frames, uint slab, ref uint surplus)
    {
        Slabs.Remove(frames, slab);
        Slabs.FreeObjects -= ObjectsPerSlab;
        frames[slab].Next = surplus;
        surplus = slab;
    }

    /// <summary>Takes all free slabs out; the lock is held. The list goes to <see cref="GiveSlabs"/> after its release.</summary>
    internal uint TakeFreeSlabs()
    {
        uint surplus = PageFrame.None;
        while (Slabs.First(NodeSlabs.Free) is var slab && slab != PageFrame.None) RemoveFreeSlab(LinearRegion.Frames, slab, ref surplus);
        return surplus;
    }

    /// <summary>Makes a new slab, with every object free, that no list knows yet (<c>cache_grow</c>); without the lock. False when there is no memory.</summary>
    internal readonly bool TryMakeSlab(ThreadPages* own, out uint slab)
    {
        // A cache that never had two slabs may well leave this one nearly empty. On fresh pages it then costs the few system pages that are touched; on
        // used ones it would hold all of their memory back.
        bool sparse = Slabs.SlabCount == 0 && Slabs.PeakSlabCount <= 1 && ObjectBytes < VirtualMemory.PageBytes;
        MemoryChoice choice = sparse ? MemoryChoice.FreshFirst : MemoryChoice.UsedFirst;
        if (!PageLayer.TryTakePages(own, SlabPages, choice, out slab)) return false;
        ulong* words = LinearRegion.BitmapOf(slab);
        uint wholeWords = ObjectsPerSlab / 64, rest = ObjectsPerSlab % 64;
        new Span<ulong>(words, (int)wholeWords).Fill(ulong.MaxValue);
        if (rest != 0) words[wholeWords] = (1UL << (int)rest) - 1;
        PageFrame* frame = LinearRegion.Frames + slab;
        frame->State = PageState.Slab;
        frame->Order = (byte)SlabOrder;
        frame->Cache = Index;
        frame->FreeObjects = (ushort)ObjectsPerSlab;
        frame->FirstWord = 0;
        LinearRegion.SetClass(slab, SlabPages, (byte)Index);
        return true;
    }

    /// <summary>Puts a new slab on the list of free ones; the lock is held.</summary>
    internal void AddSlab(uint slab)
    {
        Slabs.Add(LinearRegion.Frames, slab, NodeSlabs.Free);
        Slabs.FreeObjects += ObjectsPerSlab;
    }

    /// <summary>Gives slabs that were taken out back to the page layer; without the lock. Returns the pages.</summary>
    internal readonly uint GiveSlabs(ThreadPages* own, uint surplus)
    {
        uint pages = 0;
        while (surplus != PageFrame.None)
        {
            uint slab = surplus;
            surplus = LinearRegion.Frames[slab].Next;
            LinearRegion.SetClass(slab, SlabPages, 0);
            PageLayer.GivePages(own, slab, SlabPages);
            pages += SlabPages;
        }
        return pages;
    }

    /// <summary>One object straight from the slabs, without a magazine; null when there is no memory.</summary>
    internal void* AllocDirect(ThreadPages* own)
    {
        nint pointer;
        Lock.Acquire();
        bool taken = TakeObjects(&pointer, 1) == 1;
        Lock.Release();
        if (!taken)
        {
            if (!TryMakeSlab(own, out uint slab)) return null;
            Lock.Acquire();
            AddSlab(slab);
            TakeObjects(&pointer, 1); // there is at least the slab just added
            Lock.Release();
        }
        return (void*)pointer;
    }

    /// <summary>One object straight back to its slab.</summary>
    internal void FreeDirect(ThreadPages* own, void* pointer)
    {
        nint slot = (nint)pointer;
        Lock.Acquire();
        uint surplus = PutObjects(&slot, 1);
        Lock.Release();
        GiveSlabs(own, surplus);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly void StopOnBadFree(nint pointer, bool isObject) =>
        ThrowHelper.StopOnBadFree((void*)pointer, ObjectBytes, isObject ? null : ObjectAt((void*)pointer));

    /// <summary>Walks the lists and bitmaps and checks them against the counters. Throws where something is wrong; takes the lock.</summary>
    internal void Verify()
    {
        Lock.Acquire();
        string? error = FindError();
        Lock.Release();
        if (error != null) throw new InvalidOperationException($"cache {Index} of {ObjectBytes} B: {error}");
    }

    private readonly string? FindError()
    {
        PageFrame* frames = LinearRegion.Frames;
        ulong freeObjects = 0;
        for (int list = 0; list < NodeSlabs.ListCount; list++)
        {
            uint count = 0;
            for (uint slab = Slabs.First(list); slab != PageFrame.None; slab = frames[slab].Next, count++)
            {
                PageFrame frame = frames[slab];
                if (frame.State != PageState.Slab || frame.Cache != Index) return $"page {slab} is {frame.State} of cache {frame.Cache}";
                if (frame.List != list) return $"slab {slab} of list {frame.List} is on list {list}";
                uint bits = 0;
                for (int word = 0; word < LinearRegion.BitmapWords && word * 64 < ObjectsPerSlab; word++)
                {
                    ulong free = LinearRegion.BitmapOf(slab)[word];
                    if (free != 0 && word < frame.FirstWord) return $"slab {slab} has free objects before word {frame.FirstWord}";
                    if (ObjectsPerSlab - word * 64 < 64 && free >> (int)(ObjectsPerSlab - word * 64) != 0) return $"slab {slab} has bits beyond its last object";
                    bits += (uint)BitOperations.PopCount(free);
                }
                if (bits != frame.FreeObjects) return $"slab {slab} has {bits} free objects and says {frame.FreeObjects}";
                if (NodeSlabs.ListOf(bits, ObjectsPerSlab) != list) return $"slab {slab} with {bits} free objects is on list {list}";
                for (uint page = slab; page < slab + SlabPages; page++)
                    if (LinearRegion.ClassOf(page) != Index) return $"page {page} of slab {slab} has class {LinearRegion.ClassOf(page)}";
                freeObjects += bits;
            }
            if (count != Slabs.Count(list)) return $"list {list} has {count} slabs and says {Slabs.Count(list)}";
        }
        return freeObjects == Slabs.FreeObjects ? null : $"the slabs have {freeObjects} free objects and the cache says {Slabs.FreeObjects}";
    }
}
