using System.Diagnostics;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Mapping;

/// <summary>
/// Memory that is contiguous in addresses only (<c>vmalloc</c>, <c>vfree</c>): areas of the vmalloc space with memory of their own, gathered from where there is some.
/// </summary>
/// <remarks>
/// <code>
/// Alloc   ─ KeptAreas.TakeLike: an area of like size, mapped as it is     (no lock, no system call)
///         └ VmallocSpace.Add (get_vm_area) ─ AreaMemory.TryFill:          (gather pages, map them side by side)
///             kept areas of other sizes, their pages moved
///             free pages that have memory behind them, their backing moved
///             the system, by huge pages where the area is large
/// TryFree ─ KeptAreas.TryPut                                              (lazy unmapping)
///         └ Destroy: unmap ─ VmallocSpace.Remove ─ the array of runs
/// Realloc ─ longer where it stands ─ TryFill; or its pages to a larger hole, run by run; or shorter: the tail unmapped
/// </code>
/// <para>Any thread. A thread that changes the state of an area from live or kept to busy has the area to itself. So of
/// two threads that free the same area, one is told that there is no such area.</para>
/// </remarks>
internal static unsafe class Areas
{
    /// <summary>Bytes and number of the areas that users hold. By Interlocked.</summary>
    private static long s_liveBytes, s_liveCount;

    // Its memory, and the hole behind it: see VmallocArea.OwnMappings.
    private const int MappingsPerArea = 2;

    // Addresses to grow into, in multiples of what an area has when it moves: doubling goes on where it stands two times more.
    private const uint RoomForGrowth = 3;

    internal static nuint LiveBytes => (nuint)Volatile.Read(ref s_liveBytes);

    internal static long LiveCount => Volatile.Read(ref s_liveCount);

    /// <summary>Makes an area; null where there is no memory, no address space, or the size is beyond both.</summary>
    /// <param name="alignment">A power of two.</param>
    /// <param name="refusal">Why not, where the answer is null.</param>
    /// <param name="zeroed">It is to read as zero.</param>
    internal static void* Alloc(
        nuint byteCount, nuint alignment, out Refusal refusal, MemoryChoice choice = MemoryChoice.UsedFirst, bool zeroed = false)
    {
        Debug.Assert(choice != MemoryChoice.UsedOnly, "an area can always be completed from the system");
        if (!TryPages(byteCount, out uint pages, out refusal)) return null;
        bool mayBeKept = choice == MemoryChoice.UsedFirst && alignment <= VmallocSpace.AlignmentOf(pages);
        VmallocArea* area = mayBeKept ? KeptAreas.TakeLike(pages, byteCount) : null;
        if (area != null)
        {
            if (zeroed) AreaMemory.Clear(area);
            MemorySignals.Raise(MemorySignals.Used);
            return MakeLive(area);
        }
        area = Add(pages, Math.Max(alignment, VmallocSpace.AlignmentOf(pages)), 0, out refusal);
        if (area == null) return null;
        if (AreaMemory.TryFill(area, 0, area->SizeBytes, choice, zeroed, out refusal))
        {
            MemorySignals.Raise(MemorySignals.Used);
            return MakeLive(area);
        }
        Teardown.Destroy(area);
        return null;
    }

