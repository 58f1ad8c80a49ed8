using System.Diagnostics;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Mapping;

/// <summary>
/// Memory that is contiguous in addresses only (<c>vmalloc</c>, <c>vfree</c>): areas of the vmalloc space with memory
/// of their own, gathered from where there is some.
/// </summary>
/// <remarks>
/// <code>
/// Alloc   ─ KeptAreas: an area that was freed, mapped as it is        (no lock, no system call)
///         └ VmallocSpace.Add (get_vm_area) ─ AreaMemory.TryFill:      (map pages side by side)
///             the system; where that gives nothing:
///             kept areas, their pages moved
///             free pages that have memory behind them, their backing moved
/// TryFree ─ KeptAreas.TryPut                                          (lazy unmapping)
///         └ Destroy: unmap ─ VmallocSpace.Remove ─ the array of runs
/// Realloc ─ longer within its room: only counted                      (no lock, no system call)
///         ├ longer where it stands ─ TryFill
///         ├ its pages to a larger hole, run by run
///         └ shorter: the tail's memory goes back, its addresses stay as room
/// </code>
/// <para>Any thread. A thread that changes the state of an area from live or kept to busy has the area to itself. So of
/// two threads that free the same area, one is told that there is no such area.</para>
/// <para><b>Length, used part, charge.</b> An area can be touched over its whole length. Its user has the first part of
/// it. Another first part is charged: never less than a user has. What is behind the charged part was never touched,
/// and reads as zero.</para>
/// </remarks>
internal static unsafe class Areas
{
    /// <summary>Bytes and number of the areas that users hold. By Interlocked.</summary>
    private static long s_liveBytes, s_liveCount;

    /// <summary>Charged bytes behind what users have of their areas. By Interlocked.</summary>
    private static long s_tailBytes;

    /// <summary>
    /// Addresses that are accessible and not used cost nothing, unless the process has a limit of what it may have
    /// accessible (<c>ulimit -d</c>).
    /// </summary>
    private static readonly bool s_canHaveRoom = Machine.Read(SystemFigure.DataLimitBytes) == null;

    // Its memory, and the hole behind it: see VmallocArea.OwnMappings.
    private const int MappingsPerArea = 2;

    // Addresses to grow into, in multiples of what an area has when it moves: doubling goes on where it stands two
    // times more.
    private const uint RoomForGrowth = 3;

    // An area that may grow gets four times as many pages as are asked for: at least 4 MiB, at most 64 MiB more.
    private const uint TimesWithRoom = 4, LeastWithRoomPages = 64, MostRoomPages = 1024;

    // An area that ends at a page which cannot be touched may be longer by one part in so many than what was asked for.
    private const uint LikeShare = 8;

    // Of what it holds, an area that became shorter keeps one part in so many behind its end.
    private const uint LargestTailShare = 8;

    internal static nuint LiveBytes => (nuint)Volatile.Read(ref s_liveBytes);

    internal static long LiveCount => Volatile.Read(ref s_liveCount);

    /// <summary>
    /// Bytes that live areas have behind what is used of them: kept, and given back when they are not needed.
    /// </summary>
    internal static nuint TailBytes => (nuint)Math.Max(0, Volatile.Read(ref s_tailBytes));

