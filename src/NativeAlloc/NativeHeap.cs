using System.Runtime.CompilerServices;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Slabs;

namespace NativeAlloc;

/// <summary>
/// A heap of its own: any thread allocates from it and frees, <see cref="Dispose"/> and <see cref="Reset"/> free
/// everything at once, and it counts, and if wanted limits, what is held of it.
/// </summary>
/// <remarks>
/// <para>Blocks up to 512 KiB are objects of slabs that are the heap's alone, so all of them are freed in a time that
/// goes with the number of slabs and not of blocks. Larger ones are freed one by one. Each size class that is used has
/// a cache of its own, which the slab report shows as <c>name:bytes</c>. Threads have no magazines of it: an
/// allocation and a free take the lock of the cache. Where that is too slow and no end of all at once is needed, use
/// <see cref="NativeAllocator"/>.</para>
/// <para><see cref="NativeAllocator.Free"/>, <see cref="NativeAllocator.UsableSize"/> and
/// <see cref="NativeAllocator.Realloc"/> take the heap's blocks, too, and the heap's count stays right. A block that
/// <see cref="NativeAllocator.Realloc"/> moves leaves the heap.</para>
/// <para>All members may be called from any thread, but during <see cref="Dispose"/> and <see cref="Reset"/> no other
/// thread may use the heap or free one of its blocks. A heap has no finalizer, as pointers into it do not keep it
/// alive: one that is dropped keeps its memory, and the slab report shows its caches as dropped. Check mode puts no red
/// zones around its blocks.</para>
/// </remarks>
public sealed unsafe class NativeHeap : IDisposable
{
    /// <summary>What the heap itself has no more of, whatever memory there is.</summary>
    private enum Shortage
    {
        None,

        /// <summary>It is at its limit.</summary>
        Limit,

        /// <summary>There is no index for the cache of another size class.</summary>
        Caches,
    }

    private static int s_unnamed;

    private readonly nuint _limitBytes;

    /// <summary>By size class, the index of the heap's cache; 0 where there is none yet. By Interlocked and
    /// Volatile.</summary>
    private readonly int[] _caches = new int[SizeClasses.Count];

    /// <summary>Null once the heap is disposed of.</summary>
    private HeapFigures* _figures;

    /// <summary>Calls of <see cref="Realloc"/> that have not ended. By Interlocked and Volatile.</summary>
    private int _reallocating;

    /// <summary>Makes a heap.</summary>
    /// <param name="name">What reports call it; text without white space and control characters. Null for a name with
    /// a number.</param>
    /// <param name="limitBytes">The most bytes that may be held of it, in the sizes that the allocator keeps for its
    /// blocks; 0 for no limit.</param>
    /// <exception cref="ArgumentException">The name is empty or has white space or control characters in
    /// it.</exception>
    /// <exception cref="OutOfMemoryException">There is no memory for its figures.</exception>
    public NativeHeap(string? name = null, nuint limitBytes = 0)
    {
        Startup.Begin();
        name ??= $"heap-{Interlocked.Increment(ref s_unnamed)}";
        ReportName.ThrowIfWrong(name, nameof(name));
        Name = name;
        _limitBytes = limitBytes;
        _figures = (HeapFigures*)NativeAllocator.AllocZeroed((nuint)sizeof(HeapFigures));
    }

    /// <summary>What reports call the heap.</summary>
    public string Name { get; }

    /// <summary>The most bytes that may be held; 0 for no limit.</summary>
    public nuint LimitBytes => _limitBytes;

    /// <summary>Bytes that are held of the heap, in the sizes that the allocator keeps for its blocks.</summary>
    /// <exception cref="ObjectDisposedException">The heap is disposed of.</exception>
    public nuint LiveBytes => (nuint)Math.Max(0, Volatile.Read(ref Figures()->LiveBytes));

