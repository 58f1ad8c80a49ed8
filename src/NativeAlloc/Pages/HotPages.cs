using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NativeAlloc.Pages;

/// <summary>
/// Single pages of one migrate type that a thread keeps (the kernel's hot and cold list). Pages come and go at the hot
/// end, last in first out: a page that is likely in the processor's cache is used again. Pages that are known to be out
/// of it come and go at the cold end, and the coldest go back to the zone first. Only the owner uses the list, or a
/// thread that has claimed or adopted the block (see <see cref="ThreadPages"/>).
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct HotPages
{
    /// <summary>
    /// Most pages kept, a power of two as the list is a ring. 64 pages are 4 MiB: the most that a thread can hold back
    /// from others of one type.
    /// </summary>
    internal const int Capacity = 64;

    /// <summary>
    /// Pages moved under one lock. A walk of random allocs and frees that stands a batch away from both ends takes
    /// about Batch² steps to get there, so that 16 mean a lock in some 250 operations; and a refill takes no more than
    /// 1 MiB of used memory away from other threads.
    /// </summary>
    internal const int Batch = 16;

    /// <summary>Where the cold end is in the ring.</summary>
    private int _cold;

    /// <summary>Pages in the list.</summary>
    private int _count;

    private fixed uint _pages[Capacity];

    internal readonly int Count => Volatile.Read(in _count);

    internal readonly bool IsFull => _count == Capacity;

    /// <summary>Takes the hottest page.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryTake(out uint page)
    {
        int count = _count;
        page = _pages[(_cold + count - 1) & (Capacity - 1)];
        if (count == 0) return false;
        Volatile.Write(ref _count, count - 1);
        return true;
    }

    /// <summary>Takes the coldest page.</summary>
    internal bool TryTakeCold(out uint page)
    {
        page = _pages[_cold];
        if (_count == 0) return false;
        _cold = (_cold + 1) & (Capacity - 1);
        Volatile.Write(ref _count, _count - 1);
        return true;
    }

    /// <summary>Adds a page at the hot end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Add(uint page)
    {
        Debug.Assert(_count < Capacity, "drain first");
        int count = _count;
        _pages[(_cold + count) & (Capacity - 1)] = page;
        Volatile.Write(ref _count, count + 1);
    }

    /// <summary>Adds a page at the cold end.</summary>
    internal void AddCold(uint page)
    {
        Debug.Assert(_count < Capacity, "drain first");
        _cold = (_cold - 1) & (Capacity - 1);
        _pages[_cold] = page;
        Volatile.Write(ref _count, _count + 1);
    }
}
