using System.Buffers;
using NativeAlloc.Common;

namespace NativeAlloc;

/// <summary>
/// The pins of one block, and its last owner: the block is freed when it was closed and the last pin is gone, in either
/// order and on any thread.
/// </summary>
/// <remarks>
/// A <see cref="MemoryHandle"/> holds these pins and not the shape that it was made of. So the shape may be disposed
/// of, or move to another block, while a call of the system still writes to this one.
/// </remarks>
internal sealed unsafe class BlockPins(nint address) : IPinnable
{
    /// <summary>Stands for the pins of a block that was freed without ever being pinned.</summary>
    internal static readonly BlockPins Closed = new(0) { _state = ClosedBit };

    private const int ClosedBit = int.MinValue;

    /// <summary>The number of pins, with the topmost bit set when no more may come. Any thread, by
    /// Interlocked.</summary>
    private int _state;

    /// <summary>Whether there is a pin now.</summary>
    internal bool Any => (Volatile.Read(ref _state) & ~ClosedBit) != 0;

    /// <summary>Counts a pin; false where the block is closed.</summary>
    internal bool TryAdd()
    {
        while (true)
        {
            int state = Volatile.Read(ref _state);
            if (state < 0) return false;
            if (Interlocked.CompareExchange(ref _state, state + 1, state) == state) return true;
        }
    }

    /// <summary>Gives the block up: it is freed now, or with its last pin.</summary>
    internal void Close()
    {
        if (Interlocked.Or(ref _state, ClosedBit) == 0) NativeAllocator.Free((void*)address);
    }

    /// <summary>Pins are counted by the shape, which knows what lies where.</summary>
    MemoryHandle IPinnable.Pin(int elementIndex) => new((byte*)address + elementIndex, default, TryAdd() ? this : null);

    /// <summary>Ends a pin.</summary>
    public void Unpin()
    {
        while (true)
        {
            int state = Volatile.Read(ref _state);
            if ((state & ~ClosedBit) == 0) ThrowHelper.ThrowNotPinned();
            if (Interlocked.CompareExchange(ref _state, state - 1, state) != state) continue;
            if (state - 1 == ClosedBit) NativeAllocator.Free((void*)address);
            return;
        }
    }
}
