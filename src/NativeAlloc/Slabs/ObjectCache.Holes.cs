using System.Diagnostics;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <content> Gives memory back out of slabs that are in use: the <b>holes</b>, which are the system pages that only
/// free objects lie in, and the tail, which are those behind the last object. Nothing is taken from a slab with holes,
/// a hollow one, until it is filled again: its purged pages are charged, and their memory comes with the next touch.
/// <code>
/// partial ─ PurgeHoles: InPurge while the system works, without the lock ─→ hollow
/// hollow  ─ TryFillOne, before a slab is made ─→ partial
///         └ its last object comes back ─→ the page layer
/// </code>
/// </content>
internal unsafe partial struct ObjectCache
{
    // Slabs that are looked through under one lock, some microseconds; and hollow slabs that are looked at for one to
    // fill.
    private const int PurgedAtOnce = 8, MostLooks = 16;

    // Holes that are purged in one call, or the system pages of the largest slab.
    private const uint MostHoles = 256;

    private readonly uint SystemPages => (uint)(SlabPages * PageGeometry.PageBytes / VirtualMemory.PageBytes);

    /// <summary>System pages of a slab behind its last object.</summary>
    private readonly uint TailPages => SystemPages
        - (uint)((ObjectsPerSlab * (nuint)ObjectBytes + VirtualMemory.PageBytes - 1) / VirtualMemory.PageBytes);

    /// <summary>
    /// Gives holes and tails of a node's slabs back to the system, and returns how many bytes that were. No lock is
    /// held. Objects that have a constructor keep their memory, as it runs once.
    /// </summary>
    /// <param name="mostObjects">Out of the emptiest slabs that have so many free objects; all slabs where it is the
    /// largest number.</param>
    internal readonly nuint PurgeHoles(CacheNode* node, ulong mostObjects = ulong.MaxValue)
    {
        if (KeepsContents || node->Slabs.SlabCount == 0) return 0;
        nuint bytes = PurgeHoles(node, NodeSlabs.Hollow, ref mostObjects);
        for (int list = NodeSlabs.LastPartial; list >= NodeSlabs.FirstPartial; list--)
            bytes += PurgeHoles(node, list, ref mostObjects);
        if (TailPages != 0 && mostObjects != 0) bytes += PurgeHoles(node, NodeSlabs.Full, ref mostObjects);
        return bytes;
    }

    private readonly nuint PurgeHoles(CacheNode* node, int list, ref ulong mostObjects)
    {
        PageFrame* frames = LinearRegion.Frames;
        uint* slabs = stackalloc uint[PurgedAtOnce];
        nuint bytes = 0;
        for (uint left = uint.MaxValue; left != 0 && mostObjects != 0 && !MemorySignals.IsRestOver;)
        {
            int count = 0;
            node->Lock.Acquire();
            left = Math.Min(left, node->Slabs.Count(list));
            for (int looks = PurgedAtOnce; looks != 0 && left != 0 && mostObjects != 0; looks--, left--)
            {
                // From the end to the front, so that none is met twice while other threads move slabs.
                uint slab = node->Slabs.Last(list);
                mostObjects -= Math.Min(mostObjects, frames[slab].FreeObjects);
                bool hasHoles = CountHoles(slab) > frames[slab].PurgedPages;
                node->Slabs.MoveTo(frames, slab, hasHoles ? NodeSlabs.InPurge : list);
                if (hasHoles) slabs[count++] = slab;
            }
            node->Lock.Release();
            bytes += PurgeSlabs(node, slabs, count);
        }
        return bytes;
    }

    // Slabs that nothing is taken from, and that nobody gives back. What is freed meanwhile may or may not be seen.
    // Many holes are purged in one call; where that is refused, hole by hole.
    private readonly nuint PurgeSlabs(CacheNode* node, uint* slabs, int count)
    {
        Debug.Assert(SystemPages <= MostHoles, "the holes of a slab fit");
        AddressRange* holes = stackalloc AddressRange[(int)MostHoles];
        uint* purged = stackalloc uint[PurgedAtOnce];
        nuint bytes = 0;
        for (int begin = 0, end; begin < count; begin = end)
        {
            int found = 0;
            for (end = begin; end < count && found + (int)SystemPages <= MostHoles; end++)
                purged[end] = FindHoles(slabs[end], holes, ref found);
            bool done = found != 0 && VirtualMemory.TryPurgeAll(holes, found);
            for (int i = begin; i < end; i++)
                bytes += SetHollow(node, slabs[i], done ? purged[i] : PurgeHoles(slabs[i]));
        }
        return bytes;
    }

    // Notes the runs of holes of a slab, the tail with them; returns how many system pages these are.
    private readonly uint FindHoles(uint slab, AddressRange* holes, ref int found)
    {
        nuint pageBytes = VirtualMemory.PageBytes, address = LinearRegion.AddressOf(slab);
        uint pages = 0;
        for (uint end = SystemPages, first; TryFindRun(slab, ref end, out first); end = first)
        {
            holes[found++] = new AddressRange
            {
                Address = address + first * pageBytes,
                Bytes = (end - first) * pageBytes,
            };
            pages += end - first;
        }
        return pages;
    }

    // The last run of holes before an end; that becomes the run's.
    private readonly bool TryFindRun(uint slab, ref uint end, out uint first)
    {
        while (end != 0 && !IsHole(slab, end - 1)) end--;
        first = end;
        while (first != 0 && IsHole(slab, first - 1)) first--;
        return first != end;
    }

