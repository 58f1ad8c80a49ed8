using System.Runtime.CompilerServices;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc;

/// <summary>
/// Allocation by moving a pointer through whole pages, for things that are all done with at the same time (a region, or
/// obstack): an allocation is an addition and a comparison, none is freed by itself, and <see cref="Reset"/> frees all
/// of them at once.
/// </summary>
/// <remarks>
/// <para>One thread at a time, unless it was made as a shared arena; then any thread may allocate, and
/// <see cref="Reset"/>, <see cref="Rewind"/> and <see cref="Dispose"/> are for a time when no other uses it. Pages come
/// in chunks, each as large as all before it together, up to 4 MiB, so that few
/// are needed and no more than half of them is ever unused; all of this is given back by <see cref="Dispose"/>.</para>
/// <para>An arena has no finalizer. Pointers to its blocks do not keep it alive, so the collector may find it while
/// they are in use: it would free memory under them. An arena that is not disposed of keeps its memory, which
/// <see cref="AllocatorStatistics.ArenaBytes"/> shows.</para>
/// </remarks>
public sealed unsafe partial class NativeArena : IDisposable
{
    private const nuint SmallestChunkBytes = PageGeometry.PageBytes, LargestChunkBytes = 4 << 20;

    private byte* _next, _end;

    // The chunks in the order in which they are used; those before _current are full, those behind it are kept from
    // before a reset.
    private Chunk[] _chunks = [];
    private int _count, _current = -1;
    private bool _disposed;
    private readonly bool _shared;

    /// <summary>Makes an arena for one thread at a time.</summary>
    /// <param name="initialBytes">Bytes to have at once; with 0 the first pages come with the first allocation.</param>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public NativeArena(nuint initialBytes = 0)
        : this(initialBytes, shared: false)
    {
    }

    /// <summary>Makes an arena.</summary>
    /// <param name="initialBytes">Bytes to have at once; with 0 the first pages come with the first allocation.</param>
    /// <param name="shared">Several threads may allocate at the same time. Each allocation is then a call and an atomic
    /// addition.</param>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public NativeArena(nuint initialBytes, bool shared)
    {
        _shared = shared;
        Startup.Begin();
        if (initialBytes == 0) return;
        if (initialBytes > nuint.MaxValue - ArenaChunk.HeaderBytes) ThrowHelper.ThrowOutOfMemory(initialBytes);
        MoveToChunk(initialBytes + ArenaChunk.HeaderBytes);
    }

    /// <summary>Allocates a block; what it holds is undefined. It lives until the next <see cref="Reset"/>.</summary>
    /// <param name="byteCount">Bytes; 0 gives a pointer that must not be used.</param>
    /// <param name="alignment">A power of two that the block begins at a multiple of.</param>
    /// <returns>The block.</returns>
    /// <exception cref="ArgumentException">The alignment is no power of two.</exception>
    /// <exception cref="OutOfMemoryException">There is not that much memory; the arena is as before.</exception>
    /// <exception cref="ObjectDisposedException">The arena is disposed of.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void* Alloc(nuint byteCount, nuint alignment = 16)
    {
        if (!nuint.IsPow2(alignment)) ThrowHelper.ThrowBadAlignment(alignment);
        nuint at = unchecked(((nuint)_next + (alignment - 1)) & ~(alignment - 1));
        // Compared by what is left, as the sum could overflow; an address of 0 is an arena without a chunk, or one that
        // is disposed of.
        if (unchecked(at - 1) >= (nuint)_end || byteCount > (nuint)_end - at) return AllocSlow(byteCount, alignment);
        _next = (byte*)(at + byteCount);
        return (void*)at;
    }

    /// <summary>Allocates an array of <typeparamref name="T"/>; what it holds is undefined.</summary>
    /// <param name="count">Number of elements.</param>
    /// <returns>The block, at a multiple of 16.</returns>
    /// <exception cref="OutOfMemoryException">The size overflows, or there is not that much memory.</exception>
    /// <exception cref="ObjectDisposedException">The arena is disposed of.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T* Alloc<T>(nuint count = 1)
        where T : unmanaged
    {
        if (count > nuint.MaxValue / (nuint)sizeof(T)) ThrowHelper.ThrowSizeOverflow(count, (nuint)sizeof(T));
        return (T*)Alloc(count * (nuint)sizeof(T));
    }

    /// <summary>
    /// Frees all blocks at once. The pages are kept for what is allocated next; it takes as long as there are chunks of
    /// them.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The arena is disposed of.</exception>
    public void Reset()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _placeCount = 0;
        _current = -1;
        _next = _end = null;
        if (_count != 0) Use(0);
    }

    /// <summary>Gives all pages back; every block of the arena is gone with it.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _next = _end = null;
        for (int i = 0; i < _count; i++) GiveChunk((ArenaChunk*)_chunks[i].Address);
        _count = 0;
    }

    private static void GiveChunk(ArenaChunk* chunk)
    {
        ArenaChunks.Remove(chunk);
        NativeAllocator.Free(chunk);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void* AllocSlow(nuint byteCount, nuint alignment)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_shared) return AllocShared(byteCount, alignment);
        // Room for the header, and for the alignment where the header's end may not have it.
        nuint wanted = unchecked(byteCount + ArenaChunk.HeaderBytes + (alignment > 16 ? alignment : 0));
        if (wanted < byteCount) ThrowHelper.ThrowOutOfMemory(byteCount);
        for (int chunk = _current + 1; chunk < _count; chunk++)
        {
            if (_chunks[chunk].Bytes < wanted) continue;
            Use(chunk); // kept from before a reset
            return Alloc(byteCount, alignment);
        }
        MoveToChunk(wanted);
        return Alloc(byteCount, alignment);
    }

    // Makes a chunk of at least so many bytes, its header included, and goes on with it.
    private void MoveToChunk(nuint byteCount)
    {
        ArenaChunk* chunk = MakeChunk(byteCount); // shrinkers run here, which may use the arena or dispose of it
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_count == _chunks.Length) Array.Resize(ref _chunks, Math.Max(4, _count * 2));
        }
        catch
        {
            GiveChunk(chunk);
            throw;
        }
        _chunks[_count] = new Chunk((nuint)chunk, chunk->Bytes);
        Use(_count++);
    }

    private ArenaChunk* MakeChunk(nuint byteCount)
    {
        nuint all = 0;
        Chunk[] chunks = _chunks;
        for (int i = 0; i < chunks.Length; i++) all += chunks[i].Bytes; // those that there are none of have 0
        nuint bytes = Math.Max(byteCount, Math.Clamp(all, SmallestChunkBytes, LargestChunkBytes));
        if (bytes > nuint.MaxValue - PageGeometry.PageBytes) ThrowHelper.ThrowOutOfMemory(byteCount);
        bytes = (bytes + (PageGeometry.PageBytes - 1)) & ~(PageGeometry.PageBytes - 1);
        ArenaChunk* chunk = (ArenaChunk*)NativeAllocator.AlignedAlloc(bytes, PageGeometry.PageBytes);
        chunk->Bytes = bytes;
        ArenaChunks.Add(chunk);
        return chunk;
    }

    private void Use(int chunk)
    {
        if (_shared)
        {
            UseShared(chunk, ArenaChunk.HeaderBytes);
            return;
        }
        _current = chunk;
        _next = (byte*)_chunks[chunk].Address + ArenaChunk.HeaderBytes;
        _end = (byte*)_chunks[chunk].Address + _chunks[chunk].Bytes;
    }

    private readonly record struct Chunk(nuint Address, nuint Bytes);
}
