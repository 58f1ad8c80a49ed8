using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.CompilerServices;
using NativeAlloc.Checking;
using NativeAlloc.Common;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Slabs;

namespace NativeAlloc;

/// <content>Check mode. No thread gets a block of its own then, so no fast path serves, and every call comes to a slow
/// path, which comes here. Otherwise nothing of this is ever called.
/// <code>
/// AllocChecked ─ AllocOrRefuse, of more bytes; CheckedBlocks.TryAdd: red zones, fresh bytes, the stack
/// TryFreeChecked ─ CheckedBlocks.Free: red zones, freed bytes, the quarantine
///               └ EmptyQuarantine ─ CheckedBlocks.TryTakeOut: freed bytes untouched? ─ FreeUnchecked
/// </code></content>
public static unsafe partial class NativeAllocator
{
    // So many of the stacks with the most leaked bytes are written at exit.
    private const int LeaksToWrite = 20;

    /// <summary>1 once the report of leaks has been arranged. By Interlocked.</summary>
    private static int s_hasLeakReport;

    /// <summary>
    /// Looks through everything now. In check mode (<c>NATIVEALLOC_CHECK=1</c>): the red zones of all blocks, and
    /// whether something was written to freed ones. Otherwise the allocator's own structures.
    /// </summary>
    /// <exception cref="InvalidOperationException">Something was overwritten; the message names each block with its
    /// address, its size, and the stacks that allocated and freed it.</exception>
    public static void Check()
    {
        Startup.Begin();
        if (!Options.Check) Verify();
        else if (CheckedBlocks.Check() is { Length: > 0 } errors) ThrowHelper.ThrowDamage(errors);
    }

    // Null where there is no memory and the caller wants no exception.
    private static void* AllocChecked(nuint byteCount, nuint alignment, bool zeroed, bool canThrow,
        BlockFamily family = BlockFamily.Allocator)
    {
        if (Volatile.Read(ref s_hasLeakReport) == 0 && Interlocked.Exchange(ref s_hasLeakReport, 1) == 0)
            AppDomain.CurrentDomain.ProcessExit += (_, _) => WriteLeaks(Console.Error);
        alignment = Math.Max(alignment, AlignmentOfSize(byteCount));
        nuint front = Math.Max(alignment, RedZones.Bytes), all = unchecked(front + byteCount + RedZones.Bytes);
        nuint rounded = unchecked((all + (alignment - 1)) & ~(alignment - 1));
        bool isTooMuch = all < byteCount || rounded < all;
        AllocationAttempt attempt = new(isTooMuch ? byteCount : rounded);
        byte* inner = isTooMuch ? null : AllocInner(ref attempt, alignment, zeroed, family);
        if (inner == null && !isTooMuch && EmptyQuarantine(all: true))
        {
            attempt = new AllocationAttempt(rounded);
            inner = AllocInner(ref attempt, alignment, zeroed, family);
        }
        CheckedBlock block = new()
        {
            Inner = (nuint)inner,
            Address = (nuint)inner + front,
            Bytes = byteCount,
            End = (nuint)inner + all,
            Family = family,
        };
        if (inner != null && CheckedBlocks.TryAdd(block, poison: !zeroed)) return inner + front;
        if (inner != null) FreeUnchecked(inner);
        if (canThrow && inner == null) ThrowNoMemory(byteCount, attempt);
        if (canThrow) ThrowHelper.ThrowOutOfMemory(byteCount);
        return null;
    }

    // An aligned block of a small size comes as its size, rounded up to a multiple of the alignment (see SizeClasses).
    private static nuint AlignmentOfSize(nuint byteCount) =>
        byteCount <= SizeClasses.MagazineBytes ? unchecked(byteCount & (0 - byteCount)) : 0;

    private static byte* AllocInner(ref AllocationAttempt attempt, nuint alignment, bool zeroed, BlockFamily family)
    {
        if (family != BlockFamily.Area) return (byte*)AllocOrRefuse(ref attempt, alignment, zeroed);
        void* pointer;
        do pointer = Areas.Alloc(attempt.Bytes, alignment, out attempt.Refusal, MemoryChoice.UsedFirst, zeroed);
        while (pointer == null && attempt.TryMakeRoom());
        DecayThread.Attend();
        return (byte*)pointer;
    }

    /// <summary>
    /// A block of <c>Vmalloc</c> in check mode; null where there is no memory and the caller wants no exception.
    /// </summary>
    internal static void* AllocCheckedArea(nuint byteCount, bool zeroed, nuint alignment = 1, bool canThrow = true) =>
        AllocChecked(Math.Max(byteCount, 1), Math.Max(alignment, VmallocSpace.AlignmentOf(PagesOf(byteCount))), zeroed,
            canThrow, BlockFamily.Area);

    private static uint PagesOf(nuint byteCount) =>
        (uint)Math.Min(byteCount >> PageGeometry.PageShift, uint.MaxValue >> 1) + 1;