    // From the end, so that where the system refuses, the tail comes first.
    private readonly uint PurgeHoles(uint slab)
    {
        nuint pageBytes = VirtualMemory.PageBytes, address = LinearRegion.AddressOf(slab);
        uint purged = 0;
        for (uint end = SystemPages, first; TryFindRun(slab, ref end, out first); end = first)
        {
            if (!VirtualMemory.TryPurge(address + first * pageBytes, (end - first) * pageBytes)) break;
            purged += end - first;
        }
        return purged;
    }

    // So many system pages of the slab have no memory now; it may be used again.
    private readonly nuint SetHollow(CacheNode* node, uint slab, uint purged)
    {
        PageFrame* frame = LinearRegion.Frames + slab;
        uint freed = PageFrame.None;
        node->Lock.Acquire();
        uint before = frame->PurgedPages;
        purged = Math.Max(purged, before);
        node->Slabs.SetPurged(frame, purged);
        bool isHollow = purged > TailPages;
        node->Slabs.MoveTo(LinearRegion.Frames, slab,
            isHollow ? NodeSlabs.Hollow : NodeSlabs.ListOf(frame->FreeObjects, ObjectsPerSlab));
        nuint bytes = (purged - before) * VirtualMemory.PageBytes;
        ResidentBudget.Release(bytes);
        if (frame->FreeObjects == ObjectsPerSlab) RemoveFreeSlab(node, slab, ref freed);
        node->Lock.Release();
        GiveSlabs(null, freed);
        return bytes;
    }

    /// <summary>
    /// Has memory for all objects of a hollow slab again, one that needs little, so that they can be taken. False where
    /// there is none, or the budget has no room; the lock is not held.
    /// </summary>
    private readonly bool TryFillOne(CacheNode* node)
    {
        if (Volatile.Read(ref node->Slabs.HollowObjects) == 0) return false;
        PageFrame* frames = LinearRegion.Frames;
        node->Lock.Acquire();
        uint least = node->Slabs.First(NodeSlabs.Hollow);
        uint slab = least;
        for (int looks = MostLooks; looks != 0 && slab != PageFrame.None; looks--, slab = frames[slab].Next)
            if (frames[slab].PurgedPages < frames[least].PurgedPages) least = slab;
        nuint charge = least != PageFrame.None ? (frames[least].PurgedPages - TailPages) * VirtualMemory.PageBytes : 0;
        bool filled = least != PageFrame.None && ResidentBudget.TryCharge(charge);
        if (filled && !TryCommitObjects(least))
        {
            ResidentBudget.Release(charge);
            filled = false;
        }
        if (filled)
        {
            node->Slabs.SetPurged(frames + least, TailPages);
            node->Slabs.MoveTo(frames, least, NodeSlabs.ListOf(frames[least].FreeObjects, ObjectsPerSlab));
        }
        node->Lock.Release();
        return filled;
    }

    // The tail stays without memory, as no object lies in it.
    private readonly bool TryCommitObjects(uint slab) =>
        VirtualMemory.TryCommitToUse(
            LinearRegion.AddressOf(slab), (SystemPages - TailPages) * VirtualMemory.PageBytes);

    // A free slab goes back to the page layer as one that has all its memory: that its pages may have none is for the
    // next purge to find out. Where commit is charged, its frame goes on saying that it has holes: see GiveSlabs. The
    // lock is held.
    private readonly void ForgetPurged(CacheNode* node, uint slab)
    {
        PageFrame* frame = LinearRegion.Frames + slab;
        ushort purged = frame->PurgedPages;
        ResidentBudget.Charge(purged * VirtualMemory.PageBytes);
        node->Slabs.SetPurged(frame, 0);
        if (Platform.ChargesCommit) frame->PurgedPages = purged;
        if (NodeSlabs.IsHollow(frame->List)) node->Slabs.MoveTo(LinearRegion.Frames, slab, NodeSlabs.Free);
    }

    private readonly uint CountHoles(uint slab)
    {
        uint count = TailPages;
        if (LinearRegion.Frames[slab].FreeObjects == 0) return count;
        for (uint page = 0; page < SystemPages - TailPages; page++)
            if (IsHole(slab, page)) count++;
        return count;
    }

    // Whether no object that is out lies in a system page of a slab. Without the lock, too, where nothing is taken from
    // the slab: bits are only set then.
    private readonly bool IsHole(uint slab, uint systemPage)
    {
        ulong* words = LinearRegion.BitmapOf(slab);
        nuint offset = systemPage * VirtualMemory.PageBytes;
        uint first = ObjectIndexOf(offset),
            last = Math.Min(ObjectIndexOf(offset + VirtualMemory.PageBytes - 1), ObjectsPerSlab - 1);
        if (first > last) return true;
        for (uint word = first / 64; word <= last / 64; word++)
        {
            ulong wanted = ulong.MaxValue;
            if (word == first / 64) wanted <<= (int)(first % 64);
            if (word == last / 64) wanted &= ulong.MaxValue >> (int)(63 - last % 64);
            if ((Volatile.Read(ref words[word]) & wanted) != wanted) return false;
        }
        return true;
    }

    private readonly string? FindHoleError(uint slab, in PageFrame frame)
    {
        bool inOrder = frame.List switch
        {
            NodeSlabs.Hollow => frame.PurgedPages > TailPages && frame.PurgedPages <= CountHoles(slab),
            NodeSlabs.InPurge => frame.PurgedPages <= CountHoles(slab),
            _ => frame.PurgedPages == 0 || frame.PurgedPages == TailPages,
        };
        return inOrder
            ? null
            : $"slab {slab} of list {frame.List} has {CountHoles(slab)} system pages without objects, {TailPages} of " +
                $"them at the end, and says that {frame.PurgedPages} are given back";
    }
}
