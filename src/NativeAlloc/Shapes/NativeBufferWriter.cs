using System.Buffers;
using System.Runtime.CompilerServices;
using NativeAlloc.Common;

namespace NativeAlloc;

/// <summary>
/// An <see cref="ArrayBufferWriter{T}"/> whose elements are in native memory: it grows by moving pages instead of
/// copying where it is large, may hold more than an array can, and is freed by <see cref="Dispose"/>.
/// </summary>
/// <typeparam name="T">The type of the elements.</typeparam>
/// <remarks>
/// <para>One thread at a time; a pin may end on any thread. A span is valid until the writer grows, which
/// <see cref="GetSpan"/> and <see cref="GetMemory"/> may do, or is disposed of: so <see cref="WrittenSpan"/> cannot be
/// written to the writer itself. A <see cref="Memory{T}"/> goes on to
/// show the elements in the same places, also when they have moved. Elements that are pinned stay where they are until
/// the pin ends, and the writer goes on with a copy of them.</para>
/// <para>A writer that grows may ask shrinkers for memory. A shrinker can dispose of that writer; all else that it does
/// with it is refused.</para>
/// <para>A writer that is dropped without <see cref="Dispose"/> keeps its memory; see
/// <see cref="AllocatorStatistics.ForgottenBlocks"/>.</para>
/// </remarks>
public sealed unsafe class NativeBufferWriter<T> : IBufferWriter<T>, IDisposable
    where T : unmanaged
{
    private const int FirstCapacity = 256;

    private readonly GrowingBlock _block;
    private readonly BlockSequence<T> _sequence;
    private nuint _written;

    /// <summary>Makes a writer that takes its memory with the first use.</summary>
    public NativeBufferWriter()
        : this(new GrowingBlock(0))
    {
    }

    /// <summary>Makes a writer with room for so many elements.</summary>
    /// <param name="initialCapacity">Number of elements, at least 1.</param>
    /// <exception cref="ArgumentException">The number is not positive.</exception>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public NativeBufferWriter(int initialCapacity)
        : this(new GrowingBlock((nuint)Positive(initialCapacity) * (nuint)sizeof(T)))
    {
    }

    private NativeBufferWriter(GrowingBlock block)
    {
        _block = block;
        _sequence = new BlockSequence<T>(block);
    }

    /// <summary>Number of elements that were written.</summary>
    /// <exception cref="InvalidOperationException">There are more than an <see cref="int"/> can say; ask
    /// <see cref="WrittenLength"/>.</exception>
    public int WrittenCount => OneSpan(_written);

    /// <summary>Number of elements that were written, of any size.</summary>
    public long WrittenLength => (long)_written;

    /// <summary>What was written, in one piece.</summary>
    /// <exception cref="InvalidOperationException">It is more than one span can hold; see
    /// <see cref="WrittenSequence"/>.</exception>
    /// <exception cref="ObjectDisposedException">The writer is disposed of.</exception>
    public ReadOnlySpan<T> WrittenSpan => new(_block.Address, OneSpan(_written));

    /// <summary>What was written, in one piece.</summary>
    /// <exception cref="InvalidOperationException">It is more than one memory can hold; see
    /// <see cref="WrittenSequence"/>.</exception>
    /// <exception cref="ObjectDisposedException">The writer is disposed of.</exception>
    public ReadOnlyMemory<T> WrittenMemory => Live()._sequence.MemoryAt(0, OneSpan(_written));

    /// <summary>What was written, of any size: of one piece up to 2^31 - 1 elements, and of several beyond.</summary>
    /// <exception cref="ObjectDisposedException">The writer is disposed of.</exception>
    public ReadOnlySequence<T> WrittenSequence => Live()._sequence.First(_written);

    /// <summary>Number of elements that there is memory for.</summary>
    /// <exception cref="InvalidOperationException">There are more than an <see cref="int"/> can say.</exception>
    public int Capacity => OneSpan(CapacityElements);

    /// <summary>Number of elements that can be written before the writer grows.</summary>
    /// <exception cref="InvalidOperationException">There are more than an <see cref="int"/> can say.</exception>
    public int FreeCapacity => OneSpan(CapacityElements - _written);

    private nuint CapacityElements => _block.CapacityBytes / (nuint)sizeof(T);

    /// <summary>Sets what was written to zero and begins again, with the same memory.</summary>
    /// <exception cref="ObjectDisposedException">The writer is disposed of.</exception>
    public void Clear()
    {
        NativeAllocator.Clear(_block.Address, _written * (nuint)sizeof(T));
        _written = 0;
    }

    /// <summary>Begins again, with the same memory; what was written stays until it is overwritten.</summary>
    /// <exception cref="ObjectDisposedException">The writer is disposed of.</exception>
    public void ResetWrittenCount() => Live()._written = 0;

    /// <summary>Says how many elements were written to the span or memory that was taken last.</summary>
    /// <param name="count">Number of elements.</param>
    /// <exception cref="ArgumentException">The number is negative.</exception>
    /// <exception cref="InvalidOperationException">The writer has less room.</exception>
    /// <exception cref="ObjectDisposedException">The writer is disposed of.</exception>
    public void Advance(int count)
    {
        _ = _block.Address;
        if (count < 0) throw new ArgumentException($"The count is {count}; it must be 0 or more.", nameof(count));
        if ((nuint)count > CapacityElements - _written)
            ThrowHelper.ThrowAdvancedTooFar(count, CapacityElements - _written);
        _written += (nuint)count;
    }

    /// <summary>Room to write to; it grows the writer where there is less.</summary>
    /// <param name="sizeHint">The fewest elements wanted; 0 for any number, at least one.</param>
    /// <returns>The room, all that there is.</returns>
    /// <exception cref="ArgumentException">The number is negative.</exception>
    /// <exception cref="OutOfMemoryException">There is not that much memory; the writer is as before.</exception>
    /// <exception cref="ObjectDisposedException">The writer is disposed of.</exception>
    public Memory<T> GetMemory(int sizeHint = 0)
    {
        int room = MakeRoom(sizeHint);
        // One that the kept managers can show.
        return _sequence.MemoryAt(_written, Math.Min(room, Math.Max(sizeHint, 1 << 30)));
    }

    /// <inheritdoc cref="GetMemory"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<T> GetSpan(int sizeHint = 0)
    {
        int room = MakeRoom(sizeHint);
        return new Span<T>((T*)_block.Address + _written, room);
    }

    /// <summary>Frees the memory. Every later use throws; a second call does nothing.</summary>
    public void Dispose()
    {
        _block.Dispose();
        _written = 0;
    }

    private int MakeRoom(int sizeHint)
    {
        _ = _block.Address;
        if (sizeHint < 0)
            throw new ArgumentException($"The size hint is {sizeHint}; it must be 0 or more.", nameof(sizeHint));
        nuint wanted = (nuint)Math.Max(sizeHint, 1);
        if (CapacityElements - _written < wanted)
        {
            nuint elements = _block.CapacityBytes == 0 ? Math.Max(wanted, FirstCapacity) : _written + wanted;
            if (elements > nuint.MaxValue / (nuint)sizeof(T))
                ThrowHelper.ThrowSizeOverflow(elements, (nuint)sizeof(T));
            _block.GrowTo(elements * (nuint)sizeof(T));
        }
        return (int)Math.Min(CapacityElements - _written, int.MaxValue);
    }

    private NativeBufferWriter<T> Live()
    {
        _ = _block.Address;
        return this;
    }

    private static int OneSpan(nuint elements)
    {
        if (elements > int.MaxValue) ThrowHelper.ThrowTooLongForOneSpan(elements);
        return (int)elements;
    }

    private static int Positive(int initialCapacity) => initialCapacity > 0
        ? initialCapacity
        : throw new ArgumentException($"The capacity is {initialCapacity}; it must be 1 or more.",
            nameof(initialCapacity));
}