    /// <summary>Allocates a block; what it holds is undefined.</summary>
    /// <param name="byteCount">Bytes; 0 gives a unique pointer that can be freed.</param>
    /// <returns>The block, at a multiple of 16.</returns>
    /// <exception cref="OutOfMemoryException">The heap's limit, or neither the allocator nor the system has that
    /// much.</exception>
    /// <exception cref="InvalidOperationException">There are as many caches as there can be, and the heap has none of
    /// this size class yet.</exception>
    /// <exception cref="ObjectDisposedException">The heap is disposed of.</exception>
    public void* Alloc(nuint byteCount) => AllocOrThrow(byteCount, SizeClasses.Granule, zeroed: false);

    /// <summary>Allocates an array of <typeparamref name="T"/>; what it holds is undefined.</summary>
    /// <typeparam name="T">The type of the elements.</typeparam>
    /// <param name="count">Number of elements.</param>
    /// <returns>The block, at a multiple of 16.</returns>
    /// <exception cref="OutOfMemoryException">As <see cref="Alloc(nuint)"/>, or the size overflows.</exception>
    /// <exception cref="InvalidOperationException">As <see cref="Alloc(nuint)"/>.</exception>
    /// <exception cref="ObjectDisposedException">The heap is disposed of.</exception>
    public T* Alloc<T>(nuint count = 1)
        where T : unmanaged
    {
        if (count > nuint.MaxValue / (nuint)sizeof(T)) ThrowHelper.ThrowSizeOverflow(count, (nuint)sizeof(T));
        return (T*)Alloc(count * (nuint)sizeof(T));
    }

    /// <summary>Allocates a block of zero bytes; else as <see cref="Alloc(nuint)"/>.</summary>
    /// <inheritdoc cref="Alloc(nuint)"/>
    public void* AllocZeroed(nuint byteCount) => AllocOrThrow(byteCount, SizeClasses.Granule, zeroed: true);

    /// <summary>Allocates a block at a multiple of <paramref name="alignment"/>; what it holds is undefined.</summary>
    /// <param name="byteCount">Bytes; 0 gives a unique pointer that can be freed.</param>
    /// <param name="alignment">Any power of two.</param>
    /// <returns>The block.</returns>
    /// <exception cref="ArgumentException">The alignment is no power of two.</exception>
    /// <exception cref="OutOfMemoryException">As <see cref="Alloc(nuint)"/>.</exception>
    /// <exception cref="InvalidOperationException">As <see cref="Alloc(nuint)"/>.</exception>
    /// <exception cref="ObjectDisposedException">The heap is disposed of.</exception>
    public void* AlignedAlloc(nuint byteCount, nuint alignment)
    {
        if (!nuint.IsPow2(alignment)) ThrowHelper.ThrowBadAlignment(alignment);
        return AllocOrThrow(byteCount, Math.Max(alignment, SizeClasses.Granule), zeroed: false);
    }

    /// <summary>Allocates a block, or says that it cannot. What the block holds is undefined.</summary>
    /// <param name="byteCount">Bytes; 0 gives a unique pointer that can be freed.</param>
    /// <param name="ptr">The block, at a multiple of 16; null where the answer is false.</param>
    /// <returns>False at the heap's limit, where there is not that much memory, and where there are as many caches as
    /// there can be.</returns>
    /// <exception cref="ObjectDisposedException">The heap is disposed of.</exception>
    public bool TryAlloc(nuint byteCount, out void* ptr)
    {
        Figures();
        AllocationAttempt attempt = new(byteCount);
        ptr = AllocOrRefuse(ref attempt, SizeClasses.Granule, zeroed: false, out _);
        return ptr != null;
    }

