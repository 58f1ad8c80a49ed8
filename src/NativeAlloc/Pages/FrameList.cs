using System.Runtime.InteropServices;

namespace NativeAlloc.Pages;

/// <summary>
/// A list of blocks, through the frames of their heads. The lock of the list's owner, a zone or a cache, guards it.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FrameList
{
    /// <summary>Head of the first block, or <see cref="PageFrame.None"/>.</summary>
    public uint First;

    /// <summary>Head of the last block, or <see cref="PageFrame.None"/>.</summary>
    public uint Last;

    /// <summary>Blocks in the list.</summary>
    public uint Count;

    internal static FrameList Empty => new() { First = PageFrame.None, Last = PageFrame.None };

    internal void AddFirst(PageFrame* frames, uint page)
    {
        frames[page].Previous = PageFrame.None;
        frames[page].Next = First;
        if (First == PageFrame.None) Last = page;
        else frames[First].Previous = page;
        First = page;
        Count++;
    }

    internal void AddLast(PageFrame* frames, uint page)
    {
        frames[page].Next = PageFrame.None;
        frames[page].Previous = Last;
        if (Last == PageFrame.None) First = page;
        else frames[Last].Next = page;
        Last = page;
        Count++;
    }

    internal void Remove(PageFrame* frames, uint page)
    {
        uint next = frames[page].Next, previous = frames[page].Previous;
        if (previous == PageFrame.None) First = next;
        else frames[previous].Next = next;
        if (next == PageFrame.None) Last = previous;
        else frames[next].Previous = previous;
        Count--;
    }
}
