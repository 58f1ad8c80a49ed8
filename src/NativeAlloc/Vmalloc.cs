using NativeAlloc.Checking;
using NativeAlloc.Common;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Profiling;
using NativeAlloc.Release;

namespace NativeAlloc;

/// <summary>
/// Large blocks that are contiguous in addresses only (<c>vmalloc</c>): their pages come from anywhere, and growing
/// moves pages, not bytes.
/// </summary>
/// <remarks>
/// <para>All members may be called from any thread, and a block may be freed on another thread than the one that
/// allocated it. Blocks are whole pages of 64 KiB; an access behind the last page is an access violation.
/// <see cref="NativeAllocator.Free"/>, <see cref="NativeAllocator.Realloc"/> and
/// <see cref="NativeAllocator.UsableSize"/> take them too.</para>
/// <para>A freed block stays mapped for a while, ready for the next of a like size; <see cref="NativeAllocator.Trim"/>
/// gives it back at once.</para>
/// </remarks>
public static unsafe partial class Vmalloc
{
    /// <summary>Allocates a block; what it holds is undefined.</summary>
    /// <param name="byteCount">Bytes, rounded up to whole pages of 64 KiB; 0 gives one page.</param>
    /// <returns>The block, at a multiple of 64 KiB; from 2 MiB on at a multiple of 2 MiB.</returns>
    /// <exception cref="OutOfMemoryException">Neither the allocator nor the system has that much.</exception>
    public static void* Alloc(nuint byteCount) => Alloc(byteCount, zeroed: false);

    /// <summary>
    /// Allocates a block of zero bytes (<c>vzalloc</c>). What comes from the system is not cleared again.
    /// </summary>
    /// <param name="byteCount">Bytes, rounded up to whole pages of 64 KiB; 0 gives one page.</param>
    /// <returns>The block, at a multiple of 64 KiB; from 2 MiB on at a multiple of 2 MiB.</returns>
    /// <exception cref="OutOfMemoryException">Neither the allocator nor the system has that much.</exception>
    public static void* AllocZeroed(nuint byteCount) => Alloc(byteCount, zeroed: true);

    /// <summary>
    /// Makes a block larger or smaller by mapping and unmapping, where it stands or by moving its pages to other
    /// addresses. No byte is copied.
    /// </summary>
    /// <param name="ptr">A block of this class; null allocates one.</param>
    /// <param name="byteCount">Bytes, rounded up to whole pages of 64 KiB; 0 leaves one page.</param>
    /// <returns> The block, which may have moved, at a multiple of 64 KiB and from 2 MiB on at a multiple of 2 MiB;
    /// what it held is kept, up to the smaller of the two sizes, and what is new is undefined. </returns>
    /// <exception cref="OutOfMemoryException">There is not that much memory; the block stands as it was.</exception>
    /// <exception cref="ArgumentException"><paramref name="ptr"/> is not such a block, lies inside one, or was freed;
    /// the message says which.</exception>
    public static void* Realloc(void* ptr, nuint byteCount)
    {
        if (ptr == null) return Alloc(byteCount);
        Startup.BeginWith(ptr);
        if (Options.Check && NativeAllocator.TryReallocChecked(ptr, byteCount, 1, canThrow: true, out void* other))
            return other;
        nuint oldBytes = Areas.UsableBytes(ptr);
        if (oldBytes == 0) ThrowNotABlock(ptr);
        void* resized = ResizeOrNull(ptr, byteCount);
        if (resized != null) return resized;
        // The system cannot move these pages, or there is no memory: the latter is told by the exception.
        resized = Alloc(byteCount);
        SampleMove sample = SampleMove.Begin(ptr);
        NativeAllocator.MoveContents(ptr, resized, Math.Min(oldBytes, byteCount));
        sample.End(resized, byteCount);
        return resized;
    }

    // A block of NativeAllocator may be a sample, and stays one, as this class makes none.
    private static void* ResizeOrNull(void* ptr, nuint byteCount)
    {
        AllocationAttempt attempt = new(byteCount);
        HeapMove move = HeapMove.Begin(ptr);
        SampleMove sample = SampleMove.Begin(ptr);
        void* resized = null;
        try
        {
            do resized = Areas.Realloc(ptr, byteCount, out attempt.Refusal);
            while (resized == null && attempt.TryMakeRoomToMove());
        }
        finally
        {
            move.End(ptr, resized, byteCount);
        }
        if (resized == null) sample.Cancel();
        else sample.End(resized, byteCount);
        DecayThread.Attend();
        return resized;
    }

    /// <summary>Frees a block (<c>vfree</c>).</summary>
    /// <param name="ptr">A block of this class; null is fine.</param>
    /// <exception cref="ArgumentException">It is not such a block, lies inside one, or was freed before; the message
    /// says which. Nothing is changed.</exception>
    public static void Free(void* ptr)
    {
        if (ptr == null) return;
        Startup.BeginWith(ptr);
        if (Options.Check && NativeAllocator.TryFreeChecked(ptr, BlockFamily.Area)) return;
        if (Areas.UsableBytes(ptr) == 0) ThrowNotABlock(ptr); // a block of another member stays what it is
        NativeAllocator.Forget(ptr);
        if (!Areas.TryFree(ptr)) ThrowNotABlock(ptr);
        DecayThread.Attend();
    }

    private static void* Alloc(nuint byteCount, bool zeroed)
    {
        Startup.Begin();
        if (Options.Check) return NativeAllocator.AllocCheckedArea(byteCount, zeroed);
        AllocationAttempt attempt = new(byteCount);
        void* pointer;
        do pointer = Areas.Alloc(byteCount, 1, out attempt.Refusal, MemoryChoice.UsedFirst, zeroed);
        while (pointer == null && attempt.TryMakeRoom());
        DecayThread.Attend();
        if (pointer == null) NativeAllocator.ThrowNoMemory(byteCount, attempt);
        return pointer;
    }

    private static void ThrowNotABlock(void* ptr)
    {
        Startup.Begin();
        if (ArenaChunks.TryFind(ptr, out void* chunk, out nuint chunkBytes))
            ThrowHelper.ThrowOfArena(ptr, chunk, chunkBytes);
        if (Areas.TryFind(ptr, out void* block, out nuint bytes) && block != ptr)
            ThrowHelper.ThrowInterior(ptr, block, bytes);
        ThrowHelper.ThrowNotVmalloc(ptr);
    }
}