    /// <summary>
    /// Changes the size of a block of this heap, in place where that is possible. Its contents are kept, up to the
    /// smaller of the two sizes. A block that moves to or from a slab counts with both sizes until it has moved; where
    /// there is no room for a smaller one, it stays as it is.
    /// </summary>
    /// <param name="ptr">The block; null allocates a new one.</param>
    /// <param name="byteCount">Bytes; 0 is treated as 1.</param>
    /// <returns>The block, which may have moved.</returns>
    /// <exception cref="ArgumentException"><paramref name="ptr"/> is not a block of this heap.</exception>
    /// <exception cref="OutOfMemoryException">As <see cref="Alloc(nuint)"/>; the old block stands.</exception>
    /// <exception cref="InvalidOperationException">As <see cref="Alloc(nuint)"/>; the old block stands.</exception>
    /// <exception cref="ObjectDisposedException">The heap is disposed of.</exception>
    public void* Realloc(void* ptr, nuint byteCount)
    {
        nuint wanted = Math.Max(byteCount, 1);
        if (ptr == null) return Alloc(wanted);
        Interlocked.Increment(ref _reallocating);
        try
        {
            return ReallocBlock(Figures(), ptr, wanted);
        }
        finally
        {
            Interlocked.Decrement(ref _reallocating);
        }
    }

    private void* ReallocBlock(HeapFigures* figures, void* ptr, nuint wanted)
    {
        if (!IsObject(figures, ptr) && !HeapBlocks.Contains(ptr, figures)) ThrowHelper.ThrowNotOfHeap(ptr, Name);
        nuint oldBytes = NativeAllocator.UsableSize(ptr);
        if (oldBytes > SizeClasses.LargestBytes && wanted > SizeClasses.LargestBytes)
            return ReallocLarge(figures, ptr, wanted);
        if (wanted <= oldBytes && wanted > oldBytes / 2) return ptr;
        void* moved;
        if (wanted > oldBytes) moved = Alloc(wanted);
        else if (!TryAlloc(wanted, out moved)) return ptr; // the heap is at its limit, or memory is short
        NativeAllocator.MoveContents(ptr, moved, Math.Min(oldBytes, wanted));
        return moved;
    }

    /// <summary>Frees a block of this heap, on any thread.</summary>
    /// <param name="ptr">The block; null does nothing.</param>
    /// <exception cref="ArgumentException">The pointer is not a block of this heap, or was freed before; the message
    /// says why. Of two threads that free the same block at one time both may pass, and then the process ends with a
    /// message that names the pointer.</exception>
    /// <exception cref="ObjectDisposedException">The heap is disposed of.</exception>
    public void Free(void* ptr)
    {
        HeapFigures* figures = Figures();
        if (ptr == null) return;
        if (IsObject(figures, ptr))
        {
            MagazineExchange.FreeMiss(NativeAllocator.GetBlock(), CacheTable.WideClass, ptr);
            DecayThread.Attend();
            return;
        }
        if (!HeapBlocks.TryRemove(ptr, figures)) ThrowHelper.ThrowNotOfHeap(ptr, Name);
        NativeAllocator.Free(ptr);
    }

    /// <summary>
    /// Frees all blocks at once; the heap can be used again. No other thread may use the heap or its blocks meanwhile.
    /// </summary>
    /// <exception cref="InvalidOperationException">A <see cref="Realloc"/> of the heap has not ended: a shrinker that
    /// it called calls this. Nothing is freed.</exception>
    /// <exception cref="ObjectDisposedException">The heap is disposed of.</exception>
    public void Reset()
    {
        HeapFigures* figures = Figures();
        ThrowIfReallocating();
        Empty(figures, keep: true);
    }

    /// <summary>
    /// Frees all blocks at once, and the heap. No other thread may use the heap or its blocks meanwhile. A second call
    /// does nothing.
    /// </summary>
    /// <exception cref="InvalidOperationException">A <see cref="Realloc"/> of the heap has not ended: a shrinker that
    /// it called calls this. Nothing is freed.</exception>
    public void Dispose()
    {
        ThrowIfReallocating();
        HeapFigures* figures;
        fixed (HeapFigures** field = &_figures)
            figures = (HeapFigures*)Interlocked.Exchange(ref *(nint*)field, 0);
        if (figures == null) return;
        Empty(figures, keep: false);
        NativeAllocator.Free(figures);
    }

    /// <summary>Checks the count of bytes against the caches and blocks. Throws where they differ.</summary>
    internal void Verify()
    {
        HeapFigures* figures = Figures();
        long bytes = (long)HeapBlocks.CountOf(figures).Bytes;
        foreach (int index in _caches)
            if (index != 0) bytes += CacheFigures.Of(index).Live * CacheTable.CacheAt(index)->ObjectBytes;
        if (bytes != Volatile.Read(ref figures->LiveBytes))
            throw new InvalidOperationException($"heap {Name} holds {bytes} and says {figures->LiveBytes}");
        HeapBlocks.Verify();
    }

