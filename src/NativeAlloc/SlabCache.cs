using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using NativeAlloc.Checking;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Slabs;
using NativeAlloc.Threads;

namespace NativeAlloc;

/// <summary>
/// Objects of one size and kind (the kernel's <c>kmem_cache</c>, after Bonwick's slab allocator). They are cut from
/// slabs of their own and kept in magazines by each thread, and the reports show them by name. If wanted, an object is
/// constructed once, when its slab is made, and not each time it is allocated.
/// </summary>
/// <remarks>
/// <para>Objects may be allocated and freed on any thread, by the fast path that <see cref="NativeAllocator"/> has for
/// its size classes. <see cref="NativeAllocator.Free"/> takes them, too. Nothing is ever written into a free object. So
/// an object that was constructed, and is freed in the same state, is still constructed when it is allocated
/// again.</para>
/// <para>There can be 65,424 caches at one time. The first 144 of them have magazines in each thread, for objects of up
/// to 32 KiB. Those beyond have none: each of their allocations and frees takes the lock of the cache. After one of the
/// first 144 is disposed of, the next that is made has its place.</para>
/// <para>A cache that was dropped without <see cref="Dispose"/> is marked as dropped in the slab report. It is taken
/// down when another cache is made and none of its objects is in use any more. Until then
/// <see cref="NativeAllocator.Free"/> takes them.</para>
/// </remarks>
public sealed unsafe class SlabCache : IDisposable
{
    // Which of a thread's magazines the fast paths use. A cache without magazines, and one that is disposed of, has a
    // magazine that is always empty and full. So the fast paths leave the object, or the error, to the slow ones.
    private int _pageClass;
    private readonly int _index;
    private readonly nuint _front; // check mode: bytes before an object, for its red zone; 0 without one
    private readonly bool _isConstructed;
    private int _disposed;

    /// <summary>Calls that may be running the constructor: their objects are in no slab yet. By Interlocked.</summary>
    private int _constructing;

    /// <summary>Makes a cache (<c>kmem_cache_create</c>).</summary>
    /// <param name="name">What it is called in reports; text without white space and control characters.</param>
    /// <param name="objectSize">Bytes of an object, 1 to 512 KiB.</param>
    /// <param name="alignment">A power of two up to 64 KiB that objects begin at a multiple of; 0 for 16.</param>
    /// <param name="constructor"> Runs once for each object when its slab is made, with the object's address, on the
    /// thread that needs the slab; null for none. It may allocate from other caches. If it throws, the slab is not made
    /// and the exception comes out of <see cref="Alloc"/>. </param>
    /// <exception cref="ArgumentException">A name that is empty or has white space or control characters, or an
    /// alignment that is no power of two.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The size or the alignment is out of range.</exception>
    /// <exception cref="InvalidOperationException">There are as many caches as there can be.</exception>
    /// <exception cref="OutOfMemoryException">There is no memory to describe another cache.</exception>
    public SlabCache(string name, nuint objectSize, nuint alignment = 0, delegate*<void*, void> constructor = null)
    {
        Startup.Begin();
        ReportName.ThrowIfWrong(name, nameof(name));
        if (objectSize == 0 || objectSize > SizeClasses.LargestBytes)
            throw new ArgumentOutOfRangeException(nameof(objectSize), objectSize,
                $"An object has {objectSize} bytes; it must have 1 to {SizeClasses.LargestBytes}.");
        if (alignment != 0 && !nuint.IsPow2(alignment)) ThrowHelper.ThrowBadAlignment(alignment);
        if (alignment > PageGeometry.PageBytes)
            throw new ArgumentOutOfRangeException(nameof(alignment), alignment,
                $"The alignment is {alignment}; a slab begins at a multiple of {PageGeometry.PageBytes}, and no " +
                "object can do better.");
        nuint step = Math.Max(alignment, SizeClasses.Granule);
        nuint bytes = (objectSize + (step - 1)) & ~(step - 1);
        if (Options.Check) _front = RoomForZones(step, ref bytes);
        _isConstructed = constructor != null;
        Name = name;
        ObjectSize = objectSize;
        _index = CacheChain.Create(name, bytes, constructor, this);
        if (_index == 0) ThrowNotMade(bytes);
        CacheTable.CacheAt(_index)->ConstructorOffset = (uint)_front;
        _pageClass = Math.Min(_index, CacheTable.WideClass);
    }

    /// <summary>What the cache is called in reports.</summary>
    public string Name { get; }

    /// <summary>Bytes of an object, as asked for.</summary>
    public nuint ObjectSize { get; }

    /// <summary>Allocates an object (<c>kmem_cache_alloc</c>).</summary>
    /// <returns>
    /// The object, as the constructor or its last user left it. Without a constructor its contents are undefined.
    /// </returns>
    /// <exception cref="OutOfMemoryException">There is no memory for another slab.</exception>
    /// <exception cref="ObjectDisposedException">The cache is disposed of.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void* Alloc()
    {
        nint* loaded = CurrentThread.t_block;
        if (loaded != null)
        {
            loaded += _pageClass;
            nint top = *loaded, pointer = Magazine.Peek(top);
            if (pointer != 0)
            {
                *loaded = top - sizeof(nint);
                GC.KeepAlive(this); // a dropped cache may be taken down while none of its objects is live
                return (void*)pointer;
            }
        }
        return AllocSlow();
    }

