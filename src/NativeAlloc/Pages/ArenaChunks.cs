using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>
/// What an arena writes at the beginning of each of its chunks. The arena's first block begins behind it, so no block
/// of an arena has the address of a block of the allocator.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ArenaChunk
{
    /// <summary>Bytes kept for it: a cache line, so that the first block begins at one.</summary>
    internal const int HeaderBytes = 64;

    /// <summary>The chunks before and behind it in <see cref="ArenaChunks"/>. Under that list's lock.</summary>
    public ArenaChunk* Previous, Next;

    /// <summary>Bytes of the chunk, this header included. Written before the chunk is added to the list.</summary>
    public nuint Bytes;

    /// <summary>
    /// Chunks of shared arenas: bytes given out, with this header; more than there are where a thread has asked in
    /// vain. By Interlocked and Volatile.
    /// </summary>
    public long UsedBytes;
}

/// <summary>
/// All chunks of all arenas. An arena has no finalizer, as pointers into it do not keep it alive. What was forgotten
/// stays, and is seen here.
/// </summary>
internal static unsafe class ArenaChunks
{
    private static NativeLock s_lock;

    /// <summary>The chunk added last. Under the lock.</summary>
    private static ArenaChunk* s_first;

    private static long s_bytes, s_count;

    /// <summary>Bytes of all chunks.</summary>
    internal static nuint Bytes => (nuint)Volatile.Read(ref s_bytes);

    /// <summary>Number of all chunks.</summary>
    internal static long Count => Volatile.Read(ref s_count);

    internal static uint LockAcquisitions => s_lock.Acquisitions;

    /// <summary>Adds a chunk whose size is written already.</summary>
    internal static void Add(ArenaChunk* chunk)
    {
        s_lock.Acquire();
        chunk->Previous = null;
        chunk->Next = s_first;
        if (s_first != null) s_first->Previous = chunk;
        s_first = chunk;
        Volatile.Write(ref s_bytes, s_bytes + (long)chunk->Bytes);
        Volatile.Write(ref s_count, s_count + 1);
        s_lock.Release();
    }

    /// <summary>Takes a chunk out, before its memory is freed.</summary>
    internal static void Remove(ArenaChunk* chunk)
    {
        s_lock.Acquire();
        if (chunk->Previous != null) chunk->Previous->Next = chunk->Next;
        else s_first = chunk->Next;
        if (chunk->Next != null) chunk->Next->Previous = chunk->Previous;
        Volatile.Write(ref s_bytes, s_bytes - (long)chunk->Bytes);
        Volatile.Write(ref s_count, s_count - 1);
        s_lock.Release();
    }

    /// <summary>Finds the chunk that an address lies in, by looking at all of them: for messages only.</summary>
    internal static bool TryFind(void* address, out void* chunk, out nuint bytes)
    {
        s_lock.Acquire();
        ArenaChunk* found = s_first;
        while (found != null && unchecked((nuint)address - (nuint)found) >= found->Bytes) found = found->Next;
        chunk = found;
        bytes = found != null ? found->Bytes : 0;
        s_lock.Release();
        return found != null;
    }
}
