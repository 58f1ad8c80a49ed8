using System.Diagnostics;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>
/// Blocks of whole pages, any number up to a section, that users get directly: beyond the largest size class, up to
/// what the page layer has in one piece. The head's frame says how many pages there are; that it says
/// <see cref="PageState.Large"/> is what makes a pointer freeable.
/// </summary>
internal static unsafe class LargeBlocks
{
    /// <summary>The largest of these blocks: beyond, the system is asked.</summary>
    internal const nuint LargestBytes = PageGeometry.SectionBytes;

    private static long s_pages, s_count;

    /// <summary>Bytes in large blocks.</summary>
    internal static nuint Bytes => (nuint)Volatile.Read(ref s_pages) << PageGeometry.PageShift;

    /// <summary>Large blocks.</summary>
    internal static long Count => Volatile.Read(ref s_count);

    /// <summary>Takes a block; null when there is none.</summary>
    /// <param name="alignment">A power of two up to a section.</param>
    /// <param name="zeroed">The block is to read as zero.</param>
    /// <param name="refusal">Why not, where the answer is null.</param>
    internal static void* Alloc(nuint byteCount, nuint alignment, bool zeroed, out Refusal refusal)
    {
        uint count = PagesOf(byteCount);
        PageRequest request = new(Math.Max(PageGeometry.OrderOf(count), PageGeometry.OrderOf(PagesOf(alignment))),
            count)
        { State = PageState.Large, Zeroed = zeroed, Type = MigrateType.Run };
        return TryTake(null, request, out uint page, out refusal) ? (void*)LinearRegion.AddressOf(page) : null;
    }

    /// <summary>Takes a block as it is asked for; not from high pages.</summary>
    internal static bool TryTake(ThreadPages* own, in PageRequest request, out uint page, out Refusal refusal)
    {
        Debug.Assert(request.State == PageState.Large, "users get blocks");
        if (!PageLayer.TryTake(own, request, out page, out refusal)) return false;
        LinearRegion.Frames[page].PageCount = request.Count; // a page from the hot list says something older
        Interlocked.Add(ref s_pages, request.Count);
        Interlocked.Increment(ref s_count);
        return true;
    }

    /// <summary>
    /// Frees a block. False, and nothing done, if no large block begins at this page: of two threads that free the same
    /// block one gets false.
    /// </summary>
    /// <param name="clean">The caller has moved the memory away.</param>
    internal static bool TryFree(uint page, bool clean = false)
    {
        ref PageFrame frame = ref LinearRegion.Frames[page];
        if (!frame.TryTake(PageState.Large)) return false;
        uint count = frame.PageCount;
        Interlocked.Add(ref s_pages, -(long)count);
        Interlocked.Decrement(ref s_count);
        PageLayer.GivePages(page, count, clean);
        return true;
    }

    /// <summary>
    /// Makes a block larger or smaller where it stands; false if the pages behind it are not free, or another thread
    /// frees it. Meanwhile no other thread can free it.
    /// </summary>
    internal static bool TryResize(uint page, nuint byteCount)
    {
        ref PageFrame frame = ref LinearRegion.Frames[page];
        if (!frame.TryTake(PageState.Large)) return false;
        uint oldCount = frame.PageCount, newCount = PagesOf(byteCount);
        bool resized = newCount <= oldCount || PageLayer.TryExtend(page, oldCount, newCount);
        if (resized)
        {
            Volatile.Write(ref frame.PageCount, newCount);
            Interlocked.Add(ref s_pages, (long)newCount - oldCount);
        }
        frame.SetState(PageState.Large);
        if (resized && newCount < oldCount) PageLayer.GiveTail(page + newCount, oldCount - newCount);
        return resized;
    }

    /// <summary>Finds the block that a page lies in, if it is a large one.</summary>
    internal static bool TryFind(uint page, out uint head, out uint count)
    {
        // Of a block only the first page says anything: the head is the next page back that does. A block that has
        // grown in place may begin anywhere, also in the section before.
        for (head = page; head != 0 && page - head < PageGeometry.SectionPages
            && LinearRegion.Frames[head].GetState() == PageState.Inner;) head--;
        ref PageFrame frame = ref LinearRegion.Frames[head];
        count = Volatile.Read(ref frame.PageCount);
        return frame.GetState() == PageState.Large && page - head < count;
    }

    /// <summary>Pages that hold so many bytes; at least one.</summary>
    internal static uint PagesOf(nuint bytes) =>
        Math.Max(1, (uint)((bytes + (PageGeometry.PageBytes - 1)) >> PageGeometry.PageShift));
}
