using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows that the blocks of threads that have ended lose their memory after a rest, and only then; that what they
/// counted is not lost; and that they serve new threads afterwards.
/// </summary>
public sealed unsafe class BlockReleaseTests
{
    private const int Threads = 8;

    public BlockReleaseTests() => NativeAllocator.Trim();

    [Fact]
    public void Blocks_of_threads_that_have_ended_lose_their_memory_after_a_rest()
    {
        Assert.SkipUnless(VirtualMemory.PageBytes <= ThreadBlock.Bytes, "a block has no system page of its own");
        nint[] blocks = UseTogether();
        NativeAllocator.Trim(); // takes what is in them
        foreach (byte* block in blocks) LetRest(block);
        NativeAllocator.Trim();
        Recall.Run(all: true); // whatever goes through all blocks leaves these alone
        _ = (PageLayer.CountHotPages(), ThreadRegistry.HasForgettable(), ThreadMagazines.CountAll());
        foreach (byte* block in blocks)
        {
            Assert.False(ThreadRegistry.HasContents(block));
            Assert.Equal(0u, ResidentMemory.PagesAt((nuint)block, ThreadBlock.Bytes));
            // Only what was purged reads as zero.
            Assert.Equal(-1, new Span<byte>(block, ThreadBlock.Bytes).IndexOfAnyExcept((byte)0));
        }
        int count = ThreadRegistry.Count;
        UseTogether();
        Assert.Equal(count, ThreadRegistry.Count); // they, or others that nobody has, serve as new ones
        NativeAllocator.Verify();
    }

    [Fact]
    public void A_block_keeps_its_memory_at_first_as_its_thread_may_come_back()
    {
        long begin = Environment.TickCount64;
        nint block = UseTogether()[0];
        NativeAllocator.Trim();
        if (!ThreadRegistry.HasContents((byte*)block)) // this test was held up for so long
        {
            Assert.InRange(Environment.TickCount64 - begin, ThreadRegistry.RestMilliseconds - 1L, long.MaxValue);
            return;
        }
        Assert.NotEqual(0u, ThreadBlock.HeaderOf((byte*)block)->FreeSince);
        Assert.Equal(CacheTable.NoMagazine, ThreadMagazines.Of((void*)block)->Loaded(1));
    }

    [Fact]
    public void The_periods_ends_take_blocks_of_dead_threads_as_well_but_not_at_once()
    {
        nint[] blocks = UseTogether();
        byte* first = (byte*)blocks[0];
        Reclaimer.GiveBackUnneeded(periodMilliseconds: 1000); // sees that they are dead
        Assert.NotEqual(0u, ThreadBlock.HeaderOf(first)->FreeSince);
        foreach (byte* block in blocks) LetRest(block);
        Reclaimer.GiveBackUnneeded(periodMilliseconds: 1000);
        foreach (byte* block in blocks)
            Assert.Equal(ThreadBlockState.Unused, ThreadBlock.HeaderOf(block)->State);
    }

    [Fact]
    public void What_the_threads_have_counted_is_counted_on()
    {
        PageBlocks.CountLive(out long blocksBefore, out long pagesBefore);
        int taken = 0;
        Page single = default, four = default;
        nint[] used = UseTogether(() =>
        {
            if (Interlocked.Exchange(ref taken, 1) != 0) return;
            single = PageAllocator.AllocPage();
            four = PageAllocator.AllocPages(2);
        });
        ThreadCounts counted = ThreadMagazines.CountAll();
        NativeAllocator.Trim();
        foreach (byte* block in used) LetRest(block);
        NativeAllocator.Trim();
        ThreadCounts after = ThreadMagazines.CountAll();
        Assert.True(after.SlabExchanges >= counted.SlabExchanges, "misses of the threads that ended are lost");
        PageBlocks.CountLive(out long blocks, out long pages);
        Assert.Equal((2L, 5L), (blocks - blocksBefore, pages - pagesBefore));
        PageAllocator.FreePage(single);
        PageAllocator.FreePages(four, 2);
    }

