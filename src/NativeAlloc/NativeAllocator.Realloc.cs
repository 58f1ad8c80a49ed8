using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using NativeAlloc.Checking;
using NativeAlloc.Common;
using NativeAlloc.High;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Profiling;
using NativeAlloc.Release;
using NativeAlloc.Slabs;
using NativeAlloc.Threads;

namespace NativeAlloc;

/// <content>How blocks change their size: where they stand, by room behind them, by moving pages, or by a
/// copy.</content>
public static unsafe partial class NativeAllocator
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* ReallocSlow(void* ptr, nuint byteCount)
    {
        nuint page = LinearRegion.PageIndexOf(ptr);
        ObjectCache* cache = page < LinearRegion.PageCount ? CacheTable.UserCacheOfPage(page) : null;
        return unchecked(byteCount - 1) < SizeClasses.MagazineBytes && cache != null
            ? ReallocSmall(ptr, cache, byteCount)
            : ReallocCore(ptr, Math.Max(byteCount, 1), SizeClasses.Granule, canThrow: true);
    }

    // From one size class to another, or to the same: the common case, without looking for the block a second time.
    private static void* ReallocSmall(void* ptr, ObjectCache* cache, nuint byteCount)
    {
        if (Options.Check && TryReallocChecked(ptr, byteCount, SizeClasses.Granule, canThrow: true, out void* other))
            return other;
        nuint oldBytes = cache->ObjectBytes;
        void* beginning = cache->ObjectAt(ptr);
        if (beginning != ptr) ThrowNotABlock(ptr, beginning, oldBytes);
        ThrowIfFree(cache, ptr);
        if (StaysInPlace(oldBytes, byteCount)) return ptr;
        void* pointer = Alloc(byteCount);
        nuint kept = Math.Min(oldBytes, byteCount);
        CopyGranules(pointer, ptr, kept);
        CountReallocCopied(kept);
        Free(ptr);
        return pointer;
    }

    // A block that has room stays, unless that would keep more than half of it for nothing. Not for a size of 0.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool StaysInPlace(nuint oldBytes, nuint byteCount) =>
        unchecked(byteCount - 1) < oldBytes && (byteCount > oldBytes / 2 || oldBytes <= SmallestWorthMoving);

    // A large block that becomes smaller gives whole pages back, unless they are few.
    private static bool HasTailToGive(nuint oldBytes, nuint byteCount) =>
        byteCount < oldBytes
        && byteCount >= SmallestWithRoom
        && oldBytes - byteCount > byteCount / LargestTailShare + PageGeometry.PageBytes;

    // Of what it holds, a block that became smaller keeps one part in so many behind its end, and a page.
    private const nuint LargestTailShare = 8;

    // Null where there is no memory and the caller wants no exception.
    private static void* ReallocCore(void* ptr, nuint byteCount, nuint alignment, bool canThrow)
    {
        if (ptr == null) return AllocAligned(byteCount, alignment, canThrow);
        Startup.BeginWith(ptr);
        if (Options.Check && TryReallocChecked(ptr, byteCount, alignment, canThrow, out void* other)) return other;
        nuint oldBytes = UsableSizeSlow(ptr); // which looks whether the block is free
        bool isAligned = ((nuint)ptr & (alignment - 1)) == 0, stays = isAligned && StaysInPlace(oldBytes, byteCount);
        if (stays && !HasTailToGive(oldBytes, byteCount)) return ptr;
        void* resized = isAligned ? ResizeOrNull(ptr, oldBytes, byteCount, alignment) : null;
        if (resized != null) return resized;
        if (stays) return ptr;
        void* copy = AllocAligned(byteCount, alignment, canThrow);
        if (copy == null) return null;
        SampleMove sample = SampleMove.Begin(ptr);
        MoveContents(ptr, copy, Math.Min(oldBytes, byteCount));
        // While the profiler is on, the allocation was its chance to be a sample. An object cannot become one.
        if (!SampleGap.IsOn && Math.Max(byteCount, alignment) > SizeClasses.LargestBytes) sample.End(copy, byteCount);
        return copy;
    }

    private static void* AllocAligned(nuint byteCount, nuint alignment, bool canThrow)
    {
        if (canThrow) return AlignedAlloc(byteCount, alignment);
        TryAlignedAlloc(byteCount, alignment, out void* pointer);
        return pointer;
    }

    // Without copying; null where the pages cannot be moved, or are too few to be worth it.
    private static void* ResizeOrNull(void* ptr, nuint oldBytes, nuint byteCount, nuint alignment)
    {
        if (Math.Max(oldBytes, byteCount) < SmallestWithRoom) return null;
        AllocationAttempt attempt = new(byteCount);
        HeapMove move = HeapMove.Begin(ptr);
        SampleMove sample = SampleMove.Begin(ptr);
        void* resized = null;
        try
        {
            do resized = ResizePagesOnce(ptr, oldBytes, byteCount, alignment, out attempt.Refusal);
            while (resized == null && attempt.TryMakeRoomToMove());
        }
        finally
        {
            move.End(ptr, resized, byteCount);
        }
        if (resized == null) sample.Cancel();
        else sample.EndResized(resized, byteCount, hasGrown: byteCount > oldBytes);
        DecayThread.Attend();
        return resized;
    }

    /// <summary>
    /// Copies from an old block to the one that takes its place, and frees the old one; the new one, where another
    /// thread has freed the old one meanwhile.
    /// </summary>
    internal static void MoveContents(void* from, void* to, nuint byteCount)
    {
        Buffer.MemoryCopy(from, to, byteCount, byteCount);
        CountReallocCopied(byteCount);
        FreeMoved(from, to);
    }

    private static void FreeMoved(void* from, void* to)
    {
        try
        {
            Free(from);
        }
        catch
        {
            Free(to); // else nobody would have it
            throw;
        }
    }

    internal static void CountReallocCopied(nuint bytes)
    {
        void* block = CurrentThread.t_block;
        if (block != null) ThreadMagazines.Of(block)->AddReallocCopied(bytes);
        else SystemCounters.CountReallocCopied(bytes);
    }

    // Copying this much costs more than the memory is worth for as long as a block usually lives.
    private const nuint SmallestWorthMoving = 64;

    // From here on a block that grows becomes an area with room behind it. That copy is the last.
    private const nuint SmallestWithRoom = 256 * 1024;

    // What is larger than this has its pages moved instead of its bytes copied. On a virtual machine a move costs as
    // much as copying a megabyte: it stops every processor that runs the process.
    private const nuint LargestCopy = LargestFromBuddy;

    // More or fewer pages where the block stands, or its pages at another address, or, as long as it is small, a copy
    // with room behind it. Null where that cannot be done.
    // The refusal says why there is no memory; it is none where the system cannot move the pages.
    private static void* ResizePagesOnce(void* ptr, nuint oldBytes, nuint byteCount, nuint alignment,
        out Refusal refusal)
    {
        refusal = default;
        if (Options.Guard != 0 && GuardedBlocks.Contains(ptr)) return null;
        nuint page = LinearRegion.PageIndexOf(ptr);
        if (page >= LinearRegion.OnlinePages)
            return byteCount >= SmallestWithRoom
                ? Areas.Realloc(ptr, byteCount, out refusal, alignment, AreaEnd.Room)
                : null;
        ref PageFrame frame = ref LinearRegion.Frames[page];
        PageState state = frame.GetState();
        bool isLarge = state == PageState.Large;
        if (isLarge && byteCount > SizeClasses.LargestBytes && byteCount <= LargeBlocks.LargestBytes
            && LargeBlocks.TryResize((uint)page, byteCount)) return ptr;
        if (byteCount < oldBytes) return null;
        if (oldBytes <= LargestCopy) return CopyToArea(ptr, oldBytes, byteCount, alignment, out refusal);
        bool wholePages = ((nuint)ptr | oldBytes) % VirtualMemory.PageBytes == 0;
        // What is locked into memory stays where it is: what grew out of it need not be, and Linux (6.18) counts a lock
        // that moves twice.
        bool isLocked = LinearRegion.ZoneIndexOf((uint)page) % Zone.KindCount == (int)ZoneKind.Dma;
        if (!wholePages || isLocked || alignment > PageGeometry.PageBytes) return null;
        if (state is not (PageState.Large or PageState.Block)) return null; // an object is copied
        // While its pages move no thread can free the block: they would be another owner's by then.
        if (!frame.TryTake(state)) return null;
        void* moved = Areas.AllocFrom(ptr, oldBytes, byteCount, out refusal);
        frame.SetState(state);
        if (moved != null && !(isLarge && LargeBlocks.TryFree((uint)page, clean: true))) FreeMoved(ptr, moved);
        return moved;
    }

    private static void* CopyToArea(void* ptr, nuint oldBytes, nuint byteCount, nuint alignment, out Refusal refusal)
    {
        void* copy = Areas.Alloc(byteCount, alignment, out refusal, end: AreaEnd.Room);
        if (copy != null) MoveContents(ptr, copy, oldBytes);
        return copy;
    }
}
