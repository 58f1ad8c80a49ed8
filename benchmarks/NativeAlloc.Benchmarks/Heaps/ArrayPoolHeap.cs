using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>
/// <see cref="ArrayPool{T}.Shared"/>, used as its users do: a block is an array, kept by a reference in the workload's
/// own slots.
/// <para>
/// Why it is not an allocator of pointers as the others are: its arrays are not pinned. An address would be valid only
/// while a handle pins the array, which costs more than the pool itself, and pinned arrays of one's own making are not
/// what the pool hands out. So both sides do without addresses; what a reference costs over an address (the write
/// barrier when it is stored) is part of the figures, and so are the collections that the pool causes when it has to
/// make arrays. Sizes round up to a power of two, from 16. It can neither align a block nor zero it: zeroed blocks are
/// cleared here, as its users have to; where a workload needs alignment, the pool is unsupported.
/// </para>
/// </summary>
internal readonly struct ArrayPoolHeap : IHeap<PooledArray>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PooledArray Alloc(uint bytes) => new() { Array = ArrayPool<byte>.Shared.Rent((int)bytes) };

    public static PooledArray AllocZeroed(uint bytes)
    {
        byte[] array = ArrayPool<byte>.Shared.Rent((int)bytes);
        array.AsSpan(0, (int)bytes).Clear();
        return new PooledArray { Array = array };
    }

    public static PooledArray AlignedAlloc(uint bytes, uint alignment) => throw NoAlignment();

    /// <summary>The pool has no such thing: its users rent a larger array, copy, and return the old one.</summary>
    public static PooledArray Realloc(PooledArray block, uint bytes)
    {
        byte[] old = block.Array!;
        if (old.Length >= bytes)
            return block;
        byte[] array = ArrayPool<byte>.Shared.Rent((int)bytes);
        old.CopyTo(array, 0);
        ArrayPool<byte>.Shared.Return(old);
        return new PooledArray { Array = array };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Free(PooledArray block) => ArrayPool<byte>.Shared.Return(block.Array!);

    public static void AlignedFree(PooledArray block) => throw NoAlignment();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ref byte At(PooledArray block) => ref MemoryMarshal.GetArrayDataReference(block.Array!);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsNone(PooledArray block) => block.Array is null;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PooledArray Exchange(ref PooledArray slot, PooledArray block) =>
        new() { Array = Interlocked.Exchange(ref slot.Array, block.Array) };

    private static NotSupportedException NoAlignment() => new("an array pool cannot align its arrays");
}
