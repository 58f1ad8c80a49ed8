using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Threads;

namespace NativeAlloc.Pages;

/// <summary>
/// Where the layers above get whole pages from and give them back to: the zones of all nodes, the hot pages of the
/// calling thread before them, and the system behind them. All sizes are in pages of 64 KiB, all blocks are named by
/// the index of their first page.
/// </summary>
/// <remarks>
/// <code>
/// TryTake ─ one page of the thread's node: HotPages.TryTake ─ empty: a batch under one lock
///         └ else, node by node and zone by zone (the zonelist): Zone.TryTake
///                                                               └ nothing large enough: a new section, again
/// Give    ─ one page of the thread's node: HotPages.Add ─ full: the coldest batch under one lock
///         └ else: Zone.GiveRange, which merges
/// </code>
/// </remarks>
internal static unsafe partial class PageLayer
{
    // A pinned array: a few hundred bytes are not worth a mapping, which the system might refuse.
    private static readonly byte[] s_zoneArray;
    private static readonly nint s_zones;
    private static readonly int s_nodeCount;

    /// <summary>Any thread.</summary>
    private static uint s_capPages = (uint)(Options.DirtyCapBytes >> PageGeometry.PageShift);

    static PageLayer()
    {
        _ = ResidentBudget.LimitBytes; // reads its settings now, not under a lock
        s_nodeCount = LinearRegion.PageCount == 0 ? 0 : NodeTopology.Current.Count;
        int zones = s_nodeCount * Pages.Zone.KindCount;
        // Not AllocateArray: of the two this one is compiled already.
        s_zoneArray = GC.AllocateUninitializedArray<byte>(zones * Pages.Zone.Bytes + Pages.Zone.Bytes, pinned: true);
        Array.Clear(s_zoneArray);
        s_zones = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(s_zoneArray));
        for (int index = 0; index < zones; index++)
            ZoneAt(index)->Initialize(LinearRegion.Frames, index, isCharged: true);
    }

    /// <summary>
    /// The most free pages with memory behind them that wait for a period's end: beyond,
    /// <see cref="MemorySignals.CapExceeded"/> is raised.
    /// </summary>
    internal static uint CapPages
    {
        get => Volatile.Read(ref s_capPages);
        set => Volatile.Write(ref s_capPages, value);
    }

    /// <summary>NUMA nodes; 0 where there is no region to have pages from.</summary>
    internal static int NodeCount => s_nodeCount;

    /// <summary>All zones: three for each node.</summary>
    internal static int ZoneCount => s_nodeCount * Pages.Zone.KindCount;

    internal static Zone* ZoneAt(int index) => (Zone*)(s_zones + (nint)index * Pages.Zone.Bytes);

    internal static Zone* ZoneOf(int node, ZoneKind kind) => ZoneAt(Pages.Zone.IndexOf(node, kind));

    /// <summary>The zone of an online page.</summary>
    private static Zone* ZoneOf(uint page)
    {
        int index = LinearRegion.ZoneIndexOf(page);
        Debug.Assert(index >= 0, "the page is online");
        return ZoneAt(index);
    }

    /// <summary>
    /// Sets a new thread block's part up, or looks again which node an adopted one's new owner is on.
    /// </summary>
    internal static void Initialize(ThreadPages* own)
    {
        if (s_nodeCount <= 1 || !own->Claim.TryEnter()) return; // not now: at the next lookup
        MoveToNode(own, NodeTopology.Current.NodeOfCurrentThread());
        own->Claim.Leave();
    }

    // ── taking ──

    /// <summary>
    /// Takes any number of pages up to a section, side by side, from the smallest block that holds them: slabs. False
    /// when neither the zones nor the system have them.
    /// </summary>
    internal static bool TryTakePages(ThreadPages* own, uint count, MemoryChoice choice, out uint page) =>
        TryTakePages(own, count, choice, out page, out _);

    /// <summary>The same, which says why not.</summary>
    /// <param name="type"><see cref="MigrateType.Run"/> for pages that are used side by side.</param>
    /// <param name="refusal">Why not, where the answer is false.</param>
    internal static bool TryTakePages(ThreadPages* own, uint count, MemoryChoice choice, out uint page,
        out Refusal refusal, MigrateType type = MigrateType.Unmovable)
    {
        Debug.Assert(count is > 0 and <= PageGeometry.SectionPages, "a block of the top order is the most there is");
        PageRequest request = new(PageGeometry.OrderOf(count), count) { Choice = choice, Type = type };
        if (count != 1 && choice != MemoryChoice.FreshFirst && own != null && own->Count != 0)
        {
            // Single pages that are used may merge to what is asked for: better than fresh ones.
            if (TryTake(own, request with { Choice = MemoryChoice.UsedOnly }, out page, out refusal)) return true;
            Drain(own);
        }
        return TryTake(own, request, out page, out refusal);
    }

    /// <summary>Takes pages: from the thread's hot list, from the zones, from the system.</summary>
    /// <param name="own">The calling thread's; null to go to the zones at once.</param>
    /// <param name="refusal">Why not, where the answer is false.</param>
    internal static bool TryTake(ThreadPages* own, in PageRequest request, out uint page, out Refusal refusal)
    {
        if (s_nodeCount == 0)
        {
            page = PageFrame.None;
            refusal = Refusal.OutOfMemory;
            return false;
        }
        refusal = default;
        if (TryTakeHot(own, request, out page))
        {
            if (request.Zeroed) TryClear(page, 1); // pages in hot lists have been used
            return true;
        }
        refusal = TakeBlock(own, request, ref page);
        return refusal.Reason == RefusalReason.None;
    }

    private static bool TryTakeHot(ThreadPages* own, in PageRequest request, out uint page)
    {
        page = PageFrame.None;
        if (request.Count != 1 || request.Order != 0 || request.Kind != ZoneKind.Normal) return false;
        if (request.Type == MigrateType.Run) return false; // there is no list of them
        if (request.Choice == MemoryChoice.FreshFirst || own == null || !own->Claim.TryUnparkAndEnter()) return false;
        HotPages* hot = own->List(request.Type);
        if (s_nodeCount > 1 && hot->Count == 0 && own->IsLookupDue())
            MoveToNode(own, NodeTopology.Current.NodeOfCurrentThread());
        bool taken = (request.Node == PageRequest.LocalNode || request.Node == own->Node)
            && (hot->Count != 0 || TryRefill(own, request.Type))
            && (request.Cold ? hot->TryTakeCold(out page) : hot->TryTake(out page));
        if (taken)
        {
            PageFrame* frame = LinearRegion.Frames + page;
            CheckHot(own, frame, page);
            own->CountHit();
            frame->SetState(request.State);
        }
        own->Claim.Leave();
        MemorySignals.Raise(MemorySignals.Used);
        return taken;
    }

    // The kernel's get_page_from_freelist: every zone that will do, the nearest first.
    private static Refusal TakeBlock(ThreadPages* own, in PageRequest request, ref uint page)
    {
        int wanted = request.Node != PageRequest.LocalNode ? request.Node
            : own != null ? own->Node
            : NodeTopology.Current.NodeOfCurrentThread();
        Refusal refusal = Refusal.OutOfMemory;
        foreach (int node in NodeTopology.Current.NearestTo(wanted))
        {
            for (ZoneKind kind = request.Kind; ; kind = ZoneKind.Normal)
            {
                Refusal here = TakeFrom(ZoneOf(node, kind), request, node == wanted, ref page);
                if (here.Reason == RefusalReason.None)
                {
                    if (node != wanted) CountForeign(ZoneOf(wanted, request.Kind), request.Count, node);
                    return here;
                }
                if (here.Reason != RefusalReason.OutOfMemory) refusal = here;
                if (kind != ZoneKind.High) break;
            }
            if (request.ThisNode) break;
        }
        return refusal;
    }

    private static void CountForeign(Zone* wanted, uint count, int node)
    {
        wanted->CountForeign();
        EventRing.Raise(EventKind.PageFallback, count, (ulong)node);
    }

    // Not a stackalloc: the JIT compiles a method that has one but once, at its first call, before it knows what
    // statics hold.
    [SkipLocalsInit]
    private static Refusal TakeFrom(Zone* zone, in PageRequest request, bool wanted, ref uint page)
    {
        SectionBits bits;
        ulong* dirty = (ulong*)&bits;
        zone->Lock.Acquire();
        bool wantsDirty = request.Zeroed || Platform.ChargesCommit;
        while (!zone->TryTake(request, out page, out nuint refusedBytes, wantsDirty ? dirty : null))
        {
            zone->Lock.Release();
            if (refusedBytes != 0) return Refusal.ResidentLimit(refusedBytes);
            if (request.Choice == MemoryChoice.UsedOnly || !TryGrow(zone, request)) return Refusal.OutOfMemory;
            zone->Lock.Acquire(); // another thread may be faster and use the new section up: then once more
        }
        zone->CountHit(wanted);
        zone->Lock.Release();
        MemorySignals.Raise(MemorySignals.Used);
        if (Platform.ChargesCommit && !TryCommitTaken(zone, page, request.Count, dirty))
        {
            page = PageFrame.None;
            return Refusal.OutOfMemory;
        }
        if (zone->Kind == ZoneKind.Dma && !TryLock(page, request.Count, out Refusal refusal))
        {
            GiveUnlocked(zone, page, request.Count, clean: false);
            page = PageFrame.None;
            return refusal;
        }
        if (!request.Zeroed || TryClear(page, request.Count, dirty)) return Refusal.None;
        GivePages(page, request.Count);
        page = PageFrame.None;
        return Refusal.OutOfMemory;
    }

    /// <summary>A bit for each page that a block can have, wherever it begins.</summary>
    [InlineArray((int)PageGeometry.SectionPages / 64 + 1)]
    private struct SectionBits
    {
        private ulong _first;
    }

    // System calls that are inlined would cost every caller a frame for them.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryLock(uint page, uint count, out Refusal refusal) =>
        LockedPages.TryLock(page, count, out refusal);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryUnlock(uint page, uint count) => LockedPages.TryUnlock(page, count);

    private static bool TryGrow(Zone* zone, in PageRequest request)
    {
        NodeTopology nodes = NodeTopology.Current;
        int systemNode = nodes.Count == 1 || nodes.IsFake ? -1 : nodes.SystemNodeOf(zone->Node);
        uint pages = PageGeometry.SectionPages;
        bool grown = TryBringBack(zone, systemNode, out uint first)
            || (zone->Kind == ZoneKind.High
                ? HighRegion.TryBringSectionOnline(zone->Index, systemNode, out first)
                : LinearRegion.TryBringSectionOnline(
                    zone->Index, systemNode, out first, out pages, wantedPages: 1u << request.Order));
        if (!grown) return false;
        zone->Lock.Acquire();
        zone->AddSection(first, request.Type, pages);
        zone->Lock.Release();
        EventRing.Raise(EventKind.SectionOnline, first, pages);
        return true;
    }

    // Clears the pages whose bit is set: the others read as zero already. False where the system does not let high
    // pages be cleared.
    private static bool TryClear(uint page, uint count, ulong* dirty)
    {
        uint bits = page & ~63u; // the first word's first page
        for (uint at = page, end = page + count; at < end;)
        {
            uint first = at;
            while (at < end && (dirty[(at - bits) / 64] >> (int)(at & 63) & 1) != 0) at++;
            if (at == first) at++;
            else if (!TryClear(first, at - first)) return false;
        }
        return true;
    }

    private static bool TryClear(uint page, uint count)
    {
        // A high page has no address to clear it at; without its memory it reads as zero as well.
        if (HighRegion.Contains(page)) return HighRegion.TryPurge(page, count);
        nuint address = LinearRegion.AddressOf(page), bytes = (nuint)count << PageGeometry.PageShift;
        if (bytes <= SparseClearing.LeastBytes) Clearing.Clear((void*)address, bytes);
        else SparseClearing.Clear(address, bytes, lookedBytes: bytes);
        return true;
    }

    // ── giving back ──

    /// <summary>Gives pages back that were taken together.</summary>
    /// <param name="own">The calling thread's; null to go to the zone at once.</param>
    /// <param name="cold">They are not in the processor's cache.</param>
    internal static void GivePages(ThreadPages* own, uint page, uint count, bool cold = false)
    {
        if (count != 1 || own == null || !TryGiveHot(own, page, cold)) GivePages(page, count);
    }

    private static bool TryGiveHot(ThreadPages* own, uint page, bool cold)
    {
        PageFrame* frame = LinearRegion.Frames + page;
        if ((ZoneKind)(frame->ZoneIndex % Pages.Zone.KindCount) != ZoneKind.Normal) return false;
        if (!own->Claim.TryUnparkAndEnter()) return false;
        HotPages* hot = frame->ZoneIndex == own->Zone ? own->List(frame->Type) : own->Foreign;
        if (hot->IsFull) Drain(own, hot, HotPages.Batch);
        frame->SetHot(own);
        if (cold) hot->AddCold(page);
        else hot->Add(page);
        own->Claim.Leave();
        MemorySignals.Raise(MemorySignals.Used);
        return true;
    }

    /// <summary>Gives any run of pages back that was taken as one or grown.</summary>
    /// <param name="clean">The caller knows that there is no memory behind them any more.</param>
    internal static void GivePages(uint page, uint count, bool clean = false)
    {
        Zone* zone = ZoneOf(page);
        if (zone->Kind == ZoneKind.Dma && !TryUnlock(page, count)) return;
        GiveUnlocked(zone, page, count, clean);
    }

    /// <summary>Gives the last pages of a run back, of which the caller keeps the others.</summary>
    internal static void GiveTail(uint page, uint count)
    {
        Zone* zone = ZoneOf(page);
        if (zone->Kind == ZoneKind.Dma && !LockedPages.TryUnlockTail(page, count)) return;
        GiveUnlocked(zone, page, count, clean: false);
    }

    // Pages that the system did not unlock when they were given back. A run that it refuses again is kept again, and
    // ends the round.
    private static void GiveKept()
    {
        while (LockedPages.TryTakeKept(out uint page, out uint count) && LockedPages.TryUnlock(page, count))
            GiveUnlocked(ZoneOf(page), page, count, clean: false);
    }

    private static void GiveUnlocked(Zone* zone, uint page, uint count, bool clean)
    {
        zone->Lock.Acquire();
        if (clean) zone->SetClean(page, count);
        LinearRegion.Frames[page].ZoneIndex = PageFrame.NoZone;
        LinearRegion.Frames[page].State = PageState.Inner;
        zone->GiveRange(page, count);
        zone->Lock.Release();
        MemorySignals.Raise(MemorySignals.Used);
        if (DirtyFreePages() > CapPages) MemorySignals.Raise(MemorySignals.CapExceeded);
    }

    /// <summary>
    /// Makes a page inside a run that was taken as one the head of a run of its own, which can be given back by itself.
    /// </summary>
    internal static void SplitOff(uint head, uint page)
    {
        PageFrame* frame = LinearRegion.Frames + page;
        frame->ZoneIndex = LinearRegion.Frames[head].ZoneIndex;
        frame->Type = LinearRegion.TypeOf(page);
        frame->Order = 0;
    }

    /// <summary>Grows a run in place, if the pages behind it are free.</summary>
    [SkipLocalsInit]
    internal static bool TryExtend(uint page, uint oldCount, uint newCount)
    {
        Debug.Assert(newCount > oldCount && newCount <= PageGeometry.SectionPages, "this grows, up to a section");
        uint first = page + oldCount, count = newCount - oldCount;
        SectionBits bits;
        ulong* dirty = Platform.ChargesCommit ? (ulong*)&bits : null;
        Zone* zone = ZoneOf(page);
        zone->Lock.Acquire();
        bool extended = zone->Kind == ZoneKind.Normal && zone->TryTakeAt(first, count, dirty);
        zone->Lock.Release();
        return extended && (!Platform.ChargesCommit || TryCommitTaken(zone, first, count, dirty));
    }

    // ── reclaim ──

    /// <summary>Pages of all zones that may have memory behind them.</summary>
    internal static uint DirtyPages()
    {
        uint pages = 0;
        for (int index = 0; index < ZoneCount; index++) pages += ZoneAt(index)->DirtyPages;
        return pages;
    }

    /// <summary>Checks every zone. Throws where something is wrong.</summary>
    internal static void Verify()
    {
        for (int index = 0; index < ZoneCount; index++) ZoneAt(index)->Verify();
    }
}