    /// <summary>
    /// Makes an area whose first <paramref name="sourceBytes"/> are the memory that is behind <paramref name="source"/> now; no byte is copied, and what was not touched there is not touched here. The source reads
    /// as zero afterwards. Null, and nothing changed, where that fails.
    /// </summary>
    /// <param name="source">Committed pages of the linear region.</param>
    /// <param name="sourceBytes">Whole system pages.</param>
    /// <param name="refusal">Why there is no memory for the rest; none where the answer is null because the system cannot move the source.</param>
    internal static void* AllocFrom(void* source, nuint sourceBytes, nuint byteCount, out Refusal refusal)
    {
        Debug.Assert(byteCount > sourceBytes, "the area holds all that is moved");
        if (!TryPages(byteCount, out uint pages, out refusal)) return null;
        VmallocArea* area = Add(pages, VmallocSpace.AlignmentOf(pages), RoomOf(pages), out refusal);
        if (area == null) return null;
        // The move comes last: after it nothing can fail.
        nuint bytes = area->SizeBytes;
        if (AreaRuns.TryAdd(area, sourceBytes, isWhole: sourceBytes == bytes, out refusal)
            && (sourceBytes == bytes
                || AreaMemory.TryFill(area, sourceBytes, bytes, MemoryChoice.FreshFirst, zeroed: false, out refusal))
            && VirtualMemory.TryMove((nuint)source, sourceBytes, VmallocSpace.AddressOf(area)))
        {
            AreaMemory.Charge(area, sourceBytes);
            MemorySignals.Raise(MemorySignals.Used);
            return MakeLive(area);
        }
        Teardown.Destroy(area);
        return null;
    }

    /// <summary>Frees an area; false, and nothing done, if no user's begins at this address.</summary>
    internal static bool TryFree(void* pointer)
    {
        VmallocArea* area = TakeLiveOrNull(pointer);
        if (area == null) return false;
        Interlocked.Add(ref s_liveBytes, -(long)area->SizeBytes);
        Interlocked.Decrement(ref s_liveCount);
        if (!KeptAreas.TryPut(area)) Teardown.Destroy(area);
        else MemorySignals.Raise(MemorySignals.Used);
        return true;
    }

    /// <summary>Changes an area's size by moving its pages, not its bytes; what is new is undefined. Null where that fails: the area stands as it was.</summary>
    /// <param name="refusal">Why there is no memory; none where the answer is null because the system cannot move the pages.</param>
    internal static void* Realloc(void* pointer, nuint byteCount, out Refusal refusal, nuint alignment = 1)
    {
        if (!TryPages(byteCount, out uint pages, out refusal)) return null;
        VmallocArea* area = TakeLiveOrNull(pointer);
        if (area == null) return null;
        nuint oldBytes = area->SizeBytes;
        VmallocArea* resized = area;
        if (pages < area->Pages) AreaMemory.Shorten(area, pages);
        else if (pages > area->Pages)
            resized = Grow(area, pages, Math.Max(alignment, VmallocSpace.AlignmentOf(pages)), out refusal);
        VmallocArea* held = resized == null ? area : resized;
        Interlocked.Add(ref s_liveBytes, (long)held->SizeBytes - (long)oldBytes);
        nuint address = VmallocSpace.AddressOf(held);
        held->SetState(AreaState.Live);
        return resized == null ? null : (void*)address;
    }

    /// <summary>Bytes of the area that begins at an address; 0 if no user's does.</summary>
    internal static nuint UsableBytes(void* pointer) => TryFind(pointer, out void* block, out nuint bytes) && block == pointer ? bytes : 0;

    /// <summary>Finds the area of a user that an address lies in, anywhere.</summary>
    internal static bool TryFind(void* pointer, out void* block, out nuint bytes)
    {
        bool found = VmallocSpace.TryFind(pointer, out VmallocArea area) && area.Kind == AreaKind.Vmalloc && area.GetState() is AreaState.Live or AreaState.Busy;
        block = found ? (void*)VmallocSpace.AddressOf(&area) : null;
        bytes = found ? area.SizeBytes : 0;
        return found;
    }

    /// <summary>
    /// Gives back the areas that were kept since before a point in time, and tries again what the system refused to
    /// unmap. Returns the bytes given back.
    /// </summary>
    internal static nuint Release(long keptBefore)
    {
        Teardown.RetryRefused();
        return KeptAreas.Release(keptBefore);
    }

