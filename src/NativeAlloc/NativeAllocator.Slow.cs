using System.Diagnostics.CodeAnalysis;
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

/// <content>What the fast paths fall back on, and what is never fast.</content>
public static unsafe partial class NativeAllocator
{
    /// <summary>
    /// Whether an address lies in memory that this library keeps blocks in: for a pointer that it gave out and that is
    /// not freed yet, always true.
    /// </summary>
    /// <param name="ptr">Any address at all.</param>
    /// <returns> False for addresses of anybody else. A small block that was freed may still answer true, as its slab
    /// holds others. </returns>
    public static bool Owns(void* ptr) => Startup.TryBegin() && TryFindBlock(ptr, out _, out _);

    /// <summary>
    /// Gives back to the system all memory that nobody uses: the calling thread's caches, those of threads that have
    /// ended, those of other threads but for an object of each size, what is kept for all threads, and free pages. The
    /// next allocations are slower, as they ask for it again. It may be called on any thread, whatever others are
    /// doing.
    /// </summary>
    /// <returns>Bytes returned to the operating system.</returns>
    /// <remarks>
    /// From any thread, also from several at once, in a finalizer, in a shrinker, and while the process ends. Not
    /// needed for memory to go back: that happens by itself soon after it is no longer used (<c>DecayMilliseconds</c>).
    /// </remarks>
    public static nuint Trim() => Startup.TryBegin() ? Reclaimer.Trim() : 0;

    /// <summary>
    /// Gives the calling thread's caches back for others to use. Not needed for correctness: the caches of a thread
    /// that has ended are taken over by the next thread that needs some. A thread that goes on allocating gets new
    /// ones.
    /// </summary>
    public static void ReleaseThreadCache()
    {
        if (!Startup.TryBegin()) return;
        byte* block = ThreadRegistry.OwnBlock();
        CurrentThread.t_block = null;
        if (block == null) return;
        ThreadRegistry.SetHeld(block);
        CacheRelease.Drain(block);
        ThreadRegistry.Release(block);
        DecayThread.Attend();
    }

    /// <summary>
    /// Where memory is at this moment. Threads go on meanwhile, so the figures need not fit each other to the byte.
    /// </summary>
    /// <returns>The figures.</returns>
    public static AllocatorStatistics GetStatistics() => Startup.TryBegin() ? AllocatorStatistics.Read() : default;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* AllocSlow(nuint byteCount)
    {
        void* pointer = PopCounted(byteCount);
        return pointer != null ? pointer : AllocOrThrow(byteCount, byteCount, SizeClasses.Granule, zeroed: false);
    }

    // What a thread with a block pops while the profiler is on. No thread has one before Startup.Begin, which has to
    // come before all else that a first allocation does.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void* PopCounted(nuint byteCount)
    {
        nint* block = CurrentThread.t_block;
        return block != null && SampleGap.IsOn && block == ThreadRegistry.OwnBlock()
            ? SampledCaches.PopCounted(block, byteCount)
            : null;
    }

    // The same as Alloc for sizes up to 32 KiB, whose class takes more instructions to find than callers should carry.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* AllocMedium(nuint byteCount)
    {
        void* pointer = PopMedium(byteCount);
        return pointer != null ? pointer : AllocSlow(byteCount);
    }