    // The block that changes its size must not be freed under its Realloc.
    private void ThrowIfReallocating()
    {
        if (Volatile.Read(ref _reallocating) != 0) ThrowHelper.ThrowHeapInRealloc(Name);
    }

    private void Empty(HeapFigures* figures, bool keep)
    {
        ThreadPages* own = ThreadPages.Of(NativeAllocator.GetBlock());
        foreach (ref int index in _caches.AsSpan())
        {
            if (index != 0) CacheChain.Empty(index, own, keep);
            if (!keep) index = 0;
        }
        while (HeapBlocks.TryRemoveFirst(figures, out void* block)) NativeAllocator.Free(block);
        Volatile.Write(ref figures->LiveBytes, 0);
        DecayThread.Attend();
        GC.KeepAlive(this); // the caches of a dropped heap are taken down, and others get their indexes
    }

    private void* AllocOrThrow(nuint byteCount, nuint alignment, bool zeroed)
    {
        Figures();
        AllocationAttempt attempt = new(byteCount);
        void* block = AllocOrRefuse(ref attempt, alignment, zeroed, out Shortage shortage);
        if (block != null) return block;
        if (shortage == Shortage.Limit) ThrowHelper.ThrowHeapLimit(byteCount, Name, _limitBytes, LiveBytes);
        if (shortage == Shortage.Caches) ThrowHelper.ThrowTooManyCaches(MostCaches);
        NativeAllocator.ThrowNoMemory(byteCount, attempt);
        return null;
    }

    private void* AllocOrRefuse(ref AllocationAttempt attempt, nuint alignment, bool zeroed, out Shortage shortage)
    {
        void* block;
        do block = AllocOnce(attempt.Bytes, alignment, zeroed, out attempt.Refusal, out shortage);
        while (block == null && shortage == Shortage.None && attempt.TryMakeRoom());
        DecayThread.Attend();
        return block;
    }

    private void* AllocOnce(nuint byteCount, nuint alignment, bool zeroed, out Refusal refusal, out Shortage shortage)
    {
        HeapFigures* figures = Figures();
        refusal = default;
        shortage = Shortage.None;
        nuint rounded = unchecked((Math.Max(byteCount, 1) + (alignment - 1)) & ~(alignment - 1));
        bool isObject = unchecked(rounded - 1) < SizeClasses.LargestBytes && alignment <= SizeClasses.LargestBytes;
        int sizeClass = isObject ? SizeClasses.Of(rounded) : 0;
        nuint charge = isObject ? SizeClasses.BytesOf(sizeClass) : HeapBlocks.ChargeOf(byteCount);
        if (!TryCharge(figures, charge))
        {
            shortage = Shortage.Limit;
            return null;
        }
        void* block = null;
        try
        {
            block = isObject
                ? AllocObject(figures, sizeClass, out refusal, out shortage)
                : AllocLarge(figures, byteCount, charge, alignment, zeroed, out refusal);
        }
        finally
        {
            if (block == null) Interlocked.Add(ref figures->LiveBytes, -(long)charge);
        }
        if (block != null && zeroed && isObject) NativeAllocator.Clear(block, byteCount);
        GC.KeepAlive(this); // the caches of a dropped heap are taken down where they have no live object
        return block;
    }

    private void* AllocObject(HeapFigures* figures, int sizeClass, out Refusal refusal, out Shortage shortage)
    {
        int index = Volatile.Read(ref _caches[sizeClass]);
        if (index == 0) index = MakeCache(figures, sizeClass);
        refusal = default;
        shortage = index != 0 || HasFreeCache() ? Shortage.None : Shortage.Caches;
        return index == 0 ? null : MagazineExchange.AllocMiss(NativeAllocator.GetBlock(), index, out refusal);
    }

