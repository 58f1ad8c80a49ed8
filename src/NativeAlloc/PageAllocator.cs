using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Threads;

namespace NativeAlloc;

/// <summary>
/// Whole pages of 64 KiB, alone or in blocks of 2^order side by side, with the names and meaning of the Linux kernel's
/// <c>alloc_pages</c> family.
/// </summary>
/// <remarks>
/// <para>All members may be called from any thread, and pages may be freed on another thread than the one that took
/// them. A block is freed with the order that it was taken with, by page or by address;
/// <see cref="NativeAllocator.Free"/> takes addresses of all of them too.</para>
/// </remarks>
// AllocPage, GetFreePage, GetZeroedPage ┐
// AllocPages, GetFreePages, GetDmaPages ┴ AllocPagesNode ─ order 0: the thread's hot list            (no lock)
//                                                        ├ Zone.TryTake: RemoveSmallest ─ Expand    (one lock)
//                                                        ├               RemoveFallback
//                                                        ├ the next zone, the next node
//                                                        └ AllocationAttempt.TryMakeRoom, once more
// FreePage, FreePages ─ order 0: the thread's hot list, at the cold end if it was taken as cold
//                     └ Zone.Give: merges with its buddies
public static unsafe class PageAllocator
{
    /// <summary>Bytes of a page.</summary>
    public const int PageSize = (int)PageGeometry.PageBytes;

    /// <summary>The largest order: blocks of 64 MiB.</summary>
    public const int MaxOrder = PageGeometry.MaxOrder;

    // In place of an order: the page was to be freed as pages of AllocExact.
    private const int AnyOrder = -1;

    private const PageFlags AllFlags = PageFlags.Zeroed | PageFlags.Dma | PageFlags.High | PageFlags.Cold
        | PageFlags.Reclaimable | PageFlags.Movable | PageFlags.ThisNode;

    /// <summary>Takes a page (<c>alloc_page</c>).</summary>
    /// <param name="flags">What it should be.</param>
    /// <returns>The page, from the calling thread's node if that has one.</returns>
    /// <exception cref="ArgumentException">Flags that exclude each other, or unknown ones.</exception>
    /// <exception cref="OutOfMemoryException">There is none, also after reclaim; or the system locks no more into
    /// memory.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Page AllocPage(PageFlags flags = default)
    {
        nint* block = CurrentThread.t_block;
        return flags == PageFlags.None && block != null && PageBlocks.TryTakeHot(ThreadPages.Of(block), out uint page)
            ? new Page(page)
            : AllocPages(0, flags);
    }

    /// <summary>Takes a block of 2^order pages (<c>alloc_pages</c>).</summary>
    /// <param name="order">0 to <see cref="MaxOrder"/>.</param>
    /// <param name="flags">What it should be.</param>
    /// <returns>The first page of the block, which begins at a multiple of its size.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such order.</exception>
    /// <exception cref="ArgumentException">Flags that exclude each other, or unknown ones.</exception>
    /// <exception cref="OutOfMemoryException">There is none, also after reclaim; or the system locks no more into
    /// memory.</exception>
    public static Page AllocPages(int order, PageFlags flags = default)
    {
        CheckOrder(order);
        return new Page(Take(RequestOf(order, 1u << order, flags, PageState.Block)));
    }

    /// <summary>Takes a block of 2^order pages, from a NUMA node first (<c>alloc_pages_node</c>).</summary>
    /// <param name="node">From 0, in the order of the system's nodes that have memory.</param>
    /// <param name="order">0 to <see cref="MaxOrder"/>.</param>
    /// <param name="flags">What it should be; with <see cref="PageFlags.ThisNode"/> no other node is asked.</param>
    /// <returns>The first page of the block; from the nearest node that has one, where the node itself has
    /// not.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such node or order.</exception>
    /// <exception cref="ArgumentException">Flags that exclude each other, or unknown ones.</exception>
    /// <exception cref="OutOfMemoryException">There is none, also after reclaim; or the system locks no more into
    /// memory.</exception>
    public static Page AllocPagesNode(int node, int order, PageFlags flags = default)
    {
        Startup.Begin();
        if (node < 0 || node >= Math.Max(1, PageLayer.NodeCount)) ThrowHelper.ThrowBadNode(node, PageLayer.NodeCount);
        CheckOrder(order);
        return new Page(Take(RequestOf(order, 1u << order, flags, PageState.Block) with { Node = node }));
    }

