using NativeAlloc.Pages;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>Shows where the marks of a zone are, when reclaim is due and when again, and that no number of pages is too small or too large for them.</summary>
public sealed class WatermarksTests
{
    private const uint PagesOf4GiB = 65_536;

    [Theory]
    [InlineData(0u, 1, 1, 1)]
    [InlineData(1u, 1, 1, 1)]
    [InlineData(64u, 4, 5, 6)] // 4 MiB: 256 KiB
    [InlineData(PagesOf4GiB, 128, 160, 192)] // 8 MiB
    [InlineData(393_216u, 313, 391, 469)] // 24 GiB: 20 MiB
    [InlineData(1u << 24, 2048, 2560, 3072)] // 1 TiB: 128 MiB
    [InlineData(uint.MaxValue, 32_767, 40_958, 49_150)]
    public void The_marks_grow_with_the_root_of_memory(uint limitPages, uint minPages, uint lowPages, uint highPages)
    {
        Watermarks marks = new(limitPages);
        Assert.Equal(limitPages, marks.LimitPages);
        Assert.Equal((minPages, lowPages, highPages), (marks.MinPages, marks.LowPages, marks.HighPages));
    }

    [Fact]
    public void Reclaim_is_due_below_the_low_mark_once_and_then_again_with_each_further_step()
    {
        Watermarks marks = new(PagesOf4GiB);
        Assert.False(marks.IsReclaimDue(0));
        Assert.False(marks.IsReclaimDue(PagesOf4GiB - 160)); // as many as the mark says are there
        Assert.True(marks.IsReclaimDue(PagesOf4GiB - 159));
        Assert.False(marks.IsReclaimDue(PagesOf4GiB - 159));
        Assert.False(marks.IsReclaimDue(PagesOf4GiB - 159 + 128));
        Assert.True(marks.IsReclaimDue(PagesOf4GiB - 159 + 129));
        // 30 pages are available, less than the lowest mark: a quarter of the step.
        Assert.False(marks.IsReclaimDue(PagesOf4GiB - 30 + 32));
        Assert.True(marks.IsReclaimDue(PagesOf4GiB - 30 + 33));
    }

    [Fact]
    public void Reclaim_that_got_to_the_high_mark_is_due_at_the_low_one_again_and_any_other_is_not()
    {
        Watermarks marks = new(PagesOf4GiB);
        Assert.True(marks.IsReclaimDue(PagesOf4GiB - 159));
        marks.Rearm(PagesOf4GiB - 191); // one page short
        Assert.False(marks.IsReclaimDue(PagesOf4GiB - 159));
        marks.Rearm(PagesOf4GiB - 192);
        Assert.False(marks.IsReclaimDue(PagesOf4GiB - 160));
        Assert.True(marks.IsReclaimDue(PagesOf4GiB - 159));
    }

    [Fact]
    public void What_is_missing_is_what_leads_to_the_high_mark()
    {
        Watermarks marks = new(PagesOf4GiB);
        Assert.Equal(0u, marks.MissingPages(0));
        Assert.Equal(0u, marks.MissingPages(PagesOf4GiB - 192));
        Assert.Equal(1u, marks.MissingPages(PagesOf4GiB - 191));
        Assert.Equal(192u, marks.MissingPages(PagesOf4GiB));
        Assert.Equal(292u, marks.MissingPages(PagesOf4GiB + 100)); // a zone can have more than there is memory for
    }

    [Fact]
    public void Any_limit_and_any_number_of_pages_give_what_arithmetic_without_limits_gives() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("due", "due", "due", "rearm"), Values.Between(0, int.MaxValue)),
        40,
        operations =>
        {
            // No machine has more pages than the region and the high pages together; a zone's limit may be anything.
            foreach (uint limit in (uint[])[0, 1, 2, 63, 1000, PagesOf4GiB, int.MaxValue, uint.MaxValue])
            {
                Watermarks marks = new(limit);
                long least = marks.MinPages, low = least + least / 4, high = least + least / 2;
                long first = Math.Max(0, limit - low), next = first;
                foreach ((string kind, int number) in operations)
                {
                    // Half of the numbers near the marks, where something happens.
                    long taken = number % 2 == 0 ? Math.Min(number, 1L << 29) : Math.Clamp(limit - high - 2 + number % (2 * high + 4), 0, uint.MaxValue - high);
                    long available = Math.Max(0, limit - taken);
                    Assert.Equal(Math.Max(0, taken - Math.Max(0, limit - high)), marks.MissingPages((uint)taken));
                    if (kind == "due")
                    {
                        Assert.Equal(taken > next, marks.IsReclaimDue((uint)taken));
                        if (taken > next) next = taken + (available < least ? Math.Max(1, least / 4) : least);
                    }
                    else
                    {
                        marks.Rearm((uint)taken);
                        if (available >= high) next = first;
                    }
                }
            }
        },
        runs: 200);
}