    /// <summary>Makes an area; null where there is no memory, no address space, or the size is beyond both.</summary>
    /// <param name="alignment">A power of two.</param>
    /// <param name="refusal">Why not, where the answer is null.</param>
    /// <param name="choice">Whether a kept area will do.</param>
    /// <param name="zeroed">It is to read as zero.</param>
    /// <param name="end">What is behind it.</param>
    internal static void* Alloc(
        nuint byteCount,
        nuint alignment,
        out Refusal refusal,
        MemoryChoice choice = MemoryChoice.UsedFirst,
        bool zeroed = false,
        AreaEnd end = AreaEnd.Guarded)
    {
        Debug.Assert(choice != MemoryChoice.UsedOnly, "an area can always be completed from the system");
        if (!TryPages(byteCount, out uint pages, out refusal)) return null;
        refusal = Refusal.ResidentLimit(byteCount);
        if (byteCount > ResidentBudget.LimitBytes) return null; // no kept area is touched in vain
        uint length = end == AreaEnd.Room ? WithRoom(pages) : pages;
        nuint multiple = Math.Max(alignment, VmallocSpace.AlignmentOf(length));
        nuint promised = end == AreaEnd.Guarded ? multiple : alignment; // the others stand so for huge pages alone
        VmallocArea* area =
            choice == MemoryChoice.UsedFirst ? TakeKept(pages, byteCount, promised, zeroed, end) : null;
        if (area == null)
        {
            area = Add(pages, length, multiple, end == AreaEnd.Guarded ? 0 : RoomOf(pages), out refusal);
            if (area == null) return null;
            if (!AreaMemory.TryFill(area, 0, area->UsedBytes, choice, zeroed, out refusal))
            {
                Teardown.Destroy(area);
                return null;
            }
        }
        MemorySignals.Raise(MemorySignals.Used);
        return MakeLive(area);
    }

    /// <summary>
    /// Makes an area whose first <paramref name="sourceBytes"/> are the memory that is behind <paramref name="source"/>
    /// now; no byte is copied, and what was not touched there is not touched here. The source reads as zero afterwards.
    /// Null, and nothing changed, where that fails.
    /// </summary>
    /// <param name="source">Committed pages of the linear region.</param>
    /// <param name="sourceBytes">Whole system pages.</param>
    /// <param name="refusal">Why there is no memory for the rest; none where the answer is null because the system
    /// cannot move the source.</param>
    internal static void* AllocFrom(void* source, nuint sourceBytes, nuint byteCount, out Refusal refusal)
    {
        Debug.Assert(byteCount > sourceBytes, "the area holds all that is moved");
        if (!TryPages(byteCount, out uint pages, out refusal) || !Platform.MovesMemory) return null;
        uint length = WithRoom(pages);
        VmallocArea* area = Add(pages, length, VmallocSpace.AlignmentOf(length), RoomOf(pages), out refusal);
        if (area == null) return null;
        area->ChargedBytes = sourceBytes; // by its taker: the budget learns of it when nothing can fail any more
        // The move comes last: after it nothing can fail.
        if (AreaRuns.TryAdd(area, sourceBytes, isWhole: false, out refusal)
            && AreaMemory.TryFill(
                area, sourceBytes, area->UsedBytes, MemoryChoice.FreshFirst, zeroed: false, out refusal)
            && VirtualMemory.TryMove((nuint)source, sourceBytes, VmallocSpace.AddressOf(area)))
        {
            ResidentBudget.Charge(sourceBytes);
            MemorySignals.Raise(MemorySignals.Used);
            return MakeLive(area);
        }
        area->ChargedBytes -= sourceBytes;
        Teardown.Destroy(area);
        return null;
    }

    /// <summary>Frees an area; false, and nothing done, if no user's begins at this address.</summary>
    internal static bool TryFree(void* pointer)
    {
        VmallocArea* area = TakeLiveOrNull(pointer);
        if (area == null) return false;
        AreaDensity.NoteFreed(area);
        if (!KeptAreas.TryPut(area)) Teardown.Destroy(area);
        else MemorySignals.Raise(MemorySignals.Used);
        return true;
    }

    /// <summary>
    /// Changes an area's size by moving its pages, not its bytes; what is new is undefined. Null where that fails: the
    /// area stands as it was.
    /// </summary>
    /// <param name="refusal">Why there is no memory; none where the answer is null because the system cannot move the
    /// pages.</param>
    /// <param name="alignment">A power of two.</param>
    /// <param name="end">What is to be behind it.</param>
    internal static void* Realloc(
        void* pointer, nuint byteCount, out Refusal refusal, nuint alignment = 1, AreaEnd end = AreaEnd.Guarded)
    {
        if (!TryPages(byteCount, out uint pages, out refusal)) return null;
        VmallocArea* area = TakeLiveOrNull(pointer);
        if (area == null) return null;
        VmallocArea* resized = area;
        if (pages < area->UsedPages) Shrink(area, pages, end);
        else if (pages > area->UsedPages) resized = Grow(area, pages, alignment, end, out refusal);
        void* block = MakeLive(resized == null ? area : resized);
        return resized == null ? null : block;
    }

