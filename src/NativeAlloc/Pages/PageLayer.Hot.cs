using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Threads;

namespace NativeAlloc.Pages;

/// <content>The hot lists of threads: filled from the zones and emptied into them, by their owner or by
/// others.</content>
internal static unsafe partial class PageLayer
{
    /// <summary>Gives all of a thread's hot pages back to their zones. The caller owns the block.</summary>
    internal static void Drain(ThreadPages* own)
    {
        // Where another thread has the claim, it is being done.
        if (own == null || own->Count == 0 || !own->Claim.TryEnter()) return;
        DrainAll(own);
        own->Claim.Leave();
    }

    /// <summary>
    /// Gives the hot pages of all threads back, whatever they are doing: also of those that have not allocated for a
    /// while. Only a thread that is in the middle of using its list keeps it.
    /// </summary>
    internal static void DrainThreads() => DrainThreads(onlyIdle: false, park: false);

    /// <summary>
    /// Gives the hot pages of those threads back that have used none since the last time this was called.
    /// </summary>
    internal static void DrainIdleThreads() => DrainThreads(onlyIdle: true, park: false);

    /// <summary>
    /// Gives the hot pages of all threads back, and sees to it that they come by a slow path before they use their
    /// lists again. False where one is using its list just now, or somebody else is draining.
    /// </summary>
    internal static bool TryParkThreads() => DrainThreads(onlyIdle: false, park: true);

    private static bool DrainThreads(bool onlyIdle, bool park)
    {
        if (!ClaimRound<ThreadPages, ProcessorSteps>.TryBegin(0, ThreadRegistry.Count, out var round)) return false;
        for (int index = round.FirstIndex; index < round.EndIndex; index++)
        {
            byte* block = ThreadRegistry.At(index);
            if (!ThreadRegistry.HasContents(block)) continue; // its next owner comes by a slow path
            ThreadPages* pages = ThreadPages.Of(block);
            bool wanted = pages->Count != 0 && (!onlyIdle || pages->IsUnusedSinceLastLook());
            if (wanted || (park && !pages->Claim.IsParked)) round.Claim(block);
        }
        bool all = round.Hold();
        foreach (byte* block in round) DrainAll(ThreadPages.Of(block));
        round.End(park);
        return all;
    }

    private static void DrainAll(ThreadPages* pages)
    {
        for (int list = 0; list < ThreadPages.Lists; list++)
            Drain(pages, pages->List((MigrateType)list), HotPages.Capacity);
        if (pages->Hits != 0) ZoneAt(pages->Zone)->AddHits(pages->ReadAndResetHits());
    }

    // A batch of pages that have memory behind them; none where only fresh ones are left: those are taken singly, as
    // their first touch costs a thousand times what the lock does, so that no thread holds fresh pages back while
    // others have used ones to give.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryRefill(ThreadPages* own, MigrateType type)
    {
        HotPages* hot = own->List(type);
        PageRequest request = new(0, 1) { State = PageState.Hot, Choice = MemoryChoice.UsedOnly, Type = type };
        Zone* zone = ZoneAt(own->Zone);
        zone->Lock.Acquire();
        while (hot->Count < HotPages.Batch && zone->TryTake(request, out uint page))
        {
            LinearRegion.Frames[page].SetHot(own);
            hot->Add(page);
        }
        zone->Lock.Release();
        return hot->Count != 0;
    }

    private static void MoveToNode(ThreadPages* own, int node)
    {
        if (node == own->Node) return;
        DrainAll(own);
        own->SetNode(node);
    }

    // Gives the coldest pages back to the zones they are from, with one lock for all that follow each other from the
    // same.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Drain(ThreadPages* own, HotPages* hot, int count)
    {
        Zone* locked = null;
        for (; count != 0 && hot->TryTakeCold(out uint page); count--)
        {
            PageFrame* frame = LinearRegion.Frames + page;
            CheckHot(own, frame, page);
            Zone* zone = ZoneAt(frame->ZoneIndex);
            frame->ZoneIndex = PageFrame.NoZone;
            if (zone != locked)
            {
                if (locked != null) locked->Lock.Release();
                zone->Lock.Acquire();
                locked = zone;
            }
            zone->Give(page, 0);
        }
        if (locked != null) locked->Lock.Release();
    }

    /// <summary>
    /// Ends the process if a page that leaves a thread's hot list was freed twice at the same time. The fast paths find
    /// the page in use and make it hot in two steps, as one atomic step would cost nearly as much as all others
    /// together. So two threads can have it in their lists. The frame names one of them; the other finds out here. And
    /// where the page has gone from one list to its zone while the other thread stood between its two steps, the frame
    /// has no zone.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void CheckHot(ThreadPages* own, PageFrame* frame, uint page)
    {
        if (!frame->IsHotOf(own) || frame->ZoneIndex == PageFrame.NoZone) ThrowHelper.StopOnBadPage(page);
    }

    /// <summary>Pages in the hot lists of all threads. They go on meanwhile.</summary>
    internal static nuint CountHotPages()
    {
        nuint pages = 0;
        for (int index = 0; index < ThreadRegistry.Count; index++)
            if (ThreadRegistry.HasMemory(index)) pages += (nuint)ThreadPages.Of(ThreadRegistry.At(index))->Count;
        return pages;
    }

    /// <summary>Requests that a zone served, those from hot lists that were filled from it included.</summary>
    internal static long CountHits(Zone* zone)
    {
        long hits = zone->Hits;
        for (int index = 0; index < ThreadRegistry.Count; index++)
        {
            if (!ThreadRegistry.HasMemory(index)) continue;
            ThreadPages* pages = ThreadPages.Of(ThreadRegistry.At(index));
            if (pages->Zone == zone->Index) hits += pages->Hits;
        }
        return hits;
    }

    /// <summary>Counts the pageblocks of a zone by their migrate type.</summary>
    internal static void CountPageblocks(Zone* zone, Span<long> blocks)
    {
        uint first = zone->Kind == ZoneKind.High ? LinearRegion.HighFirstPage : 0;
        uint end = first + (zone->Kind == ZoneKind.High ? HighRegion.OnlinePages : LinearRegion.OnlinePages);
        for (uint section = first; section < end; section += PageGeometry.SectionPages)
        {
            if (LinearRegion.ZoneIndexOf(section) != zone->Index || IsOffline(section)) continue;
            // The rest of a section may not be online yet.
            uint sectionEnd = Math.Min(section + PageGeometry.SectionPages, end);
            for (uint page = section; page < sectionEnd; page += Pageblock.Pages)
                blocks[(int)LinearRegion.TypeOf(page)]++;
        }
        // What is not online has no type, which reads as unmovable: the rest of a section that another zone's follows.
        long online = zone->OnlinePages / Pageblock.Pages, counted = 0;
        foreach (long count in blocks) counted += count;
        ref long unmovable = ref blocks[(int)MigrateType.Unmovable];
        unmovable -= Math.Clamp(counted - online, 0, unmovable);
    }
}
