using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Release;
using NativeAlloc.Slabs;
using NativeAlloc.Threads;

namespace NativeAlloc;

/// <content> The members that answer false where others throw <see cref="OutOfMemoryException"/>: for callbacks of
/// native code, which no exception may leave, and for servers that refuse a request instead. </content>
public static unsafe partial class NativeAllocator
{
    /// <summary>Allocates a block, or says that it cannot. What the block holds is undefined.</summary>
    /// <param name="byteCount">Bytes; 0 gives a unique pointer that can be freed.</param>
    /// <param name="ptr">The block, at a multiple of 16; null where the answer is false.</param>
    /// <returns>False where there is not that much memory, an option of the allocator is wrong, or it does
    /// not run on this system. Nothing is thrown.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryAlloc(nuint byteCount, out void* ptr)
    {
        if (byteCount <= SizeClasses.TableBytes)
        {
            nint* loaded = CurrentThread.t_block;
            if (loaded != null)
            {
                nuint sizeClass = SizeClasses.OfSmall(byteCount);
                nint top = loaded[sizeClass], pointer = Magazine.Peek(top);
                if (pointer != 0)
                {
                    loaded[sizeClass] = top - sizeof(nint);
                    ptr = (void*)pointer;
                    return true;
                }
            }
        }
        return (ptr = AllocMediumOrNull(byteCount)) != null;
    }

    /// <summary>Allocates a block of zero bytes, or says that it cannot.</summary>
    /// <param name="byteCount">Bytes; 0 gives a unique pointer that can be freed.</param>
    /// <param name="ptr">The block, at a multiple of 16; null where the answer is false.</param>
    /// <returns>False where there is not that much memory, an option of the allocator is wrong, or it does
    /// not run on this system. Nothing is thrown.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryAllocZeroed(nuint byteCount, out void* ptr)
    {
        if (byteCount > SizeClasses.TableBytes) return TryAllocZeroedMedium(byteCount, out ptr);
        if (!TryAlloc(byteCount, out ptr)) return false;
        ClearGranules(ptr, byteCount);
        return true;
    }

    /// <summary>
    /// Allocates a block at a multiple of <paramref name="alignment"/>, or says that it cannot. What the block holds is
    /// undefined.
    /// </summary>
    /// <param name="byteCount">Bytes; 0 gives a unique pointer that can be freed.</param>
    /// <param name="alignment">Any power of two.</param>
    /// <param name="ptr">The block, which <see cref="Free"/> takes like any other; null where the answer is
    /// false.</param>
    /// <returns>False where there is not that much memory, or an option of the allocator is wrong.</returns>
    /// <exception cref="ArgumentException">The alignment is no power of two. Nothing else is thrown.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryAlignedAlloc(nuint byteCount, nuint alignment, out void* ptr)
    {
        if (!nuint.IsPow2(alignment)) ThrowHelper.ThrowBadAlignment(alignment);
        // The class of a multiple of the alignment is itself one: see SizeClasses.
        nuint rounded = unchecked((byteCount + (alignment - 1)) & ~(alignment - 1));
        return unchecked(rounded - 1) < SizeClasses.MagazineBytes
            ? TryAlloc(rounded, out ptr)
            : TryAlignedAllocSlow(byteCount, alignment, out ptr);
    }

    /// <summary>
    /// Changes the size of a block, in place where that is possible, or says that it cannot. What the block held is
    /// kept, up to the smaller of the two sizes.
    /// </summary>
    /// <param name="ptr">The block; null allocates a new one. Where the answer is true, it is the block as it is then,
    /// which may have moved.</param>
    /// <param name="byteCount">Bytes; 0 is treated as 1.</param>
    /// <returns>False where there is not that much memory, or an option of the allocator is wrong; pointer and block
    /// are as they were.</returns>
    /// <exception cref="ArgumentException"><paramref name="ptr"/> is not a block of this library. Nothing else is
    /// thrown.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRealloc(ref void* ptr, nuint byteCount)
    {
        void* block = ptr;
        if (block == null) return TryReallocSlow(ref ptr, byteCount);
        Startup.BeginWith(block);
        return StaysInPlace(CacheTable.BytesOfObject(block), byteCount) || TryReallocSlow(ref ptr, byteCount);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryReallocSlow(ref void* ptr, nuint byteCount)
    {
        void* resized = ReallocCore(ptr, Math.Max(byteCount, 1), SizeClasses.Granule, canThrow: false);
        if (resized != null) ptr = resized;
        return resized != null;
    }

    // As AllocZeroedMedium.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryAllocZeroedMedium(nuint byteCount, out void* ptr)
    {
        if (byteCount > SizeClasses.MagazineBytes)
            return (ptr = AllocOrNull(byteCount, byteCount, SizeClasses.Granule, zeroed: true)) != null;
        if (!TryAlloc(byteCount, out ptr)) return false;
        NativeMemory.Clear(ptr, byteCount);
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryAlignedAllocSlow(nuint byteCount, nuint alignment, out void* ptr) =>
        (ptr = AllocRounded(byteCount, alignment, canThrow: false)) != null;

    // Up to 32 KiB from the loaded magazine, as AllocMedium.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* AllocMediumOrNull(nuint byteCount)
    {
        void* pointer = PopMedium(byteCount);
        if (pointer == null) pointer = PopCounted(byteCount);
        return pointer != null ? pointer : AllocOrNull(byteCount, byteCount, SizeClasses.Granule, zeroed: false);
    }

    private static void* AllocOrNull(nuint askedBytes, nuint byteCount, nuint alignment, bool zeroed)
    {
        try
        {
            Startup.Begin();
        }
        catch (Exception error) when (error is OutOfMemoryException or PlatformNotSupportedException)
        {
            return null; // the managed heap is full, and this is the first use; or there is no system for it
        }
        if (Options.IsWrong) return null;
        if (Options.Check) return AllocChecked(askedBytes, alignment, zeroed, canThrow: false);
        AllocationAttempt attempt = new(byteCount);
        return AllocOrRefuse(ref attempt, alignment, zeroed);
    }
}