    private static void* AllocLarge(HeapFigures* figures, nuint byteCount, nuint charge, nuint alignment, bool zeroed,
        out Refusal refusal)
    {
        void* block = NativeAllocator.AllocOnce(byteCount, alignment, zeroed, out refusal);
        if (block == null || HeapBlocks.TryAdd(block, charge, figures)) return block;
        NativeAllocator.Free(block);
        return null;
    }

    // 0 where there is no index for it or no memory. Of two threads that make one, the one that is later takes its own
    // down again.
    private int MakeCache(HeapFigures* figures, int sizeClass)
    {
        int index;
        try
        {
            nuint bytes = SizeClasses.BytesOf(sizeClass);
            index = CacheChain.Create($"{Name}:{bytes}", bytes, null, this, &figures->LiveBytes);
        }
        catch (OutOfMemoryException)
        {
            return 0; // the managed heap is full
        }
        if (index == 0) return 0;
        int other = Interlocked.CompareExchange(ref _caches[sizeClass], index, 0);
        if (other == 0) return index;
        CacheChain.Destroy(index);
        return other;
    }

    // The caches of heaps are wide ones, and indexes of others are of no use to them.
    private const int MostCaches = CacheTable.MaxCaches - CacheTable.FirstWideCache;

    private static bool HasFreeCache()
    {
        int index = CacheTable.FirstWideCache;
        while (index < CacheTable.MaxCaches && CacheTable.Exists(index)) index++;
        return index < CacheTable.MaxCaches;
    }

    // Both sizes are beyond slabs: pages move, and no byte is copied.
    private void* ReallocLarge(HeapFigures* figures, void* ptr, nuint byteCount)
    {
        HeapMove move = HeapMove.Begin(ptr, figures);
        if (!move.IsOfHeap) ThrowHelper.ThrowNotOfHeap(ptr, Name);
        nuint charge = HeapBlocks.ChargeOf(byteCount), more = charge - Math.Min(charge, move.Bytes);
        bool isCharged = TryCharge(figures, more);
        void* moved = null;
        try
        {
            if (isCharged) moved = NativeAllocator.Realloc(ptr, byteCount);
        }
        finally
        {
            move.End(ptr, moved, byteCount);
            if (isCharged) Interlocked.Add(ref figures->LiveBytes, -(long)more); // it is counted with the block now
        }
        if (!isCharged) ThrowHelper.ThrowHeapLimit(byteCount, Name, _limitBytes, LiveBytes);
        return moved;
    }

    private bool TryCharge(HeapFigures* figures, nuint bytes)
    {
        while (true)
        {
            long live = Volatile.Read(ref figures->LiveBytes);
            if (_limitBytes != 0 && (nuint)live + bytes > _limitBytes) return false;
            SchedulePoint.Reach();
            // Not by adding and taking back: others would be refused for what this one does not get.
            if (Interlocked.CompareExchange(ref figures->LiveBytes, live + (long)bytes, live) == live) return true;
        }
    }

    // True for an object of this heap. False for a pointer that lies in no slab of users: it may be a larger block of
    // the heap. An exception for all else that lies in a slab.
    private bool IsObject(HeapFigures* figures, void* ptr)
    {
        nuint page = LinearRegion.PageIndexOf(ptr);
        ObjectCache* cache = page < LinearRegion.OnlinePages ? CacheTable.UserCacheOfPage(page) : null;
        if (cache == null) return false;
        void* beginning = cache->HeapBytes == &figures->LiveBytes ? cache->ObjectAt(ptr) : null;
        if (beginning == null) ThrowHelper.ThrowNotOfHeap(ptr, Name);
        if (beginning != ptr) ThrowHelper.ThrowInterior(ptr, beginning, cache->ObjectBytes);
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private HeapFigures* Figures()
    {
        HeapFigures* figures;
        fixed (HeapFigures** field = &_figures) figures = (HeapFigures*)Volatile.Read(ref *(nint*)field);
        if (figures == null) ThrowHelper.ThrowDisposed(nameof(NativeHeap));
        return figures;
    }
}
