using System.Buffers;

namespace NativeAlloc;

/// <summary>
/// The ways to the elements of a growing block as <see cref="Memory{T}"/> and <see cref="ReadOnlySequence{T}"/>.
/// A manager is made for every 2^30 elements and kept: it covers them and as many behind them as one
/// <see cref="Memory{T}"/> can, so a part that begins in one and ends in the next is one piece, too.
/// </summary>
internal sealed class BlockSequence<T>(GrowingBlock block)
    where T : unmanaged
{
    private const int ElementShift = 30;

    private BlockMemory<T>[] _managers = [];

    /// <summary>Elements side by side as one piece.</summary>
    /// <param name="start">Number of the first; the block has it.</param>
    /// <param name="length">How many; the block has them.</param>
    internal Memory<T> MemoryAt(nuint start, int length)
    {
        int manager = (int)(start >> ElementShift), index = (int)(start & (1u << ElementShift) - 1);
        return length <= int.MaxValue - index
            ? ManagerAt(manager).Slice(index, length)
            : new BlockMemory<T>(block, start).Slice(0, length);
    }

    /// <summary>The first elements as a sequence, of one piece where one can hold them.</summary>
    internal ReadOnlySequence<T> First(nuint count)
    {
        if (count <= int.MaxValue) return new ReadOnlySequence<T>(MemoryAt(0, (int)count));
        Segment first = new(MemoryAt(0, 1 << ElementShift), 0), last = first;
        for (nuint at = 1u << ElementShift; at < count;)
        {
            int length = (int)Math.Min(count - at, 1u << ElementShift);
            last = last.Append(MemoryAt(at, length));
            at += (nuint)length;
        }
        return new ReadOnlySequence<T>(first, 0, last, last.Memory.Length);
    }

    private BlockMemory<T> ManagerAt(int index)
    {
        while (_managers.Length <= index)
            _managers = [.. _managers, ManagerFor(_managers.Length)];
        // Memory of one that is cut cannot be pinned, and what is asked for now has to be.
        if (_managers[index].IsCut) _managers[index] = ManagerFor(index);
        return _managers[index];
    }

    private BlockMemory<T> ManagerFor(int index) => new(block, (nuint)index << ElementShift);

    private sealed class Segment : ReadOnlySequenceSegment<T>
    {
        internal Segment(ReadOnlyMemory<T> memory, long index)
        {
            Memory = memory;
            RunningIndex = index;
        }

        internal Segment Append(ReadOnlyMemory<T> memory)
        {
            Segment next = new(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}