    /// <summary>Takes a page and returns its address (<c>__get_free_page</c>).</summary>
    /// <param name="flags">What it should be; not <see cref="PageFlags.High"/>.</param>
    /// <returns>The address, a multiple of <see cref="PageSize"/>.</returns>
    /// <exception cref="ArgumentException">A high page has no address; or flags that exclude each other, or unknown
    /// ones.</exception>
    /// <exception cref="OutOfMemoryException">There is none, also after reclaim; or the system locks no more into
    /// memory.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void* GetFreePage(PageFlags flags = default)
    {
        nint* block = CurrentThread.t_block;
        return flags == PageFlags.None && block != null && PageBlocks.TryTakeHot(ThreadPages.Of(block), out uint page)
            ? (void*)LinearRegion.AddressOf(page)
            : GetFreePages(0, flags);
    }

    /// <summary>Takes a block of 2^order pages and returns its address (<c>__get_free_pages</c>).</summary>
    /// <param name="order">0 to <see cref="MaxOrder"/>.</param>
    /// <param name="flags">What it should be; not <see cref="PageFlags.High"/>.</param>
    /// <returns>The address, a multiple of the block's size.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such order.</exception>
    /// <exception cref="ArgumentException">High pages have no address; or flags that exclude each other, or unknown
    /// ones.</exception>
    /// <exception cref="OutOfMemoryException">There is none, also after reclaim; or the system locks no more into
    /// memory.</exception>
    public static void* GetFreePages(int order, PageFlags flags = default)
    {
        if ((flags & PageFlags.High) != 0) ThrowHelper.ThrowHighHasNoAddress(flags.ToString());
        return AllocPages(order, flags).Address;
    }

    /// <summary>Takes a page that reads as zero and returns its address (<c>get_zeroed_page</c>).</summary>
    /// <param name="flags">What else it should be; not <see cref="PageFlags.High"/>.</param>
    /// <returns>The address, a multiple of <see cref="PageSize"/>.</returns>
    /// <exception cref="ArgumentException">A high page has no address; or flags that exclude each other, or unknown
    /// ones.</exception>
    /// <exception cref="OutOfMemoryException">There is none, also after reclaim; or the system locks no more into
    /// memory.</exception>
    public static void* GetZeroedPage(PageFlags flags = default) => GetFreePages(0, flags | PageFlags.Zeroed);

    /// <summary>
    /// Takes a block of 2^order pages that stays in memory, and returns its address (<c>__get_dma_pages</c>).
    /// </summary>
    /// <param name="order">0 to <see cref="MaxOrder"/>.</param>
    /// <returns>The address, a multiple of the block's size.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such order.</exception>
    /// <exception cref="OutOfMemoryException">The system locks no more into memory, as the message says and how to
    /// raise the limit; or there is no memory.</exception>
    public static void* GetDmaPages(int order) => GetFreePages(order, PageFlags.Dma);

    /// <summary>
    /// Takes as many pages as hold a number of bytes, side by side (<c>alloc_pages_exact</c>): the rest of the block
    /// that they are cut from goes back at once.
    /// </summary>
    /// <param name="byteCount">Bytes, up to 64 MiB; rounded up to whole pages, at least one.</param>
    /// <param name="flags">What they should be; not <see cref="PageFlags.High"/>.</param>
    /// <returns>The address, a multiple of <see cref="PageSize"/>. It goes back by <see cref="FreeExact"/> or
    /// <see cref="NativeAllocator.Free"/>.</returns>
    /// <exception cref="ArgumentOutOfRangeException">More than a block of the largest order holds.</exception>
    /// <exception cref="ArgumentException">High pages have no address; or flags that exclude each other, or unknown
    /// ones.</exception>
    /// <exception cref="OutOfMemoryException">There are none, also after reclaim; or the system locks no more into
    /// memory.</exception>
    public static void* AllocExact(nuint byteCount, PageFlags flags = default)
    {
        if ((flags & PageFlags.High) != 0) ThrowHelper.ThrowHighHasNoAddress(flags.ToString());
        uint count = PageCountOf(byteCount);
        return (void*)LinearRegion.AddressOf(
            Take(RequestOf(PageGeometry.OrderOf(count), count, flags, PageState.Large)));
    }

    /// <summary>
    /// Gives a single page back (<c>__free_page</c>), to the hot end of the calling thread's list, or to its cold end
    /// if it was taken with <see cref="PageFlags.Cold"/>.
    /// </summary>
    /// <param name="page">A page taken with order 0.</param>
    /// <exception cref="ArgumentException">It is no page, is free already, or is not a block of order 0; the message
    /// says which. Nothing is changed.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void FreePage(Page page)
    {
        nint* block = CurrentThread.t_block;
        if (!page.IsNone && block != null && PageBlocks.TryGiveHot(ThreadPages.Of(block), page.Index)) return;
        FreePages(page, 0);
    }

