using NativeAlloc.Pages;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>
/// Gives the memory of thread blocks back that no thread has any more and in which nothing is left.
/// </summary>
internal static unsafe class BlockRelease
{
    /// <summary>
    /// Looks through all blocks. Does nothing while another thread's round goes on: it may be about to claim a block,
    /// whose next owner would then find a claim that nobody ends.
    /// </summary>
    internal static void ForgetUnused()
    {
        if (!ClaimRound<ThreadMagazines, ProcessorSteps>.TryBegin(0, 0, out var magazines)) return;
        if (ClaimRound<ThreadPages, ProcessorSteps>.TryBegin(0, 0, out var pages))
        {
            ForgetInRound();
            pages.End();
        }
        magazines.End();
    }

    private static void ForgetInRound()
    {
        byte* first = null, block;
        int count = 0, index = 0;
        while ((block = ThreadRegistry.TakeUnused(ref index)) != null)
        {
            if (!TryEmpty(block))
            {
                ThreadRegistry.Release(block);
                continue;
            }
            bool isNext = count != 0 && block == first + (nint)count * ThreadBlock.Bytes;
            if (!isNext || count == ThreadRegistry.MostAtOnce)
            {
                Forget(first, count);
                count = 0;
            }
            if (count++ == 0) first = block;
        }
        Forget(first, count);
    }

    // True with both claims entered: until its memory is gone, no other thread does anything with the block.
    private static bool TryEmpty(byte* block)
    {
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        ThreadPages* pages = ThreadPages.Of(block);
        if (!RaisedFloors.TryEnter(magazines)) return false;
        bool isInside = pages->Claim.TryUnparkAndEnter(), isEmpty = isInside && pages->Count == 0;
        if (isEmpty)
        {
            ForgottenCounts.BeginMove();
            isEmpty = magazines->TryForget();
            if (isEmpty) PageBlocks.MoveCounts(pages);
            ForgottenCounts.EndMove();
        }
        if (isEmpty) return true;
        if (isInside) pages->Claim.Leave();
        magazines->Claim.Leave();
        return false;
    }

    private static void Forget(byte* first, int count)
    {
        if (count == 0 || ThreadRegistry.Forget(first, count)) return;
        for (int i = 0; i < count; i++)
        {
            byte* block = first + (nint)i * ThreadBlock.Bytes;
            ThreadMagazines.Of(block)->Claim.Leave();
            ThreadPages.Of(block)->Claim.Leave();
            ThreadRegistry.Release(block);
        }
    }
}
