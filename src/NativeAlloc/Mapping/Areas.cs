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
/// <para>Any thread. Whoever changes the state of an area from live or kept to busy has it for himself, so of two threads that free the same area one is told that it is none.</para>
/// </remarks>
internal static unsafe class Areas
{
    /// <summary>Bytes and number of the areas that users hold. By Interlocked.</summary>
    private static long s_liveBytes, s_liveCount;

    // Its memory, and the hole behind it: see VmallocArea.OwnMappings.
    private const int MappingsPerArea = 2;

    // Addresses to grow into, in multiples of what an area has when it moves: doubling goes on where it stands two times more.
    private const uint RoomForGrowth = 3;

    static Areas() => Reclaimer.SetAreas(&Release);

    internal static nuint LiveBytes => (nuint)Volatile.Read(ref s_liveBytes);

    internal static long LiveCount => Volatile.Read(ref s_liveCount);

    /// <summary>Makes an area; null where there is no memory, no address space, or the size is beyond both.</summary>
    /// <param name="alignment">A power of two.</param>
    /// <param name="zeroed">It is to read as zero.</param>
    internal static void* Alloc(nuint byteCount, nuint alignment, MemoryChoice choice = MemoryChoice.UsedFirst, bool zeroed = false)
    {
        Debug.Assert(choice != MemoryChoice.UsedOnly, "an area can always be completed from the system");
        if (!TryPages(byteCount, out uint pages)) return null;
        VmallocArea* area = choice == MemoryChoice.UsedFirst && alignment <= VmallocSpace.AlignmentOf(pages) ? KeptAreas.TakeLike(pages, byteCount) : null;
        if (area != null)
        {
            if (zeroed) AreaMemory.Clear(area);
            Decay.Note();
            return MakeLive(area);
        }
        area = Add(pages, Math.Max(alignment, VmallocSpace.AlignmentOf(pages)), 0);
        if (area == null) return null;
        if (AreaMemory.TryFill(area, 0, area->SizeBytes, choice, zeroed))
        {
            Decay.NoteTaken();
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
    internal static void* AllocFrom(void* source, nuint sourceBytes, nuint byteCount)
    {
        Debug.Assert(byteCount > sourceBytes, "the area holds all that is moved");
        if (!TryPages(byteCount, out uint pages)) return null;
        VmallocArea* area = Add(pages, VmallocSpace.AlignmentOf(pages), RoomOf(pages));
        if (area == null) return null;
        // The move comes last: after it nothing can fail.
        nuint bytes = area->SizeBytes;
        if (AreaRuns.TryAdd(area, sourceBytes, isWhole: sourceBytes == bytes)
            && (sourceBytes == bytes || AreaMemory.TryFill(area, sourceBytes, bytes, MemoryChoice.FreshFirst, zeroed: false))
            && VirtualMemory.TryMove((nuint)source, sourceBytes, VmallocSpace.AddressOf(area)))
        {
            AreaMemory.Charge(area, sourceBytes);
            Decay.NoteTaken();
            return MakeLive(area);
        }
        Teardown.Destroy(area);
        return null;
    }

    /// <summary>Frees an area; false, and nothing done, if no user's begins at this address.</summary>
    internal static bool TryFree(void* pointer)
    {
        VmallocArea* area = TryTakeLive(pointer);
        if (area == null) return false;
        Interlocked.Add(ref s_liveBytes, -(long)area->SizeBytes);
        Interlocked.Decrement(ref s_liveCount);
        if (!KeptAreas.TryPut(area)) Teardown.Destroy(area);
        else Decay.Note();
        return true;
    }

    /// <summary>Changes an area's size by moving its pages, not its bytes; what is new is undefined. Null where that fails: the area stands as it was.</summary>
    internal static void* Realloc(void* pointer, nuint byteCount, nuint alignment = 1)
    {
        if (!TryPages(byteCount, out uint pages)) return null;
        VmallocArea* area = TryTakeLive(pointer);
        if (area == null) return null;
        nuint oldBytes = area->SizeBytes;
        VmallocArea* resized = area;
        if (pages < area->Pages) AreaMemory.Shorten(area, pages);
        else if (pages > area->Pages) resized = Grow(area, pages, Math.Max(alignment, VmallocSpace.AlignmentOf(pages)));
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

    // What the reclaimer asks for: all that is kept, or what has been kept for a period. Returns the bytes given back.
    private static nuint Release(bool all)
    {
        Teardown.RetryRefused();
        return KeptAreas.Release(all ? long.MaxValue : Environment.TickCount64 - Decay.PeriodMilliseconds);
    }

    // Where it stands, or, as there is no room, its pages in a larger hole. Null where neither can be done.
    private static VmallocArea* Grow(VmallocArea* area, uint pages, nuint alignment)
    {
        nuint oldBytes = area->SizeBytes, newBytes = (nuint)pages << LinearRegion.PageShift;
        uint oldPages = area->Pages;
        if (!AreaRuns.TryBegin(area, oldBytes)) return null;
        if (VmallocSpace.AddressOf(area) % alignment == 0 && VmallocSpace.TryExtend(area, pages))
        {
            if (AreaMemory.TryFill(area, oldBytes, newBytes, MemoryChoice.FreshFirst, zeroed: false)) return area;
            // What the system refused to unmap stays accessible, without memory, until the next area there is unmapped: a record to try again by would need memory, of which there is none just now.
            VmallocSpace.Shorten(area, oldPages);
            return null;
        }
        VmallocArea* larger = Add(pages, alignment, RoomOf(pages));
        if (larger == null) return null;
        bool moved = true;
        for (uint run = 0; run < area->RunCount && moved; run++) moved = AreaRuns.TryAdd(larger, AreaRuns.BytesOf(area, run));
        moved = moved && AreaMemory.TryFill(larger, oldBytes, newBytes, MemoryChoice.FreshFirst, zeroed: false) && AreaMemory.TryMoveRuns(area, larger);
        if (moved)
        {
            AreaMemory.Charge(larger, area->ChargedBytes);
            Decay.NoteTaken();
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
    private static VmallocArea* TryTakeLive(void* pointer)
    {
        VmallocArea* area = VmallocSpace.Starting(pointer);
        if (area == null || area->Kind != AreaKind.Vmalloc || !area->TryChange(AreaState.Live, AreaState.Busy)) return null;
        if (VmallocSpace.AddressOf(area) == (nuint)pointer) return area;
        area->SetState(AreaState.Live); // the record was another area's by then
        return null;
    }

    private static VmallocArea* Add(uint pages, nuint alignment, uint roomPages)
    {
        if (alignment > VmallocSpace.Bytes) return null;
        uint alignmentPages = (uint)Math.Max(1, alignment >> LinearRegion.PageShift);
        while (true)
        {
            if (MappingBudget.TryTake(MappingsPerArea))
            {
                VmallocArea* area = VmallocSpace.Add(AreaKind.Vmalloc, pages, alignmentPages, roomPages);
                if (area != null) return area;
                MappingBudget.Give(MappingsPerArea);
            }
            // Too many mappings, or no hole: what is kept has some.
            if (KeptAreas.Release() == 0) return null;
        }
    }

    private static bool TryPages(nuint byteCount, out uint pages)
    {
        ulong count = byteCount / LinearRegion.PageBytes + (byteCount % LinearRegion.PageBytes != 0 ? 1u : 0);
        pages = (uint)Math.Max(1, Math.Min(count, uint.MaxValue / 2));
        return count <= uint.MaxValue / 2;
    }
}
