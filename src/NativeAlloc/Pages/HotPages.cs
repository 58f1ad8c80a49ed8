using System.Diagnostics;
using System.Runtime.InteropServices;
using NativeAlloc.Threads;

namespace NativeAlloc.Pages;

/// <summary>
/// A thread's own single pages (the kernel's hot and cold list). Pages come and go at the hot end, last in first out, so that a page
/// that is likely in the cache is used again; the zone is asked for a batch when the list is empty and gets a batch of the coldest back when it
/// is full. Owner thread only, or whoever has taken the block of a dead thread.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct HotPages
{
    /// <summary>
    /// Most pages kept. 32 pages are 2 MiB: what a thread can hold back from others, and a walk of random allocs and frees has to
    /// drift by a batch before it takes the zone's lock.
    /// </summary>
    internal const int Capacity = 32;

    /// <summary>Pages moved under one lock. Half the capacity leaves the list half full, equally far from both ends.</summary>
    internal const int Batch = Capacity / 2;

    /// <summary>Pages in the list.</summary>
    private int _count;

    /// <summary>The list, cold end first.</summary>
    private fixed uint _pages[Capacity];

    /// <summary>The list in a thread's block.</summary>
    internal static HotPages* Of(void* block)
    {
        Debug.Assert(sizeof(HotPages) <= ThreadBlock.PagesBytes, "the page layer's part of a thread block is too small");
        return block == null ? null : (HotPages*)((byte*)block + ThreadBlock.PagesOffset);
    }

    internal readonly int Count => Volatile.Read(in _count);

    internal bool TryTake(out uint page)
    {
        page = PageFrame.None;
        if (_count == 0) return false;
        page = _pages[_count - 1];
        Volatile.Write(ref _count, _count - 1);
        return true;
    }

    internal void Add(uint page)
    {
        Debug.Assert(_count < Capacity, "drain first");
        _pages[_count] = page;
        Volatile.Write(ref _count, _count + 1);
    }

    internal readonly bool IsFull => _count == Capacity;

    /// <summary>Takes the coldest pages out.</summary>
    internal int TakeCold(Span<uint> pages)
    {
        int taken = Math.Min(pages.Length, _count);
        fixed (uint* list = _pages)
        {
            new Span<uint>(list, taken).CopyTo(pages);
            new Span<uint>(list + taken, _count - taken).CopyTo(new Span<uint>(list, _count - taken));
        }
        Volatile.Write(ref _count, _count - taken);
        return taken;
    }
}
