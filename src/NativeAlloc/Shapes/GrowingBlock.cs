using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using NativeAlloc.Common;

namespace NativeAlloc;

/// <summary>
/// A block that grows, for the shapes that are written to: by <see cref="NativeAllocator.Realloc"/>, which moves pages
/// instead of bytes where it is large, and by a copy where it is pinned and has to stay where it is.
/// </summary>
/// <remarks>One thread at a time, but for the end of pins.</remarks>
internal sealed unsafe class GrowingBlock : IDisposable
{
    private enum State : byte
    {
        Usable,

        /// <summary>It is getting another size. Shrinkers may run meanwhile, which are user code.</summary>
        Moving,

        /// <summary>A shrinker disposed of it meanwhile; it is freed when the move ends.</summary>
        MovingToEnd,

        Disposed,
    }

    // Up to here a block doubles. Beyond, growing moves pages and copies nothing, so there is less to be saved by
    // growing far ahead.
    private const nuint LargestDoubled = 1 << 20;

    private byte* _address;
    private BlockPins? _pins;
    private State _state;

    internal GrowingBlock(nuint capacityBytes)
    {
        GC.SuppressFinalize(this); // one that could not be made is not forgotten
        if (capacityBytes != 0) _address = (byte*)NativeAllocator.Alloc(capacityBytes);
        CapacityBytes = capacityBytes;
        GC.ReRegisterForFinalize(this);
    }

    ~GrowingBlock()
    {
        if (_address != null) ForgottenBlocks.Add(CapacityBytes);
    }

    /// <summary>Bytes that can be used.</summary>
    internal nuint CapacityBytes { get; private set; }

    internal bool IsDisposed => _state >= State.MovingToEnd;

    /// <summary>Where the block begins. It moves when the block grows; null where it has no bytes.</summary>
    internal byte* Address
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            if (_state != State.Usable) ThrowNotUsable();
            return _address;
        }
    }

    /// <summary>Makes the block at least so large, and larger if it is to grow in steps.</summary>
    /// <exception cref="OutOfMemoryException">There is not that much memory; the block is as before.</exception>
    internal void GrowTo(nuint bytes)
    {
        nuint step = CapacityBytes <= LargestDoubled ? CapacityBytes : CapacityBytes / 2;
        nuint wanted = unchecked(CapacityBytes + step);
        SetCapacity(wanted < CapacityBytes ? bytes : Math.Max(bytes, wanted));
    }

    /// <summary>Makes the block just so large.</summary>
    /// <exception cref="OutOfMemoryException">There is not that much memory; the block is as before.</exception>
    /// <exception cref="ObjectDisposedException">It is disposed of, or was by a shrinker meanwhile.</exception>
    internal void SetCapacity(nuint bytes)
    {
        if (_state != State.Usable) ThrowNotUsable();
        _state = State.Moving;
        try
        {
            Move(bytes);
        }
        finally
        {
            bool isAtEnd = IsDisposed;
            _state = State.Usable;
            if (isAtEnd) Dispose();
        }
        if (IsDisposed) ThrowNotUsable();
    }

    private void Move(nuint bytes)
    {
        if (bytes == 0)
        {
            Free();
        }
        else if (_pins is { Any: true } pins)
        {
            byte* copy = (byte*)NativeAllocator.Alloc(bytes);
            NativeAllocator.Copy(_address, copy, Math.Min(bytes, CapacityBytes));
            _pins = null;
            _address = copy;
            pins.Close(); // it goes with its last pin
        }
        else
        {
            _pins = null; // that it has is for the old address
            _address = (byte*)NativeAllocator.Realloc(_address, bytes);
        }
        CapacityBytes = bytes;
    }

    /// <summary>Pins the block, with a handle that points to one of its bytes.</summary>
    internal MemoryHandle Pin(nuint offset)
    {
        byte* address = Address;
        _pins ??= new BlockPins((nint)address);
        _pins.TryAdd();
        return new MemoryHandle(address + offset, default, _pins);
    }

    /// <summary>Ends a pin of the block as it is now.</summary>
    internal void Unpin()
    {
        if (_pins is not { } pins) ThrowHelper.ThrowNotPinned();
        else pins.Unpin();
    }

    /// <summary>Frees the block, where it is pinned with its last pin.</summary>
    public void Dispose()
    {
        if (_state == State.Moving) _state = State.MovingToEnd;
        if (_state != State.Usable) return;
        _state = State.Disposed;
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        byte* address = _address;
        BlockPins? pins = _pins;
        _address = null;
        _pins = null;
        CapacityBytes = 0;
        if (pins != null) pins.Close();
        else NativeAllocator.Free(address);
    }

    [DoesNotReturn]
    private void ThrowNotUsable()
    {
        if (_state == State.Moving) ThrowHelper.ThrowIsMoving();
        ThrowHelper.ThrowDisposed("NativeBufferWriter or NativeStream");
    }
}