    /// <summary>Frees an object (<c>kmem_cache_free</c>), on any thread.</summary>
    /// <param name="ptr">An object of this cache; null does nothing.</param>
    /// <exception cref="ArgumentException"> The pointer is not an object of this cache, or the last one that the thread
    /// freed, or one that is back in its slab and came by the slow path. Any other double free shows later, and ends
    /// the process with a message that names the pointer.</exception>
    /// <exception cref="ObjectDisposedException">The cache is disposed of.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Free(void* ptr)
    {
        nint* loaded = CurrentThread.t_block;
        nuint page = LinearRegion.PageIndexOf(ptr);
        if (loaded != null && page < LinearRegion.PageCount && LinearRegion.ClassOf(page) == _pageClass
            && ((nuint)ptr & (SizeClasses.Granule - 1)) == 0)
        {
            loaded += _pageClass;
            nint top = *loaded;
            if (!Magazine.MayBeFull(top) && !Magazine.IsOnTop(top, ptr))
            {
                *(void**)top = ptr;
                *loaded = top + sizeof(nint);
                return;
            }
        }
        FreeSlow(ptr);
    }

    /// <summary>
    /// Gives back the slabs of which no object is in use (<c>kmem_cache_shrink</c>). The calling thread's magazines and
    /// those of the depot are drained first.
    /// </summary>
    /// <returns>Pages of 64 KiB that were given back.</returns>
    /// <exception cref="ObjectDisposedException">The cache is disposed of.</exception>
    public int Shrink()
    {
        ThrowIfDisposed();
        if (Options.Check) NativeAllocator.EmptyQuarantine(all: true);
        uint pages = CacheRelease.DrainOwn(ThreadRegistry.OwnBlock(), _index);
        ObjectCache* cache = CacheTable.CacheAt(_index);
        pages += CacheRelease.DrainDepots(cache, null) + CacheRelease.Shrink(cache, null);
        GC.KeepAlive(this); // a dropped cache may be taken down
        DecayThread.Attend();
        return (int)pages;
    }

    /// <summary>
    /// Takes the cache down and gives all of its memory back (<c>kmem_cache_destroy</c>). No other thread may be using
    /// it any more.
    /// </summary>
    /// <exception cref="InvalidOperationException">Objects are still in use, or are being constructed; the message says
    /// how many, and the cache stays as it is.</exception>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        int pageClass = _pageClass;
        Volatile.Write(ref _pageClass, CacheTable.WideClass);
        if (Options.Check) NativeAllocator.EmptyQuarantine(all: true);
        long live = Volatile.Read(ref _constructing);
        if (live == 0) live = CacheChain.Destroy(_index);
        DecayThread.Attend();
        if (live == 0) return;
        Volatile.Write(ref _pageClass, pageClass);
        Volatile.Write(ref _disposed, 0);
        ThrowHelper.ThrowCacheInUse(Name, live);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void* AllocSlow()
    {
        AllocationAttempt attempt = new(ObjectSize);
        void* pointer;
        do
        {
            void* block = NativeAllocator.GetBlock();
            ThrowIfDisposed(); // a shrinker may have disposed of the cache since the last try
            pointer = AllocMiss(block, out attempt.Refusal);
        }
        while (pointer == null && attempt.TryMakeRoom());
        DecayThread.Attend();
        if (pointer == null) NativeAllocator.ThrowNoMemory(ObjectSize, attempt);
        return _front == 0
            ? pointer
            : NativeAllocator.GuardObject(pointer, _front, ObjectSize, _index, _isConstructed);
    }

    private void* AllocMiss(void* block, out Refusal refusal)
    {
        if (!_isConstructed) return MagazineExchange.AllocMiss(block, _index, out refusal);
        Interlocked.Increment(ref _constructing);
        try
        {
            return MagazineExchange.AllocMiss(block, _index, out refusal);
        }
        finally
        {
            Interlocked.Decrement(ref _constructing);
        }
    }

    // Red zones before and behind an object of check mode; none where it would become too large.
    private static nuint RoomForZones(nuint step, ref nuint bytes)
    {
        nuint front = Math.Max(step, RedZones.Bytes),
            all = (front + bytes + RedZones.Bytes + (step - 1)) & ~(step - 1);
        if (all > SizeClasses.LargestBytes) return 0;
        bytes = all;
        return front;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void FreeSlow(void* ptr)
    {
        ThrowIfDisposed();
        if (ptr == null) return;
        if (_front != 0 && NativeAllocator.TryFreeChecked(ptr, BlockFamily.Cache, _index)) return;
        nuint page = LinearRegion.PageIndexOf(ptr);
        ObjectCache* cache = CacheTable.CacheAt(_index);
        if (page >= LinearRegion.OnlinePages || CacheTable.UserCacheOfPage(page) != cache)
            ThrowHelper.ThrowNotOfCache(ptr, Name);
        void* beginning = cache->ObjectAt(ptr);
        if (beginning == null) ThrowHelper.ThrowNotOfCache(ptr, Name);
        if (beginning != ptr) ThrowHelper.ThrowInsideObject(ptr, beginning, cache->ObjectBytes, Name);
        MagazineExchange.FreeMiss(NativeAllocator.GetBlock(), LinearRegion.ClassOf(page), ptr);
        DecayThread.Attend();
    }

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ThrowNotMade(nuint objectBytes)
    {
        if (CacheTable.HasFree) ThrowHelper.ThrowOutOfMemory(objectBytes);
        ThrowHelper.ThrowTooManyCaches(CacheTable.MaxUserCaches);
    }

    private void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
}
