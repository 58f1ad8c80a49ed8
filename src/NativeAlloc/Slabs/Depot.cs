using System.Diagnostics;
using System.Runtime.InteropServices;

namespace NativeAlloc.Slabs;

/// <summary>
/// A cache's store of whole magazines (Bonwick and Adams' depot), full ones and empty ones, which threads exchange for their own in a few
/// steps whatever a magazine holds. Under the cache's lock.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Depot
{
    /// <summary>Full magazines, last in first out; 0 when there is none.</summary>
    private nint _full;

    /// <summary>Empty magazines.</summary>
    private nint _empty;

    private int _fullCount;
    private int _emptyCount;

    internal readonly int FullCount => Volatile.Read(in _fullCount);

    internal readonly int EmptyCount => Volatile.Read(in _emptyCount);

    internal void PushFull(nint block) => Push(ref _full, ref _fullCount, block);

    internal void PushEmpty(nint block) => Push(ref _empty, ref _emptyCount, block);

    /// <summary>A full magazine's block, or 0.</summary>
    internal nint PopFull() => Pop(ref _full, ref _fullCount);

    /// <summary>An empty magazine's block, or 0.</summary>
    internal nint PopEmpty() => Pop(ref _empty, ref _emptyCount);

    private static void Push(ref nint list, ref int count, nint block)
    {
        Magazine.Link(block) = list;
        list = block;
        Volatile.Write(ref count, count + 1);
    }

    private static nint Pop(ref nint list, ref int count)
    {
        nint block = list;
        if (block == 0) return 0;
        list = Magazine.Link(block);
        Magazine.Link(block) = 0;
        Volatile.Write(ref count, count - 1);
        Debug.Assert(count >= 0, "the count follows the list");
        return block;
    }
}
