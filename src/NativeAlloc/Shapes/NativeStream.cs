using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Common;

namespace NativeAlloc;

/// <summary>
/// A <see cref="MemoryStream"/> whose bytes are in native memory: seekable, of any length, and growing by moving pages
/// instead of copying where it is large. It is an <see cref="IBufferWriter{T}"/>, too, so it has to be cast to
/// <see cref="Stream"/> for a call that takes either, as <c>new Utf8JsonWriter((Stream)stream)</c>.
/// </summary>
/// <remarks>
/// One thread at a time, as any stream. Spans and memory of the stream follow the rules of
/// <see cref="NativeBufferWriter{T}"/>. A stream that is dropped without being disposed of keeps its memory; see
/// <see cref="AllocatorStatistics.ForgottenBlocks"/>.
/// </remarks>
public sealed unsafe partial class NativeStream : Stream, IBufferWriter<byte>
{
    private const nuint FirstCapacityBytes = 256;

    private readonly GrowingBlock _block;
    private readonly BlockSequence<byte> _sequence;
    private nuint _length, _position;

    /// <summary>Makes an empty stream.</summary>
    /// <param name="capacity">Bytes to have room for at once.</param>
    /// <exception cref="ArgumentOutOfRangeException">The capacity is negative.</exception>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public NativeStream(long capacity = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(capacity);
        _block = new GrowingBlock((nuint)capacity);
        _sequence = new BlockSequence<byte>(_block);
    }

    /// <summary>Whether the stream is not disposed of.</summary>
    public override bool CanRead => !_block.IsDisposed;

    /// <inheritdoc cref="CanRead"/>
    public override bool CanSeek => !_block.IsDisposed;

    /// <inheritdoc cref="CanRead"/>
    public override bool CanWrite => !_block.IsDisposed;

    /// <summary>Bytes of the stream.</summary>
    /// <exception cref="ObjectDisposedException">The stream is disposed of.</exception>
    public override long Length => (long)Live()._length;

    /// <summary>Where the next byte is read or written; it may lie behind the end.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is set to less than 0.</exception>
    /// <exception cref="ObjectDisposedException">The stream is disposed of.</exception>
    public override long Position
    {
        get => (long)Live()._position;
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            Live()._position = (nuint)value;
        }
    }

    /// <summary>
    /// Bytes that there is memory for. Memory that was taken before and goes beyond them cannot be used; it cannot be
    /// pinned, nor can a part of it.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">It is set to less than the length.</exception>
    /// <exception cref="OutOfMemoryException">There is not that much memory; the stream is as before.</exception>
    /// <exception cref="ObjectDisposedException">The stream is disposed of.</exception>
    public long Capacity
    {
        get => (long)Live()._block.CapacityBytes;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, Length);
            if ((nuint)value != _block.CapacityBytes) _block.SetCapacity((nuint)value);
        }
    }

    /// <summary>Does nothing: there is nothing to flush to.</summary>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        return Read(buffer.AsSpan(offset, count));
    }

    /// <inheritdoc/>
    public override int Read(Span<byte> buffer)
    {
        ReadOnlySpan<byte> rest = Rest(buffer.Length);
        rest.CopyTo(buffer);
        _position += (nuint)rest.Length;
        return rest.Length;
    }

    /// <inheritdoc/>
    public override int ReadByte()
    {
        byte* address = _block.Address;
        return _position < _length ? address[_position++] : -1;
    }

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        Write(buffer.AsSpan(offset, count));
    }

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        // Bytes of this very stream move with it.
        nuint address = (nuint)Unsafe.AsPointer(in MemoryMarshal.GetReference(buffer));
        nuint offset = unchecked(address - (nuint)_block.Address);
        bool isOwn = offset < _block.CapacityBytes;
        MakeRoom((nuint)buffer.Length);
        if (isOwn) buffer = new ReadOnlySpan<byte>(_block.Address + offset, buffer.Length);
        buffer.CopyTo(new Span<byte>(_block.Address + _position, buffer.Length));
        MoveOn((nuint)buffer.Length);
    }

    /// <inheritdoc/>
    public override void WriteByte(byte value)
    {
        MakeRoom(1);
        _block.Address[_position] = value;
        MoveOn(1);
    }

    /// <summary>Writes what is between the position and the end to another stream, without a buffer between.</summary>
    /// <inheritdoc/>
    public override void CopyTo(Stream destination, int bufferSize)
    {
        ValidateCopyToArguments(destination, bufferSize);
        nuint from = Math.Min(Live()._position, _length);
        _position = Math.Max(_position, _length);
        WriteTo(destination, from);
    }

    /// <summary>Moves the position.</summary>
    /// <param name="offset">Bytes, from where the origin says.</param>
    /// <param name="origin">From where.</param>
    /// <returns>The new position.</returns>
    /// <exception cref="IOException">It would lie before the beginning.</exception>
    /// <exception cref="ArgumentException">The origin is none of the three.</exception>
    /// <exception cref="ObjectDisposedException">The stream is disposed of.</exception>
    public override long Seek(long offset, SeekOrigin origin)
    {
        nuint from = origin switch
        {
            SeekOrigin.Begin => 0,
            SeekOrigin.Current => Live()._position,
            SeekOrigin.End => Live()._length,
            _ => throw new ArgumentException($"The origin is {origin}; it must be one of three.", nameof(origin)),
        };
        long to = unchecked((long)from + offset);
        if (to < 0 && offset < 0) ThrowHelper.ThrowSeekBeforeBeginning(offset);
        Position = to;
        return to;
    }

    /// <summary>Makes the stream longer, by zero bytes, or shorter.</summary>
    /// <param name="value">Bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is negative.</exception>
    /// <exception cref="OutOfMemoryException">There is not that much memory; the stream is as before.</exception>
    /// <exception cref="ObjectDisposedException">The stream is disposed of.</exception>
    public override void SetLength(long value)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(value);
        nuint length = (nuint)value;
        if (length > Live()._length)
        {
            EnsureCapacity(length);
            NativeAllocator.Clear(_block.Address + _length, length - _length);
        }
        _length = length;
        _position = Math.Min(_position, length);
    }

    /// <summary>All bytes of the stream, from its beginning to its end, without a copy.</summary>
    /// <returns>The bytes, until the stream is disposed of.</returns>
    /// <exception cref="ObjectDisposedException">The stream is disposed of.</exception>
    public ReadOnlySequence<byte> GetReadOnlySequence() => Live()._sequence.First(_length);

    /// <summary>A copy of all bytes of the stream.</summary>
    /// <returns>The copy.</returns>
    /// <exception cref="InvalidOperationException">The stream is longer than an array can be.</exception>
    /// <exception cref="ObjectDisposedException">The stream is disposed of.</exception>
    public byte[] ToArray()
    {
        if (Live()._length > (nuint)Array.MaxLength) ThrowHelper.ThrowTooLongForOneSpan(_length);
        return new ReadOnlySpan<byte>(_block.Address, (int)_length).ToArray();
    }

    /// <summary>Writes all bytes of the stream to another one, wherever the position is.</summary>
    /// <param name="stream">The other stream.</param>
    /// <exception cref="ObjectDisposedException">The stream is disposed of.</exception>
    public void WriteTo(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        WriteTo(stream, 0);
    }

    // The pin keeps what is written: the other stream may make this one grow, which it may be itself, or dispose of it.
    private void WriteTo(Stream stream, nuint from)
    {
        using MemoryHandle pin = _block.Pin(0);
        for (nuint end = _length; from < end;)
        {
            int count = (int)Math.Min(end - from, int.MaxValue);
            stream.Write(new ReadOnlySpan<byte>((byte*)pin.Pointer + from, count));
            from += (nuint)count;
        }
    }

    /// <summary>Says how many bytes were written to the span or memory that was taken last, at the position.</summary>
    /// <param name="count">Bytes.</param>
    /// <exception cref="ArgumentException">The number is negative.</exception>
    /// <exception cref="InvalidOperationException">The stream has less room.</exception>
    public void Advance(int count)
    {
        nuint room = Live()._block.CapacityBytes - Math.Min(_block.CapacityBytes, _position);
        if (count < 0) throw new ArgumentException($"The count is {count}; it must be 0 or more.", nameof(count));
        if ((nuint)count > room) ThrowHelper.ThrowAdvancedTooFar(count, room);
        if (count == 0) return; // what lies between the end and the position stays outside the stream
        ClearGap();
        MoveOn((nuint)count);
    }

    /// <summary>Room to write to at the position, which <see cref="Advance"/> then moves.</summary>
    /// <param name="sizeHint">The fewest bytes wanted; 0 for any number, at least one.</param>
    /// <returns>The room.</returns>
    /// <exception cref="ArgumentException">The number is negative.</exception>
    /// <exception cref="OutOfMemoryException">There is not that much memory; the stream is as before.</exception>
    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        int room = MakeHintedRoom(sizeHint);
        return _sequence.MemoryAt(_position, Math.Min(room, Math.Max(sizeHint, 1 << 30)));
    }

    /// <inheritdoc cref="GetMemory"/>
    public Span<byte> GetSpan(int sizeHint = 0)
    {
        int room = MakeHintedRoom(sizeHint);
        return new Span<byte>(_block.Address + _position, room);
    }

    /// <summary>Frees the memory. Every later use throws.</summary>
    /// <param name="disposing">As ever; a finalizer frees nothing.</param>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _block.Dispose();
        base.Dispose(disposing);
    }

    private int MakeHintedRoom(int sizeHint)
    {
        _ = Live();
        if (sizeHint < 0)
            throw new ArgumentException($"The size hint is {sizeHint}; it must be 0 or more.", nameof(sizeHint));
        MakeRoom((nuint)Math.Max(sizeHint, 1));
        return (int)Math.Min(_block.CapacityBytes - _position, int.MaxValue);
    }

    // Room at the position; what lies between the end and the position becomes zero.
    private void MakeRoom(nuint bytes)
    {
        nuint end = unchecked(_position + bytes);
        if (end < bytes || end > long.MaxValue) ThrowHelper.ThrowOutOfMemory(bytes);
        EnsureCapacity(end);
        ClearGap();
    }

    private void ClearGap()
    {
        if (_position > _length) NativeAllocator.Clear(_block.Address + _length, _position - _length);
    }

    private void EnsureCapacity(nuint bytes)
    {
        _ = _block.Address;
        if (bytes <= _block.CapacityBytes) return;
        _block.GrowTo(Math.Max(bytes, FirstCapacityBytes));
    }

    private void MoveOn(nuint bytes)
    {
        _position += bytes;
        _length = Math.Max(_length, _position);
    }

    private ReadOnlySpan<byte> Rest(int most) => new(_block.Address + Math.Min(_position, _length), RestLength(most));

    private int RestLength(int most)
    {
        _ = _block.Address;
        return (int)Math.Min(_length - Math.Min(_position, _length), (nuint)most);
    }

    private NativeStream Live()
    {
        _ = _block.Address;
        return this;
    }
}