    // Where it stands, or, as there is no room, its pages in a larger hole. Null where neither can be done.
    private static VmallocArea* Grow(VmallocArea* area, uint pages, nuint alignment, out Refusal refusal)
    {
        nuint oldBytes = area->SizeBytes, newBytes = (nuint)pages << PageGeometry.PageShift;
        uint oldPages = area->Pages;
        if (!AreaRuns.TryBegin(area, oldBytes, out refusal)) return null;
        if (VmallocSpace.AddressOf(area) % alignment == 0 && VmallocSpace.TryExtend(area, pages))
        {
            if (AreaMemory.TryFill(area, oldBytes, newBytes, MemoryChoice.FreshFirst, zeroed: false, out refusal))
            {
                MemorySignals.Raise(MemorySignals.Used);
                return area;
            }
            // What the system refused to unmap stays accessible, without memory, until the next area there is unmapped: a record to try again by would need memory, of which there is none just now.
            VmallocSpace.Shorten(area, oldPages);
            return null;
        }
        VmallocArea* larger = Add(pages, alignment, RoomOf(pages), out refusal);
        if (larger == null) return null;
        bool moved = true;
        for (uint run = 0; run < area->RunCount && moved; run++)
            moved = AreaRuns.TryAdd(larger, AreaRuns.BytesOf(area, run), isWhole: false, out refusal);
        moved = moved
            && AreaMemory.TryFill(larger, oldBytes, newBytes, MemoryChoice.FreshFirst, zeroed: false, out refusal)
            && AreaMemory.TryMoveRuns(area, larger);
        if (moved)
        {
            AreaMemory.Charge(larger, area->ChargedBytes);
            MemorySignals.Raise(MemorySignals.Used);
        }
        Teardown.Destroy(moved ? area : larger);
        return moved ? larger : null;
    }

    private static uint RoomOf(uint pages) => (uint)Math.Min((ulong)pages * RoomForGrowth, uint.MaxValue / 4);

    private static void* MakeLive(VmallocArea* area)
    {
        Interlocked.Add(ref s_liveBytes, (long)area->SizeBytes);
        Interlocked.Increment(ref s_liveCount);
        nuint address = VmallocSpace.AddressOf(area);
        area->SetState(AreaState.Live);
        return (void*)address;
    }

    // An area of a user that begins at an address, busy now.
    private static VmallocArea* TakeLiveOrNull(void* pointer)
    {
        VmallocArea* area = VmallocSpace.Starting(pointer);
        if (area == null || area->Kind != AreaKind.Vmalloc || !area->TryChange(AreaState.Live, AreaState.Busy)) return null;
        if (VmallocSpace.AddressOf(area) == (nuint)pointer) return area;
        area->SetState(AreaState.Live); // the record was another area's by then
        return null;
    }

    private static VmallocArea* Add(uint pages, nuint alignment, uint roomPages, out Refusal refusal)
    {
        refusal = new Refusal(RefusalReason.OutOfAddresses);
        if (alignment > VmallocSpace.Bytes) return null;
        uint alignmentPages = (uint)Math.Max(1, alignment >> PageGeometry.PageShift);
        while (true)
        {
            if (MappingBudget.TryTake(MappingsPerArea))
            {
                VmallocArea* area = VmallocSpace.Add(AreaKind.Vmalloc, pages, alignmentPages, roomPages);
                refusal = default;
                if (area != null) return area;
                MappingBudget.Give(MappingsPerArea);
                refusal = VmallocSpace.HasHole(pages, alignmentPages) ? Refusal.OutOfMemory : new Refusal(RefusalReason.OutOfAddresses);
            }
            else
            {
                refusal = new Refusal(RefusalReason.OutOfMappings);
            }
            // Too many mappings, or no hole: what is kept has some.
            if (KeptAreas.Release() == 0) return null;
        }
    }

    private static bool TryPages(nuint byteCount, out uint pages, out Refusal refusal)
    {
        ulong count = byteCount / PageGeometry.PageBytes + (byteCount % PageGeometry.PageBytes != 0 ? 1u : 0);
        pages = (uint)Math.Max(1, Math.Min(count, uint.MaxValue / 2));
        refusal = count <= uint.MaxValue / 2 ? Refusal.None : new Refusal(RefusalReason.OutOfAddresses);
        return refusal == Refusal.None;
    }
}
