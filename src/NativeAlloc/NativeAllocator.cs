using System.Numerics;
using System.Runtime.CompilerServices;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.Threads;

namespace NativeAlloc;

/// <summary>
/// Unmanaged memory of any size, with the names and contracts of
/// <see cref="System.Runtime.InteropServices.NativeMemory"/> and one <see cref="Free"/> for every pointer, aligned or
/// not.
/// </summary>
/// <remarks>
/// <para>All members may be called from any thread, and a block may be freed on another thread than the one that
/// allocated it. After a thread's first call only <see cref="GetStatistics"/> allocates on the managed heap.</para>
/// <para>Where a request goes depends on its size. Up to 32 KiB it goes to the calling thread's magazine of the size
/// class (a few instructions, no lock), up to 512 KiB to the slabs of its class, up to 1 MiB to the page allocator.
/// What is larger, and what the page allocator has no run for, goes to memory that is contiguous in addresses only
/// (<see cref="Vmalloc"/>).</para>
/// </remarks>
// Alloc ─ the loaded magazine has an object: pop it     (from 1 KiB on in AllocMedium, which is not inlined)
//       └ AllocSlow ─ up to 512 KiB: MagazineExchange.AllocMiss
//                   ├ up to 1 MiB:   LargeBlocks.Alloc
//                   └ beyond:        Areas.Alloc
// Free  ─ the page has a size class and the loaded magazine has room: push
//       └ FreeSlow ─ an object of a slab: MagazineExchange.FreeMiss
//                  ├ else the first that knows the block: LargeBlocks, PageBlocks, Areas .TryFree
//                  └ else an exception that says what is wrong
public static unsafe partial class NativeAllocator
{
    /// <summary>Allocates a block of memory; what it holds is undefined.</summary>
    /// <param name="byteCount">Bytes; 0 gives a unique pointer that can be freed.</param>
    /// <returns>The block, at a multiple of 16.</returns>
    /// <exception cref="OutOfMemoryException">Neither the allocator nor the system has that much.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void* Alloc(nuint byteCount)
    {
        if (byteCount > SizeClasses.TableBytes) return AllocMedium(byteCount);
        nint* loaded = CurrentThread.t_block;
        if (loaded != null)
        {
            nuint sizeClass = SizeClasses.OfSmall(byteCount);
            nint top = loaded[sizeClass], pointer = Magazine.Peek(top);
            if (pointer != 0)
            {
                loaded[sizeClass] = top - sizeof(nint);
                return (void*)pointer;
            }
        }
        return AllocSlow(byteCount);
    }

    /// <summary>Allocates an array of elements; what it holds is undefined.</summary>
    /// <param name="elementCount">Number of elements.</param>
    /// <param name="elementSize">Bytes of an element.</param>
    /// <returns>The block, at a multiple of 16.</returns>
    /// <exception cref="OutOfMemoryException">The product overflows, or there is not that much memory.</exception>
    public static void* Alloc(nuint elementCount, nuint elementSize) => Alloc(Product(elementCount, elementSize));

    /// <summary>Allocates an array of <typeparamref name="T"/>; what it holds is undefined.</summary>
    /// <param name="count">Number of elements.</param>
    /// <returns>The block, at a multiple of 16.</returns>
    /// <exception cref="OutOfMemoryException">The size overflows, or there is not that much memory.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* Alloc<T>(nuint count = 1)
    where T : unmanaged => (T*)Alloc(count == 1 ? (nuint)sizeof(T) : Product(count, (nuint)sizeof(T)));

    /// <summary>Allocates a block of zero bytes.</summary>
    /// <param name="byteCount">Bytes; 0 gives a unique pointer that can be freed.</param>
    /// <returns>The block, at a multiple of 16.</returns>
    /// <exception cref="OutOfMemoryException">Neither the allocator nor the system has that much.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void* AllocZeroed(nuint byteCount)
    {
        if (byteCount > SizeClasses.TableBytes) return AllocZeroedMedium(byteCount);
        void* pointer = Alloc(byteCount);
        ClearGranules(pointer, byteCount);
        return pointer;
    }

    /// <summary>Allocates an array of zero bytes.</summary>
    /// <param name="elementCount">Number of elements.</param>
    /// <param name="elementSize">Bytes of an element.</param>
    /// <returns>The block, at a multiple of 16.</returns>
    /// <exception cref="OutOfMemoryException">The product overflows, or there is not that much memory.</exception>
    public static void* AllocZeroed(nuint elementCount, nuint elementSize) =>
        AllocZeroed(Product(elementCount, elementSize));

    /// <summary>Allocates an array of <typeparamref name="T"/>, all zero bytes.</summary>
    /// <param name="count">Number of elements.</param>
    /// <returns>The block, at a multiple of 16.</returns>
    /// <exception cref="OutOfMemoryException">The size overflows, or there is not that much memory.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* AllocZeroed<T>(nuint count = 1)
    where T : unmanaged => (T*)AllocZeroed(count == 1 ? (nuint)sizeof(T) : Product(count, (nuint)sizeof(T)));

