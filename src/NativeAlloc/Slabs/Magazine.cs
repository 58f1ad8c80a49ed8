using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace NativeAlloc.Slabs;

/// <summary>
/// A stack of object addresses (Bonwick and Adams' magazine, the kernel's <c>array_cache</c>) in a block of 512, 1024
/// or 2048 bytes, at a multiple of that. It is known by its <b>top</b>, the address of the next slot to fill, and both
/// ends can be told from the top alone:
/// <list type="bullet">
/// <item>full: the top has run into the end of the block, so it is a multiple of the block's size. The fast path does
/// not know that size; it takes every multiple of 512 for full and lets the slow path find out, once in 64
/// times;</item>
/// <item>empty: the slot below the top holds 0, the <b>floor</b>. A magazine of a capacity that does not fill its block
/// has its floor higher up.</item>
/// </list>
/// So the fast paths read one word per class and thread and compare with nothing else in memory.
/// </summary>
/// <param name="Capacity">Objects that it holds, where the cache's magazines are all alike.</param>
/// <param name="LargestCapacity">Objects that it may hold where threads contend; then a magazine's floor says how many
/// it does.</param>
/// <param name="BlockBytes">Bytes of the block, a power of two that holds the capacities and the floor.</param>
internal readonly unsafe record struct Magazine(int Capacity, int LargestCapacity, int BlockBytes)
{
    internal const int SmallestBlockBytes = 512, LargestBlockBytes = 2048;

    /// <summary>The floor takes one slot.</summary>
    internal const int MostObjects = LargestBlockBytes / sizeof(long) - 1;

    /// <summary>The magazine of a capacity, and of a larger one as far as the same block holds it.</summary>
    internal static Magazine Of(int capacity, int largestCapacity = 0)
    {
        Debug.Assert(capacity is > 0 and <= MostObjects, "the largest block holds the capacity");
        int blockBytes =
            (int)Math.Max(SmallestBlockBytes, BitOperations.RoundUpToPowerOf2((uint)(capacity + 1) * sizeof(long)));
        return new Magazine(capacity, Math.Clamp(largestCapacity, capacity, blockBytes / sizeof(long) - 1), blockBytes);
    }

    /// <summary>All magazines of the cache hold the same.</summary>
    internal bool IsFixed => LargestCapacity == Capacity;

    /// <summary>Sets an unused block up as an empty magazine and returns its top.</summary>
    internal nint MakeEmpty(nint block) => MakeEmpty(block, Capacity);

    /// <summary>Sets an unused block up as an empty magazine of a capacity that its block has room for.</summary>
    internal nint MakeEmpty(nint block, int capacity)
    {
        Debug.Assert(block % BlockBytes == 0, "a magazine is aligned to its size");
        Debug.Assert(capacity >= Capacity && capacity <= LargestCapacity, "the block holds the capacity");
        nint top = block + BlockBytes - capacity * sizeof(long);
        ((nint*)top)[-1] = 0;
        return top;
    }

    /// <summary>The top of a magazine of the smaller capacity that holds nothing: just above its floor.</summary>
    internal nint EmptyTop(nint block) => block + BlockBytes - Capacity * sizeof(long);

    /// <summary>The top of a magazine that holds all it can.</summary>
    internal nint FullTop(nint block) => block + BlockBytes;

    /// <summary>
    /// The slot just above a magazine's floor. Where capacities differ it is looked for, down from the top; magazines
    /// of large objects, which these are, have few slots.
    /// </summary>
    internal nint BottomOf(nint top) => IsFixed ? EmptyTop(BlockOf(top)) : LowestOf(top);

    /// <summary>
    /// The slot just above the first 0 below a top: also in a magazine whose floor was raised (see <see
    /// cref="RaisedFloors"/>).
    /// </summary>
    internal nint LowestOf(nint top)
    {
        nint block = BlockOf(top), lowest = top;
        while (lowest > block + sizeof(long) && ((nint*)lowest)[-1] != 0) lowest -= sizeof(long);
        return lowest;
    }

    /// <summary>
    /// The object on top, or 0 in an empty magazine. Always read from memory: see <see cref="Recall"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static nint Peek(nint top) => Volatile.Read(ref ((nint*)top)[-1]);

    /// <summary>Objects that can still be pushed.</summary>
    internal int RoomOf(nint top) => (int)((FullTop(BlockOf(top)) - top) / sizeof(long));

    /// <summary>True in a full magazine, and in others where the top is at a multiple of 512.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool MayBeFull(nint top) => (top & (SmallestBlockBytes - 1)) == 0;

    /// <summary>
    /// Whether an object that is to be pushed lies on top already, so that it was freed before. A plain read does:
    /// another thread can at most put 0 into that slot for a while (see <see cref="Recall"/>), and then the second free
    /// is noticed later.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsOnTop(nint top, void* pointer) => ((nint*)top)[-1] == (nint)pointer;

    internal bool IsFull(nint top) => (top & (BlockBytes - 1)) == 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsEmpty(nint top) => ((nint*)top)[-1] == 0;

    /// <summary>The block that a top points into; one past its end belongs to it as well.</summary>
    internal nint BlockOf(nint top) => (top - 1) & ~(nint)(BlockBytes - 1);

    /// <summary>Objects in the magazine.</summary>
    internal int CountOf(nint top) => (int)((top - BottomOf(top)) / sizeof(long));

    /// <summary>
    /// The first slot of a block links it into a depot's list. It may be the floor; when the magazine comes out, it is
    /// 0 again.
    /// </summary>
    internal static ref nint Link(nint block) => ref *(nint*)block;
}
