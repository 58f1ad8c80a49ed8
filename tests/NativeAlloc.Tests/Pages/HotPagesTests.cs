using NativeAlloc.Pages;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows that the list is one with two ends, wherever in its ring it stands: the page that came last goes first, the
/// coldest come out in the order they came.
/// </summary>
public sealed class HotPagesTests
{
    [Fact]
    public void The_page_that_came_last_is_taken_first()
    {
        HotPages hot = default;
        Assert.False(hot.TryTake(out _));
        Assert.False(hot.TryTakeCold(out _));
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
        Assert.False(hot.TryTake(out _));
    }

    [Fact]
    public void The_coldest_pages_come_out_in_the_order_they_came_and_the_others_stay()
    {
        HotPages hot = default;
        for (uint page = 100; page < 110; page++) hot.Add(page);
        Assert.Equal([100u, 101, 102, 103], TakeCold(ref hot, 4));
        Assert.Equal(6, hot.Count);
        Assert.True(hot.TryTake(out uint hottest));
        Assert.Equal(109u, hottest);
        Assert.Equal([104u, 105, 106, 107, 108], TakeCold(ref hot, HotPages.Capacity));
        Assert.Equal(0, hot.Count);
        Assert.Empty(TakeCold(ref hot, 1));
    }

    [Fact]
    public void What_came_cold_goes_before_all_that_were_there_and_after_all_of_them_if_hot_ones_are_wanted()
    {
        HotPages hot = default;
        hot.Add(1);
        hot.Add(2);
        hot.AddCold(3);
        hot.AddCold(4);
        Assert.Equal([4u, 3], TakeCold(ref hot, 2));
        hot.AddCold(5);
        Assert.Equal([2u, 1, 5], TakeHot(ref hot, 3));
    }

    [Fact]
    public void The_list_is_the_same_wherever_in_its_ring_it_begins()
    {
        // From every place and to both sides, over the ring's end.
        for (int start = -HotPages.Capacity; start <= HotPages.Capacity; start++)
        {
            HotPages hot = default;
            for (int i = 0; i < Math.Abs(start); i++)
            {
                if (start > 0)
                {
                    hot.Add(0);
                    TakeCold(ref hot, 1);
                }
                else
                {
                    hot.AddCold(0);
                    TakeHot(ref hot, 1);
                }
            }
            for (uint page = 0; page < HotPages.Capacity; page++)
            {
                if (page % 3 == 0) hot.AddCold(page);
                else hot.Add(page);
            }
            Assert.True(hot.IsFull);
            uint[] cold = [.. Enumerable.Range(0, HotPages.Capacity).Select(page => (uint)page)
                .Where(page => page % 3 == 0).Reverse()];
            Assert.Equal(cold, TakeCold(ref hot, cold.Length));
            Assert.Equal(Enumerable.Range(0, HotPages.Capacity).Select(page => (uint)page).Where(page => page % 3 != 0)
                .Reverse(), TakeHot(ref hot, HotPages.Capacity));
        }
    }

    [Fact]
    public void Any_order_of_steps_gives_what_a_list_gives() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("add", "add", "addcold", "take", "cold"), Values.Between(1, 40)),
        200,
        operations =>
        {
            HotPages hot = default;
            List<uint> oracle = []; // the cold end first
            uint next = 0;
            foreach ((string kind, int count) in operations)
            {
                for (int i = 0; i < count; i++)
                {
                    if (kind is "add" or "addcold")
                    {
                        if (oracle.Count == HotPages.Capacity) break;
                        if (kind == "add") hot.Add(next);
                        else hot.AddCold(next);
                        oracle.Insert(kind == "add" ? oracle.Count : 0, next++);
                        continue;
                    }
                    uint page;
                    Assert.Equal(oracle.Count != 0, kind == "take" ? hot.TryTake(out page) : hot.TryTakeCold(out page));
                    if (oracle.Count == 0) break;
                    int at = kind == "take" ? oracle.Count - 1 : 0;
                    Assert.Equal(oracle[at], page);
                    oracle.RemoveAt(at);
                }
                Assert.Equal(oracle.Count, hot.Count);
                Assert.Equal(oracle.Count == HotPages.Capacity, hot.IsFull);
            }
        },
        runs: 100);

    private static List<uint> TakeCold(ref HotPages hot, int count)
    {
        List<uint> pages = [];
        while (pages.Count < count && hot.TryTakeCold(out uint page)) pages.Add(page);
        return pages;
    }

    private static List<uint> TakeHot(ref HotPages hot, int count)
    {
        List<uint> pages = [];
        while (pages.Count < count && hot.TryTake(out uint page)) pages.Add(page);
        return pages;
    }
}
