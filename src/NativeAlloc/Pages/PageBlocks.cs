using System.Diagnostics;
using System.Runtime.CompilerServices;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Threads;

namespace NativeAlloc.Pages;

/// <summary>What is wrong with a page that somebody wants to free.</summary>
internal enum PageFault
{
    None,

    /// <summary>The page is free.</summary>
    AlreadyFree,

    /// <summary>The block was taken with another order.</summary>
    OtherOrder,

    /// <summary>The page lies inside a block and is not its first.</summary>
    Interior,

    /// <summary>
    /// The page is in use by somebody else of this library: slabs, blocks of <see cref="NativeAllocator"/>.
    /// </summary>
    NotAPageBlock,
}

/// <summary>
/// The blocks of 2^order pages that users of the page allocator hold (<c>alloc_pages</c>, <c>__free_pages</c>). The
/// head's frame says that it is one and of which order: what makes it freeable, once, and only with the same order.
/// </summary>
internal static unsafe class PageBlocks
{
    /// <summary>
    /// Takes a single unmovable page from the hot end of the thread's list; false where that is empty.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TryTakeHot(ThreadPages* own, out uint page)
    {
        OwnerClaim* claim = &own->Claim; // by its address the JIT checks it for null only once
        page = PageFrame.None;
        if (!claim->TryEnter()) return false;
        if (!own->List(MigrateType.Unmovable)->TryTake(out page))
        {
            claim->Leave();
            return false;
        }
        PageFrame* frame = LinearRegion.Frames + page;
        PageLayer.CheckHot(own, frame, page);
        frame->SetState(PageState.Block);
        own->CountFastTaken();
        claim->Leave();
        return true;
    }

    /// <summary>
    /// Gives a single page to the hot end of its list; false, and nothing done, where it is no such page or the list is
    /// full.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TryGiveHot(ThreadPages* own, uint page)
    {
        OwnerClaim* claim = &own->Claim;
        PageFrame* frame = LinearRegion.Frames + page;
        if (frame->GetState() != PageState.Block || frame->Order != 0 || frame->Cold || frame->ZoneIndex != own->Zone)
            return false;
        if (!claim->TryEnter()) return false;
        HotPages* hot = own->List(frame->Type);
        if (hot->IsFull)
        {
            claim->Leave();
            return false;
        }
        frame->SetHot(own);
        hot->Add(page);
        own->CountFastGiven();
        claim->Leave();
        return true;
    }

    /// <summary>Takes a block, which the request says it is to be.</summary>
    internal static bool TryTake(ThreadPages* own, in PageRequest request, out uint page, out Refusal refusal)
    {
        Debug.Assert(request.State == PageState.Block, "users get blocks");
        if (!PageLayer.TryTake(own, request, out page, out refusal)) return false;
        if (request.Order == 0) LinearRegion.Frames[page].Cold = request.Cold;
        Count(own, request.Order, 1);
        return true;
    }

    /// <summary>Gives a block back; says what is wrong where it cannot, and then nothing has changed.</summary>
    internal static PageFault Give(ThreadPages* own, uint page, int order)
    {
        PageFrame* frame = LinearRegion.Frames + page;
        if (frame->GetState() != PageState.Block || frame->Order != order) return FindFault(page, order);
        // Of two threads that free the same block one finds it a block no more.
        if (!frame->TryTake(PageState.Block)) return FindFault(page, order);
        if (frame->ZoneIndex == PageFrame.NoZone) ThrowHelper.StopOnBadPage(page); // see PageLayer.CheckHot
        frame->SetState(PageState.Withheld); // free to who frees it once more, until it is in a list
        Count(own, order, -1);
        if (order == 0)
        {
            bool cold = frame->Cold;
            frame->Cold = false;
            PageLayer.GivePages(own, page, 1, cold);
            return PageFault.None;
        }
        PageLayer.GivePages(page, 1u << order);
        return PageFault.None;
    }

    /// <summary>Frees a block of whatever order that begins at this page; false if none does.</summary>
    internal static bool TryFree(ThreadPages* own, uint page)
    {
        PageFrame* frame = LinearRegion.Frames + page;
        return frame->GetState() == PageState.Block && Give(own, page, frame->Order) == PageFault.None;
    }

    /// <summary>Finds the block that a page lies in, if it is one of these.</summary>
    internal static bool TryFind(uint page, out uint head, out int order)
    {
        for (order = 0; order < PageGeometry.OrderCount; order++)
        {
            head = page & ~((1u << order) - 1);
            PageFrame* frame = LinearRegion.Frames + head;
            if (frame->GetState() == PageState.Block && frame->Order >= order)
            {
                order = frame->Order;
                return true;
            }
        }
        head = PageFrame.None;
        return false;
    }

    /// <summary>Why a page cannot be freed as a block of this order.</summary>
    internal static PageFault FindFault(uint page, int order)
    {
        for (int current = 0; current < PageGeometry.OrderCount; current++)
        {
            uint head = page & ~((1u << current) - 1);
            PageFrame* frame = LinearRegion.Frames + head;
            PageState state = frame->GetState();
            if (state == PageState.Inner) continue;
            if (current != 0 && frame->Order < current && state != PageState.Large) continue; // a smaller block beside
            return state switch
            {
                PageState.Free or PageState.Hot or PageState.Offline or PageState.Withheld => PageFault.AlreadyFree,
                PageState.Block => head != page
                    ? PageFault.Interior
                    : frame->Order != order
                    ? PageFault.OtherOrder
                    : PageFault.AlreadyFree,
                _ => PageFault.NotAPageBlock,
            };
        }
        return PageFault.NotAPageBlock;
    }

    /// <summary>Blocks that users hold, and the pages in them. Threads go on meanwhile.</summary>
    internal static void CountLive(out long blocks, out long pages)
    {
        int version;
        do
        {
            version = ForgottenCounts.BeginSum();
            (blocks, pages) = (Volatile.Read(ref s_blocks), Volatile.Read(ref s_pages));
            for (int index = 0; index < ThreadRegistry.Count; index++)
            {
                if (!ThreadRegistry.HasMemory(index)) continue;
                ThreadPages* thread = ThreadPages.Of(ThreadRegistry.At(index));
                blocks += thread->UserBlocks;
                pages += thread->UserPages;
            }
        }
        while (ForgottenCounts.HasMoved(version));
    }

    /// <summary>
    /// Moves what the counters of a thread say to those of threads without a block: its block is forgotten. The caller
    /// has taken the block.
    /// </summary>
    internal static void MoveCounts(ThreadPages* thread)
    {
        if (thread->Hits != 0) PageLayer.ZoneAt(thread->Zone)->AddHits(thread->ReadAndResetHits());
        Interlocked.Add(ref s_blocks, thread->UserBlocks);
        Interlocked.Add(ref s_pages, thread->UserPages);
        thread->ResetCounts();
    }

    private static void Count(ThreadPages* own, int order, int blocks)
    {
        if (own == null)
        {
            Interlocked.Add(ref s_blocks, blocks);
            Interlocked.Add(ref s_pages, blocks * (1L << order));
        }
        else if (order == 0)
        {
            own->CountSingle(blocks);
        }
        else
        {
            own->CountBlock(blocks, blocks * (1 << order));
        }
    }

    /// <summary>
    /// What threads without a block of their own have taken less what they have given back. By Interlocked.
    /// </summary>
    private static long s_blocks, s_pages;
}
