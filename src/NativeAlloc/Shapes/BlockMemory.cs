using System.Buffers;

namespace NativeAlloc;

/// <summary>
/// The elements of a growing block from one of them on, as a <see cref="Memory{T}"/>. It finds the block each time it
/// is asked, so it shows the same elements also when the block has moved.
/// </summary>
/// <param name="block">The block.</param>
/// <param name="first">Number of the first element.</param>
internal sealed unsafe class BlockMemory<T>(GrowingBlock block, nuint first) : MemoryManager<T>
    where T : unmanaged
{
    /// <summary>Bytes of the block up to the last element that any memory of this manager shows.</summary>
    private nuint _shownBytes;

    /// <summary>Whether the block was made smaller than what memory of this manager shows.</summary>
    internal bool IsCut => block.CapacityBytes < _shownBytes;

    /// <summary>As many as there are, as far as one span can hold them.</summary>
    public override Span<T> GetSpan()
    {
        T* address = (T*)block.Address + first;
        nuint count = block.CapacityBytes / (nuint)sizeof(T);
        return new Span<T>(address, (int)Math.Min(count - Math.Min(count, first), int.MaxValue));
    }

    /// <summary>
    /// Pins the block. How long the memory is that is pinned is not known here, so none is while the block ends before
    /// what any of this manager shows.
    /// </summary>
    public override MemoryHandle Pin(int elementIndex = 0)
    {
        _ = block.Address; // of a block that is gone this throws
        if (IsCut)
            throw new ArgumentOutOfRangeException(nameof(elementIndex), elementIndex,
                $"The memory goes beyond the {block.CapacityBytes} bytes that there are by now.");
        return block.Pin((first + (nuint)elementIndex) * (nuint)sizeof(T));
    }

    public override void Unpin() => block.Unpin();

    /// <summary>The block is its shape's.</summary>
    protected override void Dispose(bool disposing)
    {
    }

    /// <summary>A part of the elements; it must lie inside them.</summary>
    internal Memory<T> Slice(int start, int length)
    {
        _shownBytes = Math.Max(_shownBytes, (first + (nuint)start + (nuint)length) * (nuint)sizeof(T));
        return CreateMemory(start, length);
    }
}
