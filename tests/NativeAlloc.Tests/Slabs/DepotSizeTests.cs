using NativeAlloc.Slabs;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows how many magazines a depot keeps, and moves at one time, by who exchanged them, where they went, and how large
/// the cache is.
/// </summary>
public sealed class DepotSizeTests
{
    [Fact]
    public void An_exchange_says_whether_the_one_before_was_another_threads_and_moves_the_limit() =>
        Properties.ForAllSequences(
        Values.Pairs(Values.Between(1, 3), Values.Between(1, 150)),
        40,
        operations =>
        {
            const int Largest = 20;
            DepotSize size = default;
            int limit = 0, last = 0, calm = 0;
            foreach ((int thread, int times) in operations)
            {
                for (int i = 0; i < times; i++)
                {
                    bool changed = size.NoteExchange(thread, Largest);
                    Assert.Equal(last != 0 && last != thread, changed); // the very first has none before it
                    calm = thread == last ? calm + 1 : 0;
                    if (thread != last) limit = Math.Min(Largest, 2 * limit + 1);
                    else if (calm % 64 == 0) limit /= 2;
                    last = thread;
                    Assert.Equal(limit, size.Limit);
                }
            }
        });

    [Fact]
    public void As_many_magazines_are_kept_as_went_one_way_before_some_came_back_unless_they_were_many() =>
        Properties.ForAllSequences(
        Values.Between(1, 2 * DepotSize.MostKept),
        40,
        turns =>
        {
            DepotSize size = default;
            int kept = 0, before = 0;
            bool to = false;
            foreach (int times in turns)
            {
                to = !to;
                for (int i = 1; i <= times; i++)
                {
                    size.NoteSlabs(to);
                    if (i == 1 && before is > 0 and <= DepotSize.MostKept)
                        kept = Math.Min(DepotSize.MostKept, kept + before);
                    if (i > DepotSize.MostKept) kept = 0;
                    Assert.Equal(kept, size.Kept);
                }
                before = times;
            }
        });

    [Fact]
    public void A_depot_keeps_what_threads_pass_on_or_go_up_and_down_by_or_what_is_worth_moving_whichever_is_most()
    {
        DepotSize size = default;
        Assert.Equal(3, size.FullToKeep(bulk: 3));
        size.NoteSlabs(to: true);
        size.NoteSlabs(to: true);
        size.NoteSlabs(to: false);
        Assert.Equal((2, 3), (size.FullToKeep(bulk: 1), size.FullToKeep(bulk: 3)));
        size.NoteExchange(1, 20);
        Assert.False(size.IsContended); // one thread alone
        size.NoteExchange(2, 20);
        size.NoteExchange(1, 20);
        Assert.True(size.IsContended);
        Assert.Equal(7, size.FullToKeep(bulk: 3));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(16 * 10 - 1, 0)]
    [InlineData(16 * 10, 1)]
    [InlineData(2 * 16 * 10, 2)]
    [InlineData(1_000_000, 3)]
    [InlineData(5_000_000_000, 3)]
    public void A_sixteenth_of_the_cache_moves_at_one_time_but_at_most_three_magazines(long objects, int expected) =>
        Assert.Equal(expected, DepotSize.BulkOf((ulong)objects, capacity: 10));
}
