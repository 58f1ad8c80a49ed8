using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows what becomes of a page that two threads free at the same time. Where it goes to a zone, one of them frees it
/// and the other is told. On the fast paths both may; then the page can be had from one of their lists, and the other
/// stops the process.
/// </summary>
public sealed unsafe class DoubleFreeTests
{
    private static readonly PageRequest s_request = PageRequest.Block(0) with { State = PageState.Block };

    [Fact]
    public void While_a_page_is_on_its_way_to_its_zone_a_second_free_is_refused()
    {
        using TestThread thread = new();
        Assert.True(PageBlocks.TryTake(null, s_request, out uint page, out _));
        PageFault first = default, second;
        TestZone.Normal->Lock.Acquire();
        try
        {
            thread.Begin(() => first = PageBlocks.Give(null, page, 0));
            SpinWait.SpinUntil(() => LinearRegion.Frames[page].GetState() != PageState.Block, TimeSpan.FromSeconds(30));
            Assert.NotEqual(PageState.Block, LinearRegion.Frames[page].GetState());
            second = PageBlocks.Give(null, page, 0); // would wait for the lock if it freed the page, too
        }
        finally
        {
            TestZone.Normal->Lock.Release();
        }
        thread.Finish();
        Assert.Equal((PageFault.None, PageFault.AlreadyFree), (first, second));
        Assert.Equal(PageFault.AlreadyFree, PageBlocks.Give(null, page, 0));
        TestZone.Normal->Verify();
    }

    [Fact]
    public void While_the_memory_of_a_free_page_goes_back_it_is_free_to_who_frees_or_maps_it()
    {
        const int Order = 3;
        NativeAllocator.Trim();
        Page page = PageAllocator.AllocPages(Order, PageFlags.Zeroed);
        *(byte*)page.Address = 1;
        PageAllocator.FreePages(page, Order);
        List<string> messages = [];
        using (new InjectedFaults(call =>
        {
            // Memory goes back, then the pages of a section that is free.
            if (call is not (OsCall.Purge or OsCall.Decommit)) return false;
            messages.Add(Assert.Throws<ArgumentException>(() => PageAllocator.FreePages(page, Order)).Message);
            messages.Add(Assert.Throws<ArgumentException>(() => { PersistentMap.Map(page); }).Message);
            return false;
        }))
        {
            NativeAllocator.Trim();
        }
        Assert.NotEmpty(messages);
        Assert.All(messages, message => Assert.Contains("is free", message, StringComparison.Ordinal));
        NativeAllocator.Verify();
    }

    [Fact]
    public void A_page_that_two_threads_have_in_their_lists_is_one_threads()
    {
        ThreadPages one = default, two = default;
        Assert.True(PageLayer.TryTake(null, s_request, out uint page, out _));
        PageFrame* frame = LinearRegion.Frames + page;
        Assert.True(PageBlocks.TryGiveHot(&one, page));
        frame->SetState(PageState.Block); // as the other thread found it a moment ago
        Assert.True(PageBlocks.TryGiveHot(&two, page));
        Assert.True(frame->IsHotOf(&two));
        Assert.False(frame->IsHotOf(&one)); // a process in which that list is used ends: see below
        Assert.True(one.List(frame->Type)->TryTake(out uint other) && other == page);
        PageLayer.Drain(&two);
        Assert.Equal(PageFrame.NoZone, frame->ZoneIndex); // and nobody has it in a list any more
        TestZone.Normal->Verify();
    }

    [Theory]
    [InlineData(BadFrees.PageTwiceThenTake)]
    [InlineData(BadFrees.PageTwiceThenDrain)]
    [InlineData(BadFrees.PageTwiceOneDrained)]
    public void A_page_in_two_lists_ends_the_process_before_it_is_handed_out_twice(string mistake)
    {
        ChildProcess child = ChildProcess.RunHost(BadFrees.Name, mistake);
        Assert.NotEqual(0, child.ExitCode);
        Assert.Contains($"double free of page {child.Output.Trim()}", child.Errors, StringComparison.Ordinal);
    }
}
