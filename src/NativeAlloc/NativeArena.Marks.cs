using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc;

/// <summary>A place in a <see cref="NativeArena"/>, which it can be rewound to.</summary>
public readonly struct Mark : IEquatable<Mark>
{
    internal Mark(NativeArena arena, int number, long stamp)
    {
        Arena = arena;
        Number = number;
        Stamp = stamp;
    }

    /// <summary>The arena; null for a mark that none has made.</summary>
    internal NativeArena? Arena { get; }

    /// <summary>Places of the arena that were marked before it and are not void.</summary>
    internal int Number { get; }

    /// <summary>Tells it apart from other marks of that number.</summary>
    internal long Stamp { get; }

    /// <summary>Whether two marks are the same place of the same arena.</summary>
    public static bool operator ==(Mark left, Mark right) => left.Equals(right);

    /// <summary>Whether two marks are different places.</summary>
    public static bool operator !=(Mark left, Mark right) => !left.Equals(right);

    /// <inheritdoc/>
    public bool Equals(Mark other) => Arena == other.Arena && Stamp == other.Stamp;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Mark other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Arena, Stamp);
}

/// <content>Marks, and arenas that several threads share.</content>
public sealed unsafe partial class NativeArena
{
    /// <summary>
    /// The places that were marked, from the first on; what is behind the count is void. Under the lock where several
    /// threads share the arena.
    /// </summary>
    private MarkedPlace[] _places = [];
    private int _placeCount;
    private long _lastStamp;

    /// <summary>
    /// Shared arenas: the chunk that is allocated from; null before the first. Written under the lock, read by any
    /// thread.
    /// </summary>
    private nint _sharedChunk;

    /// <summary>Guards the list of chunks of a shared arena.</summary>
    private NativeLock _lock;

    /// <summary>Notes the place that the arena has come to, until it is rewound to an earlier one or reset.</summary>
    /// <returns>The mark. It is void after a <see cref="Reset"/>, and after a <see cref="Rewind"/> to a mark before
    /// it. Marks of one place are equal.</returns>
    /// <remarks>Any thread may mark a shared arena while others allocate from it.</remarks>
    /// <exception cref="ObjectDisposedException">The arena is disposed of.</exception>
    public Mark Mark()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        MarkedPlace[]? longer = null;
        Mark mark;
        while (!TryMark(longer, out mark)) longer = new MarkedPlace[Math.Max(8, 2 * Volatile.Read(ref _places).Length)];
        return mark;
    }

    // False where neither the list of places nor the longer one has room for another.
    private bool TryMark(MarkedPlace[]? longer, out Mark mark)
    {
        if (_shared) _lock.Acquire();
        int chunk = _current;
        SchedulePoint.Reach();
        nuint usedBytes = UsedOfCurrent();
        bool isNew = _placeCount == 0 || !_places[_placeCount - 1].IsAt(chunk, usedBytes);
        bool fits = !isNew || _placeCount < _places.Length || longer != null && _placeCount < longer.Length;
        if (fits && isNew)
        {
            if (_placeCount == _places.Length)
            {
                _places.CopyTo(longer!, 0);
                Volatile.Write(ref _places, longer!);
            }
            _places[_placeCount++] = new MarkedPlace(++_lastStamp, chunk, usedBytes);
        }
        mark = fits ? new Mark(this, _placeCount - 1, _places[_placeCount - 1].Stamp) : default;
        if (_shared) _lock.Release();
        return fits;
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
        if (mark.Number >= _placeCount || _places[mark.Number].Stamp != mark.Stamp)
            throw new ArgumentException(
                "The mark is void: the arena was reset, or rewound to a mark before it, since it was made.",
                nameof(mark));
        _placeCount = mark.Number + 1;
        MarkedPlace place = _places[mark.Number];
        if (place.Chunk < 0)
        {
            _current = -1;
            if (_count == 0) return;
            Use(0);
            _places[mark.Number] = place with { Chunk = _current, UsedBytes = UsedOfCurrent() };
            return;
        }
        if (_shared)
        {
            UseShared(place.Chunk, (long)place.UsedBytes);
            return;
        }
        Use(place.Chunk);
        _next = (byte*)_chunks[place.Chunk].Address + place.UsedBytes;
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
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this); // by a shrinker that MakeChunk asked
            while (!TryAddShared(full, made, longer)) longer = new Chunk[Math.Max(4, Volatile.Read(ref _count) * 2)];
        }
        catch
        {
            GiveChunk(made); // or there is no managed memory for the list
            throw;
        }
    }

    // False where neither the list of chunks nor the longer one has room for another.
    private bool TryAddShared(ArenaChunk* full, ArenaChunk* made, Chunk[]? longer)
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
        return fits;
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

    private readonly record struct MarkedPlace(long Stamp, int Chunk, nuint UsedBytes)
    {
        internal bool IsAt(int chunk, nuint usedBytes) => Chunk == chunk && UsedBytes == usedBytes;
    }
}