    /// <summary>Bytes of the area that begins at an address; 0 if no user's does.</summary>
    internal static nuint UsableBytes(void* pointer) =>
        TryFind(pointer, out void* block, out nuint bytes) && block == pointer ? bytes : 0;

    /// <summary>Finds the area of a user that an address lies in, anywhere.</summary>
    internal static bool TryFind(void* pointer, out void* block, out nuint bytes)
    {
        bool found = VmallocSpace.TryFind(pointer, out VmallocArea area)
            && area.Kind == AreaKind.Vmalloc
            && area.GetState() is AreaState.Live or AreaState.Busy or AreaState.Trimmed
            && (nuint)pointer - VmallocSpace.AddressOf(&area) < area.UsedBytes;
        block = found ? (void*)VmallocSpace.AddressOf(&area) : null;
        bytes = found ? area.UsedBytes : 0;
        return found;
    }

    /// <summary>
    /// Gives back the areas that were kept since before a point in time, and what live areas have behind their used
    /// part, and tries again what the system refused to unmap. Returns the bytes given back.
    /// </summary>
    internal static nuint Release(long keptBefore)
    {
        Teardown.RetryRefused();
        return KeptAreas.Release(keptBefore)
            + TrimTails(onlyIdle: keptBefore != long.MaxValue, wantedBytes: nuint.MaxValue);
    }

    /// <summary>
    /// Gives so much of the memory back that kept areas have, and live ones behind their used part. The areas stay as
    /// long as they are. Returns the bytes, which may be a little more, or all that there is.
    /// </summary>
    internal static nuint Purge(nuint wantedBytes)
    {
        nuint bytes = KeptAreas.Purge(wantedBytes);
        return bytes >= wantedBytes ? bytes : bytes + TrimTails(onlyIdle: false, wantedBytes - bytes);
    }

    // A kept area, made to serve a request. Null where there is none that does.
    private static VmallocArea* TakeKept(uint pages, nuint byteCount, nuint alignment, bool zeroed, AreaEnd end)
    {
        uint most = Math.Max(pages, (uint)((byteCount + byteCount / LikeShare) >> PageGeometry.PageShift));
        VmallocArea* area = end == AreaEnd.Guarded ? KeptAreas.TakeLike(pages, most, alignment) : null;
        if (area == null) area = KeptAreas.TakeToUse(pages, alignment);
        else pages = area->Pages; // all of it: no page has to be made inaccessible
        if (area == null) return null;
        if (zeroed) AreaMemory.Clear(area, (nuint)pages << PageGeometry.PageShift);
        bool isGuarded = end == AreaEnd.Guarded;
        bool isShort = !isGuarded || area->Pages <= pages || AreaMemory.TryShorten(area, pages);
        uint length = isGuarded ? pages : WithRoom(pages);
        // Nothing is gathered for it: that is for a new area, when it is known that there can be one.
        if (isShort && AreaMemory.TryUse(area, pages, length, MemoryChoice.FreshOnly, out _)) return area;
        if (!KeptAreas.TryPut(area)) Teardown.Destroy(area);
        return null;
    }

    // Its memory goes back at once where it is much; the addresses stay for growing again.
    private static void Shrink(VmallocArea* area, uint pages, AreaEnd end)
    {
        nuint bytes = (nuint)pages << PageGeometry.PageShift;
        area->UsedPages = pages;
        // Where the system refuses, the area keeps its length: what its user gave up is room, and a tail if it is still
        // charged.
        if (end == AreaEnd.Guarded) AreaMemory.TryShorten(area, pages);
        else if (area->ChargedBytes > bytes + bytes / LargestTailShare) Teardown.PurgeFrom(area, bytes);
    }