    /// <summary>Gives a block back (<c>__free_pages</c>): it merges with the free blocks beside it.</summary>
    /// <param name="page">The first page of the block.</param>
    /// <param name="order">The order that it was taken with.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such order.</exception>
    /// <exception cref="ArgumentException">It is no page, is free already, has another order, or is not the first of
    /// its block; the message says which. Nothing is changed.</exception>
    public static void FreePages(Page page, int order)
    {
        CheckOrder(order);
        if (page.IsNone) ThrowHelper.ThrowNoPage(nameof(page));
        PageFault fault = PageBlocks.Give(Own(), page.Index, order);
        DecayThread.Attend();
        if (fault != PageFault.None) ThrowFault(page.Index, order, fault);
    }

    /// <summary>Gives a single page back by its address (<c>free_page</c>).</summary>
    /// <param name="address">The address that it was taken with; null is fine.</param>
    /// <exception cref="ArgumentException">It is no page of this library, is free already, or is not a block of order
    /// 0; the message says which. Nothing is changed.</exception>
    public static void FreePage(void* address) => FreePages(address, 0);

    /// <summary>Gives a block back by its address (<c>free_pages</c>).</summary>
    /// <param name="address">The address of its first page; null is fine.</param>
    /// <param name="order">The order that it was taken with.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such order.</exception>
    /// <exception cref="ArgumentException">It is no page of this library, is free already, has another order, or is not
    /// the first of its block; the message says which. Nothing is changed.</exception>
    public static void FreePages(void* address, int order)
    {
        CheckOrder(order);
        if (address == null) return;
        Page page = PageOf(address);
        if (page.IsNone) ThrowHelper.ThrowForeign(address);
        if (page.Address != address) ThrowHelper.ThrowInsidePage(address, page.Index);
        if (order == 0) FreePage(page);
        else FreePages(page, order);
    }

    /// <summary>Gives pages of <see cref="AllocExact"/> back (<c>free_pages_exact</c>).</summary>
    /// <param name="address">The address that it returned; null is fine.</param>
    /// <param name="byteCount">The bytes asked for, or any other number that needs as many pages.</param>
    /// <exception cref="ArgumentException">It is no such block, is free already, or has another number of pages; the
    /// message says which. Nothing is changed.</exception>
    public static void FreeExact(void* address, nuint byteCount)
    {
        if (address == null) return;
        uint count = PageCountOf(byteCount);
        Page page = PageOf(address);
        if (page.IsNone) ThrowHelper.ThrowForeign(address);
        if (page.Address != address) ThrowHelper.ThrowInsidePage(address, page.Index);
        bool found = LargeBlocks.TryFind(page.Index, out uint head, out uint pages);
        if (!found) ThrowFault(page.Index, AnyOrder, PageBlocks.FindFault(page.Index, AnyOrder));
        if (head != page.Index) ThrowHelper.ThrowInsideBlock(page.Index, head, pages);
        if (pages != count) ThrowHelper.ThrowOtherPageCount(page.Index, pages, byteCount);
        NativeAllocator.Forget(address); // it may be a large block of NativeAllocator or of a heap
        if (!LargeBlocks.TryFree(page.Index)) ThrowHelper.ThrowPageIsFree(page.Index);
        DecayThread.Attend();
    }

    /// <summary>The page that an address lies in (<c>virt_to_page</c>), whatever it is used for.</summary>
    /// <param name="address">Any address at all.</param>
    /// <returns>None for an address outside of the memory that this library gives out pages of.</returns>
    public static Page PageOf(void* address)
    {
        if (!Startup.TryBegin()) return default;
        nuint index = LinearRegion.PageIndexOf(address);
        return index < LinearRegion.OnlinePages ? new Page((uint)index) : default;
    }

    /// <summary>
    /// Registers somebody who holds memory that can be dropped (<c>register_shrinker</c>): asked when memory runs
    /// short, before an allocation fails.
    /// </summary>
    /// <param name="shrink"> Gets how many bytes are missing, frees what it can, and returns how many bytes that was.
    /// It runs on the thread that needs memory, which may hold locks of its own, and may free and allocate here. What
    /// it throws is not passed on, unless the allocation fails: then it is the inner exception. </param>
    /// <returns>Ends the registration when disposed of; a call that is under way goes on.</returns>
    /// <exception cref="ArgumentNullException">There is nothing to call.</exception>
    public static IDisposable RegisterShrinker(Func<nuint, nuint> shrink)
    {
        ArgumentNullException.ThrowIfNull(shrink);
        Startup.Begin();
        return Shrinkers.Register(shrink);
    }

