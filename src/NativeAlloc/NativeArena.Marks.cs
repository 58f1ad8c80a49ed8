using NativeAlloc.Common;
using NativeAlloc.Pages;

namespace NativeAlloc;

/// <summary>A place in a <see cref="NativeArena"/>, which it can be rewound to.</summary>
public readonly struct Mark : IEquatable<Mark>
{
    internal Mark(NativeArena arena, int epoch, int chunk, nuint usedBytes)
    {
        Arena = arena;
        Epoch = epoch;
        Chunk = chunk;
        UsedBytes = usedBytes;
    }

    /// <summary>The arena; null for a mark that none has made.</summary>
    internal NativeArena? Arena { get; }

    /// <summary>The arena's resets before it.</summary>
    internal int Epoch { get; }

    /// <summary>The arena's chunk; -1 before the first.</summary>
    internal int Chunk { get; }

    /// <summary>Bytes of that chunk before the mark.</summary>
    internal nuint UsedBytes { get; }

    /// <summary>Whether two marks are the same place of the same arena.</summary>
    public static bool operator ==(Mark left, Mark right) => left.Equals(right);

    /// <summary>Whether two marks are different places.</summary>
    public static bool operator !=(Mark left, Mark right) => !left.Equals(right);

    /// <inheritdoc/>
    public bool Equals(Mark other) => Arena == other.Arena && Epoch == other.Epoch && Chunk == other.Chunk
        && UsedBytes == other.UsedBytes;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Mark other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Arena, Epoch, Chunk, UsedBytes);
}

/// <content>Marks, and arenas that several threads share.</content>
public sealed unsafe partial class NativeArena
{
    /// <summary>Resets so far: a mark from before the last one is void.</summary>
    private int _epoch;

    /// <summary>
    /// Shared arenas: the chunk that is allocated from; null before the first. Written under the lock, read by any
    /// thread.
    /// </summary>
    private nint _sharedChunk;

    /// <summary>Guards the list of chunks of a shared arena.</summary>
    private Os.NativeLock _lock;

    /// <summary>Notes the place that the arena has come to.</summary>
    /// <returns>The mark. It is void after a <see cref="Reset"/>, and after a <see cref="Rewind"/> to a mark before
    /// it.</returns>
    /// <exception cref="ObjectDisposedException">The arena is disposed of.</exception>
    public Mark Mark()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return new Mark(this, _epoch, _current, UsedOfCurrent());
    }

    /// <summary>
    /// Frees all blocks that were allocated after a mark. The pages are kept for what is allocated next.
    /// </summary>
    /// <param name="mark">A mark of this arena.</param>
    /// <exception cref="ArgumentException">The mark is another arena's, or void; the message says which.</exception>
    /// <exception cref="ObjectDisposedException">The arena is disposed of.</exception>
    public void Rewind(Mark mark)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (mark.Arena != this)
            throw new ArgumentException("The mark is of another arena, or of none. Rewind the arena that made it.",
                nameof(mark));
        if (mark.Epoch != _epoch || mark.Chunk > _current
            || mark.Chunk == _current && mark.UsedBytes > UsedOfCurrent())
            throw new ArgumentException(
                "The mark is void: the arena was reset, or rewound to a mark before it, since it was made.",
                nameof(mark));
        if (mark.Chunk < 0)
        {
            _current = -1;
            if (_count != 0) Use(0);
            return;
        }
        if (_shared)
        {
            UseShared(mark.Chunk, (long)mark.UsedBytes);
            return;
        }
        Use(mark.Chunk);
        _next = (byte*)_chunks[mark.Chunk].Address + mark.UsedBytes;
    }

    private nuint UsedOfCurrent()
    {
        if (_current < 0) return 0;
        ArenaChunk* chunk = (ArenaChunk*)_chunks[_current].Address;
        return _shared
            ? Math.Min((nuint)Volatile.Read(ref chunk->UsedBytes), chunk->Bytes)
            : (nuint)_next - (nuint)chunk;
    }

    private void UseShared(int chunk, long usedBytes)
    {
        ArenaChunk* address = (ArenaChunk*)_chunks[chunk].Address;
        Volatile.Write(ref address->UsedBytes, usedBytes);
        _current = chunk;
        Volatile.Write(ref _sharedChunk, (nint)address);
    }

    // Adds to what is used of the chunk. Where that is more than there is, another chunk takes its place.
    private void* AllocShared(nuint byteCount, nuint alignment)
    {
        // Blocks begin at multiples of 16, so a larger alignment may need so much more.
        nuint slack = alignment > ArenaGranule ? alignment - ArenaGranule : 0;
        nuint wanted = unchecked(((byteCount + (ArenaGranule - 1)) & ~(ArenaGranule - 1)) + slack);
        if (wanted < byteCount || wanted > long.MaxValue / 2) ThrowHelper.ThrowOutOfMemory(byteCount);
        while (true)
        {
            ArenaChunk* chunk = (ArenaChunk*)Volatile.Read(ref _sharedChunk);
            if (chunk != null && wanted <= chunk->Bytes
                && (nuint)Volatile.Read(ref chunk->UsedBytes) <= chunk->Bytes - wanted)
            {
                nuint end = (nuint)Interlocked.Add(ref chunk->UsedBytes, (long)wanted);
                if (end <= chunk->Bytes)
                    return (void*)(((nuint)chunk + end - wanted + (alignment - 1)) & ~(alignment - 1));
            }
            ReplaceShared(chunk, wanted + ArenaChunk.HeaderBytes);
        }
    }

    private const nuint ArenaGranule = 16;

    // Nothing is allocated under the lock: an allocation may ask shrinkers, and these may allocate here.
    private void ReplaceShared(ArenaChunk* full, nuint wanted)
    {
        if (TryUseKept(full, wanted)) return;
        ArenaChunk* made = MakeChunk(wanted);
        Chunk[]? longer = null;
        while (true)
        {
            _lock.Acquire();
            bool fits = _count < _chunks.Length || longer != null && longer.Length > _count;
            if (fits)
            {
                if (_count == _chunks.Length)
                {
                    _chunks.CopyTo(longer!, 0);
                    Volatile.Write(ref _chunks, longer!);
                }
                _chunks[_count] = new Chunk((nuint)made, made->Bytes);
                _count++;
                if (_sharedChunk == (nint)full) UseShared(_count - 1, ArenaChunk.HeaderBytes);
            }
            _lock.Release();
            if (fits) return;
            longer = new Chunk[Math.Max(4, Volatile.Read(ref _count) * 2)];
        }
    }

    // Where another thread was faster, or there is a chunk from before a reset, or that another thread has made.
    private bool TryUseKept(ArenaChunk* full, nuint wanted)
    {
        _lock.Acquire();
        bool found = _sharedChunk != (nint)full;
        for (int chunk = _current + 1; chunk < _count && !found; chunk++)
        {
            if (_chunks[chunk].Bytes < wanted) continue;
            UseShared(chunk, ArenaChunk.HeaderBytes);
            found = true;
        }
        _lock.Release();
        return found;
    }
}