    // Where it stands, or, as there is no room, its pages in a larger hole. Null where neither can be done.
    private static VmallocArea* Grow(VmallocArea* area, uint pages, nuint alignment, AreaEnd end, out Refusal refusal)
    {
        refusal = default;
        uint length = end == AreaEnd.Guarded ? pages : WithRoom(pages);
        nuint multiple = Math.Max(alignment, VmallocSpace.AlignmentOf(length));
        // Room that another member of the library gave the block goes: what is not used cannot be touched afterwards.
        if (end == AreaEnd.Guarded && !AreaMemory.TryShorten(area, area->UsedPages)) return null;
        bool stands = VmallocSpace.AddressOf(area) % (end == AreaEnd.Guarded ? multiple : alignment) == 0;
        if (stands && AreaMemory.TryUse(area, pages, length, MemoryChoice.FreshFirst, out refusal))
        {
            MemorySignals.Raise(MemorySignals.Used);
            return area;
        }
        if (refusal != Refusal.None || area->Pages >= pages || !Platform.MovesMemory) return null;
        return Move(area, pages, length, multiple, out refusal);
    }

    // The pages of an area in a larger hole. All that can fail is done before the first page moves.
    private static VmallocArea* Move(VmallocArea* area, uint pages, uint length, nuint alignment, out Refusal refusal)
    {
        nuint bytes = area->SizeBytes;
        refusal = Refusal.ResidentLimit(bytes - area->ChargedBytes);
        if (!AreaMemory.TryCharge(area, bytes - area->ChargedBytes)) return null;
        refusal = default;
        if (!AreaRuns.TryBegin(area, bytes, out refusal)) return null;
        VmallocArea* larger = Add(pages, length, alignment, RoomOf(pages), out refusal);
        if (larger == null) return null;
        larger->ChargedBytes = bytes; // takes the charge over
        bool moved = true;
        for (uint run = 0; run < area->RunCount && moved; run++)
            moved = AreaRuns.TryAdd(larger, AreaRuns.BytesOf(area, run), isWhole: false, out refusal);
        moved = moved
            && AreaMemory.TryFill(larger, bytes, larger->UsedBytes, MemoryChoice.FreshFirst, zeroed: false, out refusal)
            && AreaMemory.TryMoveRuns(area, larger);
        if (moved) area->ChargedBytes = 0;
        else larger->ChargedBytes -= bytes;
        if (moved) MemorySignals.Raise(MemorySignals.Used);
        Teardown.Destroy(moved ? area : larger);
        return moved ? larger : null;
    }

    // Pages of an area that is to have so many for its user: with room to grow into.
    private static uint WithRoom(uint pages)
    {
        if (!s_canHaveRoom) return pages;
        ulong length = Math.Min((ulong)pages * TimesWithRoom, (ulong)pages + MostRoomPages);
        return (uint)Math.Max(length, LeastWithRoomPages);
    }

    private static uint RoomOf(uint pages) => (uint)Math.Min((ulong)pages * RoomForGrowth, uint.MaxValue / 4);

    private static void* MakeLive(VmallocArea* area)
    {
        Interlocked.Add(ref s_liveBytes, (long)area->UsedBytes);
        Interlocked.Increment(ref s_liveCount);
        if (area->TailBytes != 0) Interlocked.Add(ref s_tailBytes, (long)area->TailBytes);
        area->IsTailIdle = false;
        nuint address = VmallocSpace.AddressOf(area);
        area->SetState(AreaState.Live);
        return (void*)address;
    }