    /// <summary>Allocates a block at a multiple of <paramref name="alignment"/>; what it holds is undefined.</summary>
    /// <param name="byteCount">Bytes; 0 gives a unique pointer that can be freed.</param>
    /// <param name="alignment">Any power of two.</param>
    /// <returns>The block. <see cref="Free"/> takes it like any other.</returns>
    /// <exception cref="ArgumentException">The alignment is no power of two.</exception>
    /// <exception cref="OutOfMemoryException">Neither the allocator nor the system has that much.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void* AlignedAlloc(nuint byteCount, nuint alignment)
    {
        if (!nuint.IsPow2(alignment)) ThrowHelper.ThrowBadAlignment(alignment);
        // The class of a multiple of the alignment is itself one: see SizeClasses.
        nuint rounded = unchecked((byteCount + (alignment - 1)) & ~(alignment - 1));
        return unchecked(rounded - 1) < SizeClasses.MagazineBytes
            ? Alloc(rounded)
            : AlignedAllocSlow(byteCount, alignment);
    }

    /// <summary>
    /// Changes the size of a block, in place where that is possible. Its contents are kept, up to the smaller of the
    /// two sizes.
    /// </summary>
    /// <param name="ptr">The block; null allocates a new one.</param>
    /// <param name="byteCount">Bytes; 0 is treated as 1.</param>
    /// <returns>The block, which may have moved; the old pointer must not be used any more.</returns>
    /// <exception cref="OutOfMemoryException">There is not that much memory; the old block stands as it
    /// was.</exception>
    /// <exception cref="ArgumentException"><paramref name="ptr"/> is not a block of this library, or is the small block
    /// that this thread freed last of its size.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void* Realloc(void* ptr, nuint byteCount)
    {
        Startup.BeginWith(ptr);
        return StaysInPlace(CacheTable.BytesOfObject(ptr), byteCount) ? ptr : ReallocSlow(ptr, byteCount);
    }

    /// <summary>
    /// Changes the size of a block as <see cref="Realloc"/> does. Afterwards the block is at a multiple of
    /// <paramref name="alignment"/>.
    /// </summary>
    /// <param name="ptr">The block; null allocates a new one.</param>
    /// <param name="byteCount">Bytes; 0 is treated as 1.</param>
    /// <param name="alignment">Any power of two.</param>
    /// <returns>The block, which may have moved; the old pointer must not be used any more.</returns>
    /// <exception cref="OutOfMemoryException">There is not that much memory; the old block stands as it
    /// was.</exception>
    /// <exception cref="ArgumentException">The alignment is no power of two, or <paramref name="ptr"/> is not a block
    /// of this library.</exception>
    public static void* AlignedRealloc(void* ptr, nuint byteCount, nuint alignment)
    {
        if (!nuint.IsPow2(alignment)) ThrowHelper.ThrowBadAlignment(alignment);
        return ReallocCore(ptr, Math.Max(byteCount, 1), alignment, canThrow: true);
    }

    /// <summary>
    /// Bytes that can be used at a pointer: the size asked for, rounded up to what the allocator keeps for it.
    /// </summary>
    /// <param name="ptr">A block of this library; null has 0 bytes.</param>
    /// <returns>At least the size asked for; all of it may be used.</returns>
    /// <exception cref="ArgumentException">The pointer is not a block of this library, or is the small block that this
    /// thread freed last of its size.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static nuint UsableSize(void* ptr)
    {
        nuint bytes = Startup.IsDone ? CacheTable.BytesOfObject(ptr) : 0;
        return bytes != 0 ? bytes : UsableSizeSlow(ptr);
    }

    /// <summary>Frees a block, whichever member of this library made it, on any thread.</summary>
    /// <param name="ptr">The block; null does nothing.</param>
    /// <exception cref="ArgumentException"> The pointer was never allocated here, or lies inside a block, or was freed
    /// before, and the call can see it. Of small blocks it sees the last that the thread freed of their size, and now
    /// and then one that is back in its slab; any other double free of one shows later, and ends the process with a
    /// message that names the pointer and its size class. </exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Free(void* ptr)
    {
        nint* loaded = CurrentThread.t_block; // first, so that nothing has to be kept across the lookup
        if (loaded != null)
        {
            // Null and foreign pointers are outside the region. The rotation brings the bits below 16 to the top, so a
            // pointer between two multiples of 16 is outside, too.
            nuint page = BitOperations.RotateRight(unchecked((nuint)ptr - LinearRegion.Base), SizeClasses.GranuleShift)
                >> (PageGeometry.PageShift - SizeClasses.GranuleShift);
            if (page < LinearRegion.PageCount)
            {
                nuint sizeClass = LinearRegion.ClassOf(page);
                nint top = loaded[sizeClass];
                // The magazine of class 0, which is no slab, is always full.
                if (!Magazine.MayBeFull(top) && !Magazine.IsOnTop(top, ptr))
                {
                    *(void**)top = ptr;
                    loaded[sizeClass] = top + sizeof(nint);
                    return;
                }
            }
        }
        FreeSlow(ptr);
    }

    /// <summary>Frees a block: it does what <see cref="Free"/> does.</summary>
    /// <param name="ptr">The block; null does nothing.</param>
    /// <exception cref="ArgumentException">As <see cref="Free"/>.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AlignedFree(void* ptr) => Free(ptr);
}
