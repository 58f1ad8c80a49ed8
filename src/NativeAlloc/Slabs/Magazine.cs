using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace NativeAlloc.Slabs;

/// <summary>
/// A stack of object addresses (Bonwick and Adams' magazine, the kernel's <c>array_cache</c>): 256 slots of 8 bytes, at a multiple of their
/// 2 KiB. It is known by its <b>top</b>, the address of the next slot to fill, and both ends can be told from the top alone:
/// <list type="bullet">
/// <item>full: the top has run into the end of the block, so it is a multiple of 2 KiB;</item>
/// <item>empty: the slot below the top holds 0, the <b>floor</b>. A magazine of a smaller capacity has its floor higher up and uses the
/// last slots only.</item>
/// </list>
/// So the fast paths read one word per class and thread, compare with nothing else in memory, and each capacity costs the same.
/// </summary>
internal static unsafe class Magazine
{
    internal const int Slots = 256;
    internal const nint Bytes = Slots * sizeof(long);

    /// <summary>The floor takes one slot.</summary>
    internal const int LargestCapacity = Slots - 1;

    private const nint Mask = Bytes - 1;

    /// <summary>Sets an unused block up as an empty magazine and returns its top.</summary>
    internal static nint MakeEmpty(nint block, int capacity)
    {
        Debug.Assert((block & Mask) == 0, "a magazine is aligned to its size");
        nint top = EmptyTop(block, capacity);
        ((nint*)top)[-1] = 0;
        return top;
    }

    /// <summary>The top of a magazine that holds nothing: just above its floor.</summary>
    internal static nint EmptyTop(nint block, int capacity) => block + (Slots - capacity) * sizeof(long);

    /// <summary>The top of a magazine that holds all it can.</summary>
    internal static nint FullTop(nint block) => block + Bytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsFull(nint top) => (top & Mask) == 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsEmpty(nint top) => ((nint*)top)[-1] == 0;

    /// <summary>The block that a top points into; one past its end belongs to it as well.</summary>
    internal static nint BlockOf(nint top) => (top - 1) & ~Mask;

    /// <summary>Objects in the magazine.</summary>
    internal static int CountOf(nint top, int capacity) => (int)((top - EmptyTop(BlockOf(top), capacity)) / sizeof(long));

    /// <summary>The first slot of a block links it into a depot's list. With the largest capacity that is the floor: it is 0 again when the magazine comes out.</summary>
    internal static ref nint Link(nint block) => ref *(nint*)block;
}