    // An area of a user that begins at an address, busy now and not counted.
    private static VmallocArea* TakeLiveOrNull(void* pointer)
    {
        VmallocArea* area = VmallocSpace.Starting(pointer);
        if (area == null || area->Kind != AreaKind.Vmalloc || !area->TryTakeLive()) return null;
        if (area->Kind != AreaKind.Vmalloc || VmallocSpace.AddressOf(area) != (nuint)pointer)
        {
            area->SetState(AreaState.Live); // the record was another area's by then
            return null;
        }
        Interlocked.Add(ref s_liveBytes, -(long)area->UsedBytes);
        Interlocked.Decrement(ref s_liveCount);
        if (area->TailBytes != 0) Interlocked.Add(ref s_tailBytes, -(long)area->TailBytes);
        return area;
    }

    // Gives back what live areas have behind what is used: of those alone, if asked, where it was so the last time.
    private static nuint TrimTails(bool onlyIdle, nuint wantedBytes)
    {
        if (TailBytes == 0) return 0;
        nuint bytes = 0;
        uint end = VmallocSpace.EndOfRecords();
        for (uint number = VmallocSpace.FirstRecord; number < end && bytes < wantedBytes; number++)
        {
            VmallocArea* area = VmallocSpace.At(number);
            if (area->GetState() != AreaState.Live || area->Kind != AreaKind.Vmalloc || area->TailBytes == 0) continue;
            if (!area->TryChange(AreaState.Live, AreaState.Trimmed)) continue;
            if (area->Kind == AreaKind.Vmalloc && area->TailBytes != 0) bytes += TrimTail(area, onlyIdle);
            area->SetState(AreaState.Live);
        }
        return bytes;
    }

    private static nuint TrimTail(VmallocArea* area, bool onlyIdle)
    {
        bool wasIdle = area->IsTailIdle;
        area->IsTailIdle = true;
        nuint purged = wasIdle || !onlyIdle ? Teardown.PurgeFrom(area, area->ReachedBytes) : 0;
        Interlocked.Add(ref s_tailBytes, -(long)purged);
        return purged;
    }

    private static VmallocArea* Add(uint pages, uint length, nuint alignment, uint roomPages, out Refusal refusal)
    {
        refusal = new Refusal(RefusalReason.OutOfAddresses);
        if (alignment > VmallocSpace.Bytes) return null;
        uint alignmentPages = (uint)Math.Max(1, alignment >> PageGeometry.PageShift);
        while (true)
        {
            refusal = Refusal.OutOfMappings;
            if (!KeptAreas.TryTakeMappings(MappingsPerArea)) return null;
            VmallocArea* area = VmallocSpace.Add(AreaKind.Vmalloc, length, alignmentPages, roomPages);
            if (area == null && length != pages) area = VmallocSpace.Add(AreaKind.Vmalloc, pages, alignmentPages);
            refusal = default;
            if (area != null)
            {
                area->UsedPages = pages;
                return area;
            }
            MappingBudget.Give(MappingsPerArea);
            refusal = VmallocSpace.HasHole(pages, alignmentPages)
                ? Refusal.OutOfMemory
                : new Refusal(RefusalReason.OutOfAddresses);
            // What is kept has holes, too.
            if (!KeptAreas.TryReleaseAll()) return null;
        }
    }

    private static bool TryPages(nuint byteCount, out uint pages, out Refusal refusal)
    {
        ulong count = byteCount / PageGeometry.PageBytes + (byteCount % PageGeometry.PageBytes != 0 ? 1u : 0);
        nuint most = VmallocSpace.Bytes >> PageGeometry.PageShift;
        pages = (uint)Math.Max(1, Math.Min(count, most));
        refusal = count <= most ? Refusal.None : new Refusal(RefusalReason.OutOfAddresses);
        return refusal == Refusal.None;
    }
}

/// <summary>What is behind the last page of an area.</summary>
internal enum AreaEnd
{
    /// <summary>A page that cannot be touched.</summary>
    Guarded,

    /// <summary>What is there: room may be left over, which can be touched by mistake.</summary>
    Open,

    /// <summary>Room to grow into.</summary>
    Room,
}
