using NativeAlloc.Pages;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>Shows that the page that came last goes first, that the coldest come out in the order they came, and where the list is full.</summary>
public sealed unsafe class HotPagesTests
{
    [Fact]
    public void The_page_that_came_last_is_taken_first()
    {
        HotPages hot = default;
        Assert.False(hot.TryTake(out uint none));
        Assert.Equal(PageFrame.None, none);
        for (uint page = 0; page < HotPages.Capacity; page++)
        {
            Assert.False(hot.IsFull);
            hot.Add(page);
            Assert.Equal((int)page + 1, hot.Count);
        }
        Assert.True(hot.IsFull);
        for (int page = HotPages.Capacity - 1; page >= 0; page--)
        {
            Assert.True(hot.TryTake(out uint taken));
            Assert.Equal((uint)page, taken);
        }
        Assert.Equal(0, hot.Count);
    }

    [Fact]
    public void The_coldest_pages_come_out_in_the_order_they_came_and_the_others_stay()
    {
        HotPages hot = default;
        for (uint page = 100; page < 110; page++) hot.Add(page);
        uint[] cold = new uint[4];
        Assert.Equal(4, hot.TakeCold(cold));
        Assert.Equal([100u, 101, 102, 103], cold);
        Assert.Equal(6, hot.Count);
        Assert.True(hot.TryTake(out uint hottest));
        Assert.Equal(109u, hottest);
        uint[] rest = new uint[HotPages.Capacity];
        Assert.Equal(5, hot.TakeCold(rest));
        Assert.Equal([104u, 105, 106, 107, 108], rest[..5]);
        Assert.Equal(0, hot.TakeCold(rest));
    }

    [Fact]
    public void Any_order_of_steps_gives_what_a_list_gives() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("add", "add", "add", "take", "cold"), Values.Between(0, HotPages.Capacity)),
        200,
        operations =>
        {
            HotPages hot = default;
            List<uint> oracle = [];
            uint next = 0;
            foreach ((string kind, int count) in operations)
            {
                if (kind == "add" && oracle.Count < HotPages.Capacity)
                {
                    hot.Add(next);
                    oracle.Add(next++);
                }
                else if (kind == "take")
                {
                    Assert.Equal(oracle.Count != 0, hot.TryTake(out uint page));
                    Assert.Equal(oracle.Count != 0 ? oracle[^1] : PageFrame.None, page);
                    if (oracle.Count != 0) oracle.RemoveAt(oracle.Count - 1);
                }
                else if (kind == "cold")
                {
                    uint[] pages = new uint[count];
                    int taken = hot.TakeCold(pages);
                    Assert.Equal(Math.Min(count, oracle.Count), taken);
                    Assert.Equal(oracle[..taken], pages[..taken]);
                    oracle.RemoveRange(0, taken);
                }
                Assert.Equal(oracle.Count, hot.Count);
                Assert.Equal(oracle.Count == HotPages.Capacity, hot.IsFull);
            }
        });

    [Fact]
    public void A_thread_block_has_its_list_in_its_part_and_no_block_has_none()
    {
        byte* block = stackalloc byte[ThreadBlock.Bytes];
        Assert.True((byte*)HotPages.Of(block) == block + ThreadBlock.PagesOffset);
        Assert.True(HotPages.Of(null) == null);
    }
}
