using System.Numerics;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;

namespace NativeAlloc.Mapping;

/// <summary>
/// The runs of an area, from its beginning on, in system pages: how long each piece of memory is that came in one go.
/// The system moves one at a time. An area of a single run needs no array; others have theirs from the slabs, or, where
/// there are more runs than any slab has room for, as a large block.
/// </summary>
/// <remarks>Only for the thread that has made the area busy.</remarks>
internal static unsafe class AreaRuns
{
    /// <summary>
    /// Bytes and number of all arrays: objects and large blocks that are live and no user's. By Interlocked.
    /// </summary>
    private static long s_arrayBytes, s_arrays;

    internal static nuint ArrayBytes => (nuint)Volatile.Read(ref s_arrayBytes);

    internal static long Arrays => Volatile.Read(ref s_arrays);

    internal static uint Count(VmallocArea* area) => Math.Max(1, area->RunCount);

    /// <summary>Bytes of a run.</summary>
    internal static nuint BytesOf(VmallocArea* area, uint run) =>
        area->Runs == 0
            ? (nuint)area->Pages << PageGeometry.PageShift
            : ((uint*)area->Runs)[run] * VirtualMemory.PageBytes;

    /// <summary>
    /// The runs that a part of an area lies in, from the beginning of the first to the end of the last.
    /// </summary>
    internal static (nuint From, nuint To) Around(VmallocArea* area, nuint from, nuint to)
    {
        (nuint first, nuint end) = (0, 0);
        for (uint run = 0; end < to; run++)
        {
            if (end <= from) first = end;
            end += BytesOf(area, run);
        }
        return (first, end);
    }

    /// <summary>
    /// Adds a run at the end; false, and nothing changed, where there is no memory for the array, or the process has as
    /// many mappings as are ours: a run is one, beyond the two that each area has.
    /// </summary>
    /// <param name="isWhole">It is the area's only run, which needs no array.</param>
    internal static bool TryAdd(VmallocArea* area, nuint bytes, bool isWhole = false) =>
        TryAdd(area, bytes, isWhole, out _);

    /// <summary>The same, which says why not: the array is charged, too, so the limit may be in its way.</summary>
    internal static bool TryAdd(VmallocArea* area, nuint bytes, bool isWhole, out Refusal refusal)
    {
        refusal = default;
        if (isWhole && area->Runs == 0) return true;
        refusal = new Refusal(RefusalReason.OutOfMappings);
        if (!MappingBudget.TryTake(1)) return false;
        if (TryReserve(area, out refusal))
        {
            ((uint*)area->Runs)[area->RunCount++] = (uint)(bytes / VirtualMemory.PageBytes);
            return true;
        }
        MappingBudget.Give(1);
        return false;
    }

    /// <summary>
    /// Notes what an area has as its first run, before another is added: until then it needs no array.
    /// </summary>
    internal static bool TryBegin(VmallocArea* area, nuint bytes, out Refusal refusal)
    {
        refusal = default;
        return area->Runs != 0 || TryAdd(area, bytes, isWhole: false, out refusal);
    }

    /// <summary>Leaves out what lies behind so many bytes.</summary>
    internal static void CutBack(VmallocArea* area, nuint bytes)
    {
        if (bytes == 0) Free(area);
        if (area->Runs == 0) return;
        uint* runs = (uint*)area->Runs;
        uint left = (uint)(bytes / VirtualMemory.PageBytes), count = 0;
        for (; left != 0; count++)
        {
            runs[count] = Math.Min(runs[count], left);
            left -= runs[count];
        }
        SetCount(area, count);
    }

    /// <summary>Leaves out the first bytes.</summary>
    internal static void CutFront(VmallocArea* area, nuint bytes)
    {
        if (area->Runs == 0) return;
        uint* runs = (uint*)area->Runs;
        uint cut = (uint)(bytes / VirtualMemory.PageBytes), gone = 0;
        while (gone < area->RunCount && runs[gone] <= cut) cut -= runs[gone++];
        if (cut != 0) runs[gone] -= cut;
        new ReadOnlySpan<uint>(runs + gone, (int)(area->RunCount - gone))
            .CopyTo(new Span<uint>(runs, (int)(area->RunCount - gone)));
        SetCount(area, area->RunCount - gone);
    }

    internal static void Free(VmallocArea* area)
    {
        SetCount(area, 0);
        FreeArray(area);
        area->Runs = 0;
    }

    private static void SetCount(VmallocArea* area, uint count)
    {
        MappingBudget.Give((int)(area->RunCount - count));
        area->RunCount = count;
    }

    // Room for one more. False where there is no memory, and then all stands as it was.
    private static bool TryReserve(VmallocArea* area, out Refusal refusal)
    {
        refusal = default;
        nuint needed = (area->RunCount + 1) * (nuint)sizeof(uint);
        if (area->Runs != 0 && needed <= CapacityOf(area)) return true;
        nint grown = AllocArray(needed, out refusal);
        if (grown == 0) return false;
        new ReadOnlySpan<uint>((uint*)area->Runs, (int)area->RunCount)
            .CopyTo(new Span<uint>((uint*)grown, (int)area->RunCount));
        FreeArray(area);
        area->Runs = grown;
        Interlocked.Add(ref s_arrayBytes, (long)CapacityOf(area));
        Interlocked.Increment(ref s_arrays);
        return true;
    }

    private static nuint CapacityOf(VmallocArea* area)
    {
        ObjectCache* cache = CacheOf(area);
        return cache != null
            ? cache->ObjectBytes
            : (nuint)LinearRegion.Frames[PageOf(area)].PageCount << PageGeometry.PageShift;
    }

    private static nint AllocArray(nuint bytes, out Refusal refusal)
    {
        // A copy each time that it doubles. The classes of powers of two have slabs of single pages, which there are
        // also where all free memory is scattered.
        nuint roomy = BitOperations.RoundUpToPowerOf2(Math.Max(bytes, SizeClasses.Granule));
        return roomy <= SizeClasses.LargestBytes
            ? (nint)CacheTable.CacheAt(SizeClasses.Of(roomy))->AllocDirect(null, out refusal)
            : (nint)LargeBlocks.Alloc(roomy, 1, zeroed: false, out refusal);
    }

    private static void FreeArray(VmallocArea* area)
    {
        if (area->Runs == 0) return;
        Interlocked.Add(ref s_arrayBytes, -(long)CapacityOf(area));
        Interlocked.Decrement(ref s_arrays);
        ObjectCache* cache = CacheOf(area);
        if (cache != null) SlabReturn.FreeDirect(cache, null, (void*)area->Runs);
        else LargeBlocks.TryFree(PageOf(area));
    }

    private static uint PageOf(VmallocArea* area) => (uint)LinearRegion.PageIndexOf((void*)area->Runs);

    // Null for an array that is a large block.
    private static ObjectCache* CacheOf(VmallocArea* area) => CacheTable.CacheOfPage(PageOf(area));
}