    private static uint Take(in PageRequest request)
    {
        Startup.Begin();
        AllocationAttempt attempt = new((nuint)request.Count << PageGeometry.PageShift);
        uint page;
        bool taken;
        do taken = TryTakeOnce(request, out page, out attempt.Refusal);
        while (!taken && attempt.TryMakeRoom());
        DecayThread.Attend();
        if (!taken) ThrowNoPages(request, attempt);
        return page;
    }

    // The thread's block is fetched for each try: user code runs between two of them.
    private static bool TryTakeOnce(in PageRequest request, out uint page, out Refusal refusal) =>
        request.State == PageState.Large
        ? LargeBlocks.TryTake(Own(), request, out page, out refusal)
        : PageBlocks.TryTake(Own(), request, out page, out refusal);

    [DoesNotReturn]
    private static void ThrowNoPages(in PageRequest request, scoped in AllocationAttempt attempt)
    {
        if (attempt.Refusal.Reason != RefusalReason.OutOfMemory) NativeAllocator.ThrowNoMemory(attempt.Bytes, attempt);
        ThreadPages* own = Own();
        int node = request.Node != PageRequest.LocalNode
            ? request.Node
            : own != null
            ? own->Node
            : NodeTopology.Current.NodeOfCurrentThread();
        ThrowHelper.ThrowOutOfPages(attempt.Bytes, request.ThisNode ? node : null, attempt.ShrinkerError);
    }

    private static ThreadPages* Own() => ThreadPages.Of(NativeAllocator.GetBlock());

    private static PageRequest RequestOf(int order, uint count, PageFlags flags, PageState state)
    {
        const PageFlags Types = PageFlags.Reclaimable | PageFlags.Movable, Zones = PageFlags.Dma | PageFlags.High;
        if ((flags & ~AllFlags) != 0) ThrowHelper.ThrowBadFlags($"{flags & ~AllFlags} is not a flag", flags.ToString());
        if ((flags & Types) == Types)
            ThrowHelper.ThrowBadFlags("a page is either reclaimable or movable", flags.ToString());
        if ((flags & Zones) == Zones)
            ThrowHelper.ThrowBadFlags("a page is either of the DMA zone or a high one", flags.ToString());
        return new PageRequest(order, count)
        {
            State = state,
            Type = (flags & PageFlags.Reclaimable) != 0
                ? MigrateType.Reclaimable
                : (flags & PageFlags.Movable) != 0
                ? MigrateType.Movable
                : MigrateType.Unmovable,
            Kind = (flags & PageFlags.Dma) != 0
                ? ZoneKind.Dma
                : (flags & PageFlags.High) != 0
                ? ZoneKind.High
                : ZoneKind.Normal,
            ThisNode = (flags & PageFlags.ThisNode) != 0,
            Cold = (flags & PageFlags.Cold) != 0,
            Zeroed = (flags & PageFlags.Zeroed) != 0,
        };
    }

    private static void CheckOrder(int order)
    {
        if (order is < 0 or > MaxOrder) ThrowHelper.ThrowBadOrder(order, MaxOrder);
    }

    private static uint PageCountOf(nuint byteCount)
    {
        if (byteCount > LargeBlocks.LargestBytes) ThrowHelper.ThrowTooManyBytes(byteCount, LargeBlocks.LargestBytes);
        return LargeBlocks.PagesOf(byteCount);
    }

    [DoesNotReturn]
    private static void ThrowFault(uint page, int order, PageFault fault)
    {
        PageFrame frame = LinearRegion.Frames[page];
        switch (fault)
        {
            case PageFault.AlreadyFree:
                ThrowHelper.ThrowPageIsFree(page);
                break;
            case PageFault.OtherOrder when order == AnyOrder:
                ThrowHelper.ThrowNotExact(page, frame.Order);
                break;
            case PageFault.OtherOrder:
                ThrowHelper.ThrowOtherOrder(page, frame.Order, order);
                break;
            case PageFault.Interior when PageBlocks.TryFind(page, out uint head, out int blockOrder):
                ThrowHelper.ThrowInsideBlock(page, head, 1u << blockOrder);
                break;
        }
        bool isLinear = page < LinearRegion.PageCount; // high pages are neither slabs nor large blocks
        if (isLinear && LargeBlocks.TryFind(page, out uint first, out uint count) && first != page)
            ThrowHelper.ThrowInsideBlock(page, first, count);
        bool isSlab = isLinear && LinearRegion.ClassOf(page) != 0; // of which only the first page's frame says so
        ThrowHelper.ThrowNotAPageBlock(page, isSlab ? nameof(PageState.Slab) : frame.State.ToString());
    }
}