    /// <summary>An object of a slab cache, with its red zones, for the user.</summary>
    internal static void* GuardObject(void* inner, nuint front, nuint bytes, int cache, bool keepsContents)
    {
        CheckedBlock block = new()
        {
            Inner = (nuint)inner,
            Address = (nuint)inner + front,
            Bytes = bytes,
            End = (nuint)inner + front + bytes + RedZones.Bytes,
            Family = BlockFamily.Cache,
            Cache = cache,
            KeepsContents = keepsContents ? (byte)1 : (byte)0,
        };
        if (CheckedBlocks.TryAdd(block, poison: !keepsContents)) return (byte*)inner + front;
        FreeUnchecked(inner);
        ThrowHelper.ThrowOutOfMemory(bytes);
        return null;
    }

    /// <summary>
    /// Frees a block that check mode knows: into the quarantine. False where it knows none that the pointer lies in.
    /// </summary>
    /// <param name="family">Whose block it has to be; null for anybody's.</param>
    /// <param name="cache">Of which slab cache, if of one.</param>
    internal static bool TryFreeChecked(void* ptr, BlockFamily? family = null, int cache = 0)
    {
        if (!TryFindBlock(ptr, out void* inner, out _)) return false;
        if (family != null && CheckedBlocks.TryFind((nuint)inner, out CheckedBlock block)
            && (block.Family != family || block.Cache != cache))
            ThrowHelper.ThrowMisuse($"0x{(nuint)ptr:x} is freed where it was not allocated. It lies in " +
                CheckedBlocks.Describe(block));
        string? misuse = CheckedBlocks.Free((nuint)inner, (nuint)ptr, out bool isKnown);
        if (misuse != null) ThrowMisuse(ptr, misuse);
        if (isKnown) EmptyQuarantine(all: false);
        else if (LinearRegion.PageIndexOf(ptr) is var page && page < LinearRegion.OnlinePages
            && CacheTable.UserCacheOfPage(page) is var objects && objects != null) ThrowIfFree(objects, ptr);
        return isKnown;
    }

    /// <summary>
    /// The block that check mode knows at a pointer; false where it knows none. Throws where the pointer is wrong.
    /// </summary>
    private static bool TryFindChecked(void* ptr, out CheckedBlock block)
    {
        block = default;
        if (!TryFindBlock(ptr, out void* inner, out _) || !CheckedBlocks.TryFind((nuint)inner, out block)) return false;
        string? misuse = CheckedBlocks.FindMisuse(block, (nuint)ptr);
        if (misuse != null) ThrowMisuse(ptr, misuse);
        return true;
    }

    // A block of another size, always at another address, so that the old pointer is wrong from then on. False where
    // check mode does not know the block; null where there is no memory, and the caller wants no exception.
    internal static bool TryReallocChecked(void* ptr, nuint byteCount, nuint alignment, bool canThrow, out void* moved)
    {
        moved = null;
        if (!TryFindChecked(ptr, out CheckedBlock block)) return false;
        moved = block.Family == BlockFamily.Area
            ? AllocCheckedArea(byteCount, zeroed: false, alignment, canThrow)
            : AllocChecked(byteCount, alignment, zeroed: false, canThrow);
        if (moved == null) return true;
        nuint kept = Math.Min(block.Bytes, byteCount);
        Buffer.MemoryCopy(ptr, moved, kept, kept);
        CountReallocCopied(kept);
        FreeMoved(ptr, moved);
        return true;
    }

    /// <summary>Frees what the quarantine has no room for, or all of it; false where that is nothing.</summary>
    internal static bool EmptyQuarantine(bool all)
    {
        bool any = false;
        while (CheckedBlocks.TryTakeOut(all, out CheckedBlock block))
        {
            FreeUnchecked((void*)block.Inner);
            any = true;
        }
        return any;
    }

    [DoesNotReturn]
    private static void ThrowMisuse(void* ptr, string misuse)
    {
        if (ArenaChunks.TryFind(ptr, out void* chunk, out nuint chunkBytes))
            ThrowHelper.ThrowOfArena(ptr, chunk, chunkBytes);
        ThrowHelper.ThrowMisuse(misuse);
    }

    // One of so many blocks, as far as the slow paths see them. Not in check mode, where every block is checked.
    private static void* AllocGuarded(nuint byteCount, nuint alignment)
    {
        if (Options.Check) return null;
        int seen = Math.Max(1, CacheTable.CacheAt(SizeClasses.Of(byteCount))->Magazine.Capacity);
        alignment = Math.Max(alignment, AlignmentOfSize(byteCount));
        return GuardedBlocks.IsDue(seen) ? GuardedBlocks.Alloc(byteCount, alignment) : null;
    }

    // The second free of a block, or an overrun within its page.
    private static void FreeGuarded(void* ptr)
    {
        if (GuardedBlocks.Free(ptr) is { } misuse) ThrowHelper.ThrowMisuse(misuse);
    }

    /// <summary>Writes the blocks that are not freed, by the stacks that allocated them.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void WriteLeaks(TextWriter writer)
    {
        List<LiveBlocks> all = CheckedBlocks.ReadLive();
        if (all.Count == 0) return;
        writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"NativeAlloc: {all.Sum(live => live.Blocks)} blocks of {all.Sum(live => (long)live.Bytes)} bytes were " +
            $"not freed, by {all.Count} stacks:"));
        foreach (LiveBlocks live in all.Take(LeaksToWrite))
        {
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{live.Blocks} blocks, {live.Bytes} bytes, allocated:"));
            writer.Write(CallStacks.TextOf(live.Stack));
        }
    }
}