    [Fact]
    public void Where_the_system_refuses_the_blocks_stay_as_they_are()
    {
        nint[] blocks = UseAndEmpty();
        foreach (byte* block in blocks) LetRest(block);
        using (new InjectedFaults(OsCall.Purge)) BlockRelease.ForgetUnused();
        foreach (byte* block in blocks)
        {
            Assert.True(ThreadRegistry.HasContents(block));
            Assert.Equal(ThreadBlockState.Unused, ThreadBlock.HeaderOf(block)->State);
        }
        UseTogether();
        NativeAllocator.Verify();
    }

    [Fact]
    public void While_another_threads_round_goes_on_no_block_is_forgotten()
    {
        nint[] blocks = UseAndEmpty();
        foreach (byte* block in blocks) LetRest(block);
        // Rounds that have not claimed a block yet, and may do so at any moment.
        Assert.True(ClaimRound<ThreadMagazines, ProcessorSteps>.TryBegin(0, ThreadRegistry.Count, out var magazines));
        BlockRelease.ForgetUnused();
        magazines.End();
        Assert.True(ClaimRound<ThreadPages, ProcessorSteps>.TryBegin(0, ThreadRegistry.Count, out var pages));
        BlockRelease.ForgetUnused();
        pages.End();
        foreach (byte* block in blocks) Assert.True(ThreadRegistry.HasContents(block));
        BlockRelease.ForgetUnused();
        foreach (byte* block in blocks) Assert.False(ThreadRegistry.HasContents(block));
        NativeAllocator.Verify();
    }

    [Fact]
    public void Where_threads_are_many_each_does_without_a_magazine_for_its_first_object()
    {
        using Barrier together = new(ThreadRegistry.FewBlocks + 2);
        int wrong = 0;
        TestThread.RunTogether(ThreadRegistry.FewBlocks + 2, number =>
        {
            NativeAllocator.GetBlock();
            together.SignalAndWait();
            if (number == 0 && !DoesWithoutAtFirst()) wrong = 1;
            together.SignalAndWait(); // all are alive until then
        });
        Rest.ForgetBlocks();
        Assert.Equal(0, wrong);
        Assert.False(ThreadRegistry.HasMany);
    }

    private static bool DoesWithoutAtFirst()
    {
        const nuint Bytes = 1000;
        ThreadMagazines* own = ThreadMagazines.Of(CurrentThread.t_block);
        int index = SizeClasses.Of(Bytes);
        if (own->Loaded(index) != CacheTable.NoMagazine) return true; // adopted: nothing is shown
        void* block = NativeAllocator.Alloc(Bytes);
        bool allocates = own->Loaded(index) == CacheTable.NoMagazine;
        NativeAllocator.Free(block);
        bool frees = own->Loaded(index) == CacheTable.NoMagazine;
        NativeAllocator.Free(NativeAllocator.Alloc(Bytes));
        return allocates && frees && own->Loaded(index) != CacheTable.NoMagazine;
    }

    private static nint[] UseTogether(Action? more = null)
    {
        nint[] blocks = new nint[Threads];
        using Barrier together = new(Threads);
        TestThread.RunTogether(Threads, number =>
        {
            NativeAllocator.Free(NativeAllocator.Alloc(1000));
            more?.Invoke();
            blocks[number] = (nint)CurrentThread.t_block;
            together.SignalAndWait();
        });
        return blocks;
    }

    // Blocks of threads that have ended, which hold nothing and have their memory: once more where this thread was held
    // up for as long as they keep it.
    private static nint[] UseAndEmpty()
    {
        int tries = 10;
        nint[] blocks;
        do
        {
            blocks = UseTogether();
            NativeAllocator.Trim();
        }
        while (!blocks.All(each => ThreadRegistry.HasContents((byte*)each)) && --tries != 0);
        return blocks;
    }

    // As if so much time had gone by.
    private static void LetRest(byte* block)
    {
        ThreadHeader* header = ThreadBlock.HeaderOf(block);
        if (header->FreeSince != 0) header->FreeSince = unchecked(header->FreeSince - ThreadRegistry.RestMilliseconds);
    }
}