    // An object of up to 32 KiB from the loaded magazine; null where that has none.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void* PopMedium(nuint byteCount)
    {
        nint* loaded = CurrentThread.t_block;
        if (loaded == null || byteCount > SizeClasses.MagazineBytes) return null;
        loaded += SizeClasses.Of(byteCount);
        nint top = *loaded, pointer = Magazine.Peek(top);
        if (pointer != 0) *loaded = top - sizeof(nint);
        return (void*)pointer;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* AllocZeroedMedium(nuint byteCount)
    {
        if (byteCount > SizeClasses.MagazineBytes)
            return AllocOrThrow(byteCount, byteCount, SizeClasses.Granule, zeroed: true);
        void* pointer = AllocMedium(byteCount);
        NativeMemory.Clear(pointer, byteCount);
        return pointer;
    }

    private static void* AllocOrThrow(nuint askedBytes, nuint byteCount, nuint alignment, bool zeroed)
    {
        Startup.Begin();
        if (Options.Check) return AllocChecked(askedBytes, alignment, zeroed, canThrow: true);
        AllocationAttempt attempt = new(byteCount);
        void* pointer = AllocOrRefuse(ref attempt, alignment, zeroed);
        if (pointer == null) ThrowNoMemory(askedBytes, attempt);
        return pointer;
    }

    // Beyond, areas of like size are reused without a lock and without a run that has to be long enough, and their
    // first touch can be by huge pages (docs/design/mapping.md).
    private const nuint LargestFromBuddy = 1 << 20;

    /// <summary>Says why an allocation got nothing.</summary>
    /// <param name="byteCount">As the user asked for.</param>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNoMemory(nuint byteCount, scoped in AllocationAttempt attempt)
    {
        nuint most = Math.Max(VmallocSpace.Bytes, LargeBlocks.LargestBytes);
        if (byteCount > most) ThrowHelper.ThrowNeverPossible(byteCount, most);
        switch (attempt.Refusal.Reason)
        {
            case RefusalReason.ResidentLimit:
                ThrowResidentLimit(byteCount, attempt);
                break;
            case RefusalReason.LockLimit:
                ThrowHelper.ThrowLockLimit(byteCount, Machine.LockLimitBytes, Machine.LockedBytes,
                    attempt.ShrinkerError);
                break;
            case RefusalReason.OutOfAddresses:
                ThrowHelper.ThrowOutOfAddresses(byteCount, VmallocSpace.Bytes, attempt.ShrinkerError);
                break;
            case RefusalReason.OutOfMappings:
                ThrowHelper.ThrowOutOfMappings(byteCount, MappingBudget.Limit, attempt.ShrinkerError);
                break;
        }
        ThrowHelper.ThrowOutOfMemory(byteCount, attempt.ShrinkerError);
    }

    [DoesNotReturn]
    private static void ThrowResidentLimit(nuint byteCount, scoped in AllocationAttempt attempt)
    {
        nuint limit = ResidentBudget.LimitBytes;
        if (byteCount > limit && !attempt.WasReclaimed)
            ThrowHelper.ThrowBeyondLimit(byteCount, limit, ResidentBudget.IsDerived);
        AllocatorStatistics figures = AllocatorStatistics.Read();
        nuint charged = ResidentBudget.ChargedBytes;
        // Other threads go on meanwhile; what is purged out of slabs is free, but no memory.
        nuint live = Math.Min(figures.LiveBytes, charged),
            slabFree = figures.SlabFreeBytes - Math.Min(figures.SlabFreeBytes, figures.SlabPurgedBytes);
        nuint cached = Math.Min(figures.CachedBytes + slabFree
            + ((nuint)PageLayer.DirtyFreePages() << PageGeometry.PageShift), charged - live);
        nuint? resident = ResidentBudget.IsDerived ? ResidentBudget.ReadResidentBytes() : null;
        ThrowHelper.ThrowResidentLimit(byteCount, limit, resident, charged, live, cached,
            attempt.WasReclaimed, attempt.ShrinkerError);
    }

    private static void* AllocOrRefuse(ref AllocationAttempt attempt, nuint alignment, bool zeroed)
    {
        void* pointer;
        do pointer = AllocOnce(attempt.Bytes, alignment, zeroed, out attempt.Refusal);
        while (pointer == null && attempt.TryMakeRoom());
        DecayThread.Attend();
        return pointer;
    }

    /// <param name="byteCount">A multiple of the alignment where that is more than 16 and the size has a class.</param>
    /// <param name="alignment">A power of two.</param>
    /// <param name="zeroed">The block is to read as zero.</param>
    /// <param name="refusal">Why not, where the answer is null.</param>
    internal static void* AllocOnce(nuint byteCount, nuint alignment, bool zeroed, out Refusal refusal)
    {
        if (byteCount <= SizeClasses.LargestBytes && alignment <= SizeClasses.LargestBytes)
        {
            int sizeClass = SizeClasses.Of(byteCount);
            void* pointer = Options.Guard != 0 ? AllocGuarded(byteCount, alignment) : null, own = GetBlock();
            refusal = default;
            if (pointer == null && SampleGap.IsOn) pointer = AllocationSampler.AllocIfDue(own, sizeClass);
            if (pointer == null) pointer = MagazineExchange.AllocMiss(own, sizeClass, out refusal, canBorrow: true);
            if (zeroed && pointer != null) NativeMemory.Clear(pointer, byteCount);
            return pointer;
        }
        bool fitsBuddy = byteCount <= LargeBlocks.LargestBytes && alignment <= LargeBlocks.LargestBytes,
            buddyFirst = fitsBuddy && byteCount <= LargestFromBuddy;
        refusal = default;
        void* block = buddyFirst ? LargeBlocks.Alloc(byteCount, alignment, zeroed, out refusal) : null;
        if (block == null && !refusal.IsResidentLimit)
            block = Areas.Alloc(
                Math.Max(byteCount, 1), alignment, out refusal, MemoryChoice.UsedFirst, zeroed, AreaEnd.Open);
        // No address space or too many mappings: the buddy may still have a run.
        if (block == null && !refusal.IsResidentLimit && fitsBuddy && !buddyFirst)
            block = LargeBlocks.Alloc(byteCount, alignment, zeroed, out refusal);
        if (SampleGap.IsOn && block != null) AllocationSampler.NoteLarge(block, byteCount);
        return block;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* AlignedAllocSlow(nuint byteCount, nuint alignment) =>
        AllocRounded(byteCount, alignment, canThrow: true);

    // Null where there is no memory and the caller wants no exception.
    private static void* AllocRounded(nuint byteCount, nuint alignment, bool canThrow)
    {
        nuint atLeastOne = Math.Max(byteCount, 1);
        nuint rounded = unchecked((atLeastOne + (alignment - 1)) & ~(alignment - 1));
        bool isTooMuch = rounded < atLeastOne;
        if (isTooMuch && canThrow) ThrowHelper.ThrowOutOfMemory(byteCount);
        if (isTooMuch) return null;
        // Rounding is for the classes of the slabs; pages and mappings are aligned without it.
        nuint wanted = rounded <= SizeClasses.LargestBytes ? rounded : atLeastOne;
        return canThrow
            ? AllocOrThrow(byteCount, wanted, alignment, zeroed: false)
            : AllocOrNull(byteCount, wanted, alignment, zeroed: false);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void FreeSlow(void* ptr)
    {
        if (ptr == null) return;
        Startup.BeginWith(ptr);
        if (Options.Guard != 0 && GuardedBlocks.Contains(ptr)) FreeGuarded(ptr);
        else if (!Options.Check || !TryFreeChecked(ptr)) FreeUnchecked(ptr);
    }

    private static void FreeUnchecked(void* ptr)
    {
        nuint page = LinearRegion.PageIndexOf(ptr);
        if (page < LinearRegion.OnlinePages)
        {
            int pageClass = LinearRegion.ClassOf(page);
            ObjectCache* cache = CacheTable.UserCacheOfPage(page);
            if (cache != null)
            {
                void* beginning = cache->ObjectAt(ptr);
                if (beginning != ptr) ThrowNotABlock(ptr, beginning, cache->ObjectBytes);
                if (SampledCaches.Contains(cache->Index)) AllocationSampler.NoteFree(ptr);
                MagazineExchange.FreeMiss(GetBlock(), pageClass, ptr);
                DecayThread.Attend();
                return;
            }
            Forget(ptr);
            bool isPage = pageClass == 0 && (nuint)ptr % PageGeometry.PageBytes == 0;
            if (isPage
                && (LargeBlocks.TryFree((uint)page) || PageBlocks.TryFree(ThreadPages.Of(GetBlock()), (uint)page)))
            {
                DecayThread.Attend();
                return;
            }
        }
        else
        {
            Forget(ptr);
            if (Areas.TryFree(ptr))
            {
                DecayThread.Attend();
                return;
            }
        }
        TryFindBlock(ptr, out void* block, out nuint bytes);
        ThrowNotABlock(ptr, block, bytes);
    }

    /// <summary>
    /// Takes a block that is no object off what is known of it: the list of its heap, and the samples. To be called
    /// before it is freed, by any member of the library: afterwards another thread may have its address.
    /// </summary>
    internal static void Forget(void* ptr)
    {
        HeapBlocks.TryRemove(ptr);
        AllocationSampler.NoteFree(ptr);
    }

    [DoesNotReturn]
    private static void ThrowNotABlock(void* ptr, void* block, nuint bytes)
    {
        if (ArenaChunks.TryFind(ptr, out void* chunk, out nuint chunkBytes))
            ThrowHelper.ThrowOfArena(ptr, chunk, chunkBytes);
        if (block == null || block == ptr) ThrowHelper.ThrowForeign(ptr);
        ThrowHelper.ThrowInterior(ptr, block, bytes);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nuint UsableSizeSlow(void* ptr)
    {
        if (ptr == null) return 0;
        Startup.BeginWith(ptr);
        if (Options.Check && TryFindChecked(ptr, out CheckedBlock known)) return known.Bytes;
        if (!TryFindBlock(ptr, out void* block, out nuint bytes) || block != ptr) ThrowNotABlock(ptr, block, bytes);
        nuint page = LinearRegion.PageIndexOf(ptr);
        ObjectCache* cache = page < LinearRegion.OnlinePages ? CacheTable.UserCacheOfPage(page) : null;
        if (cache != null) ThrowIfFree(cache, ptr);
        return bytes;
    }

    // As far as it can be seen: an object that is in its slab, or in the magazine that this thread frees to.
    private static void ThrowIfFree(ObjectCache* cache, void* ptr)
    {
        bool isFree = cache->IsInSlab(ptr);
        if (!isFree && cache->Magazine.Capacity != 0 && CurrentThread.t_block is var block && block != null)
        {
            int side = LinearRegion.ClassOf(LinearRegion.PageIndexOf(ptr));
            isFree = ThreadMagazines.Of(block)->IsLoaded(cache, side, ptr);
        }
        if (isFree) ThrowHelper.ThrowIsFree(ptr, cache->ObjectBytes);
    }

    /// <summary>Finds the block of this library that an address lies in.</summary>
    private static bool TryFindBlock(void* ptr, out void* block, out nuint bytes)
    {
        Startup.Begin();
        nuint page = LinearRegion.PageIndexOf(ptr);
        if (Options.Guard != 0 && GuardedBlocks.Contains(ptr))
            return GuardedBlocks.TryFind(ptr, out block, out bytes);
        if (page >= LinearRegion.OnlinePages) return Areas.TryFind(ptr, out block, out bytes);
        int pageClass = LinearRegion.ClassOf(page);
        block = null;
        bytes = 0;
        ObjectCache* cache = CacheTable.UserCacheOfPage(page);
        if (cache != null)
        {
            block = cache->ObjectAt(ptr);
            bytes = cache->ObjectBytes;
        }
        else if (pageClass == 0 && LargeBlocks.TryFind((uint)page, out uint head, out uint count))
        {
            block = (void*)LinearRegion.AddressOf(head);
            bytes = (nuint)count << PageGeometry.PageShift;
        }
        else if (pageClass == 0 && PageBlocks.TryFind((uint)page, out head, out int order))
        {
            block = (void*)LinearRegion.AddressOf(head);
            bytes = PageGeometry.PageBytes << order;
        }
        return block != null;
    }

    /// <summary>
    /// The calling thread's block, made or adopted on its first slow path; null where there can be none.
    /// </summary>
    internal static void* GetBlock()
    {
        void* block = ThreadRegistry.OwnBlock();
        return block != null ? block : AttachThread();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* AttachThread()
    {
        Startup.Begin();
        Options.ThrowIfWrong();
        LibraryContext.Begin();
        if (Options.Check) return null; // no fast path is to serve anything
        // The layers from the bottom up, so that none is set up while the thread attaches.
        _ = PageLayer.NodeCount;
        _ = CacheTable.NoMagazine;
        if (AttachingThread.t_inside) return null; // user code that runs meanwhile does without a cache
        AttachingThread.t_inside = true;
        try
        {
            CurrentThread.t_block = null; // a block that it may have is another thread's by now
            byte* block = ThreadRegistry.Attach(out bool isNew);
            if (block == null) return null;
            if (isNew)
            {
                ThreadMagazines.Of(block)->Initialize();
                ThreadRegistry.SetInitialized(block);
            }
            PageLayer.Initialize(ThreadPages.Of(block));
            CurrentThread.t_block = (nint*)block;
            if (Options.Leaks) LeakReport.BeginOnce();
            return block;
        }
        catch (OutOfMemoryException)
        {
            return null; // the managed heap is full: the thread goes on without a cache
        }
        finally
        {
            AttachingThread.t_inside = false;
        }
    }

    /// <summary>
    /// Clears a small block in whole granules of 16 bytes, which every size class is made of: a handful of stores, no
    /// call.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ClearGranules(void* pointer, nuint byteCount)
    {
        if (byteCount > LargestInlineClear)
        {
            NativeMemory.Clear(pointer, byteCount);
            return;
        }
        byte* at = (byte*)pointer;
        byte* end = at + byteCount;
        do
        {
            Vector128<byte>.Zero.Store(at);
            at += SizeClasses.Granule;
        }
        while (at < end);
    }

    private const nuint LargestInlineClear = 256;

    /// <summary>Copies from one block to another in whole granules, which both have.</summary>
    private static void CopyGranules(void* target, void* source, nuint byteCount)
    {
        if (byteCount > LargestInlineCopy)
        {
            Buffer.MemoryCopy(source, target, byteCount, byteCount);
            return;
        }
        for (nuint at = 0; at < byteCount; at += SizeClasses.Granule)
            Vector128.Load((byte*)source + at).Store((byte*)target + at);
    }

    private const nuint LargestInlineCopy = 512;

    private static nuint Product(nuint elementCount, nuint elementSize)
    {
        UInt128 product = (UInt128)elementCount * elementSize;
        if (product > nuint.MaxValue) ThrowHelper.ThrowSizeOverflow(elementCount, elementSize);
        return (nuint)product;
    }

    /// <summary>Checks every layer. Throws where something is wrong; other threads may go on meanwhile.</summary>
    internal static void Verify()
    {
        CacheTable.Verify();
        PageLayer.Verify();
        HeapBlocks.Verify();
        PersistentWindows.Verify();
        VmallocSpace.Verify();
    }
}
