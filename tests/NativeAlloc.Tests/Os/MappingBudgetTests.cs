using System.Globalization;
using NativeAlloc.Os;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>
/// Shows that mappings are counted up to the limit and no further, by several threads too, and that the limit is half
/// of the system's.
/// </summary>
public sealed class MappingBudgetTests : IDisposable
{
    private readonly int _limit = MappingBudget.Limit, _inUse = MappingBudget.InUse;

    public void Dispose()
    {
        MappingBudget.Limit = _limit;
        Assert.Equal(_inUse, MappingBudget.InUse);
    }

    [Fact]
    public void The_limit_is_half_of_what_the_system_allows()
    {
        int system = int.Parse(File.ReadAllText("/proc/sys/vm/max_map_count"), CultureInfo.InvariantCulture);
        Assert.Equal(system / 2, _limit);
        Assert.InRange(system, 1000, int.MaxValue); // no system with less would be of use
    }

    [Fact]
    public void As_many_are_counted_as_the_limit_allows()
    {
        MappingBudget.Limit = _inUse + 10;
        Assert.True(MappingBudget.TryTake(7));
        Assert.False(MappingBudget.TryTake(4));
        Assert.True(MappingBudget.TryTake(3));
        Assert.False(MappingBudget.TryTake(1));
        Assert.False(MappingBudget.TryTake(int.MaxValue));
        Assert.True(MappingBudget.TryTake(0));
        Assert.Equal(_inUse + 10, MappingBudget.InUse);
        MappingBudget.Give(10);
    }

    [Fact]
    public void A_limit_below_what_is_in_use_refuses_everything_until_enough_is_given_back()
    {
        Assert.True(MappingBudget.TryTake(5));
        MappingBudget.Limit = _inUse + 3;
        Assert.False(MappingBudget.TryTake(1));
        MappingBudget.Give(3);
        Assert.True(MappingBudget.TryTake(1));
        MappingBudget.Give(3);
    }

    [Fact]
    public void Threads_together_never_get_more_than_the_limit()
    {
        const int Threads = 4, Rounds = 20_000, Most = 10;
        MappingBudget.Limit = _inUse + Most;
        int held = 0, highest = 0;
        TestThread.RunTogether(Threads, number =>
        {
            for (int round = 0; round < Rounds; round++)
            {
                int mappings = 3 + (round + number) % 3;
                if (!MappingBudget.TryTake(mappings)) continue;
                int now = Interlocked.Add(ref held, mappings);
                if (now > Volatile.Read(ref highest)) Volatile.Write(ref highest, now);
                Interlocked.Add(ref held, -mappings);
                MappingBudget.Give(mappings);
            }
        });
        Assert.InRange(highest, 3, Most);
    }

    [Theory]
    [InlineData("262144\n", 262144)]
    [InlineData("  1000 ", 1000)]
    [InlineData("many", 65_530)]
    [InlineData("-5", 65_530)]
    [InlineData("", 65_530)]
    public void What_the_file_says_counts_and_nonsense_does_not(string text, int limit)
    {
        using TemporaryDirectory root = new();
        root.Write("proc/sys/vm/max_map_count", text);
        Assert.Equal(limit / 2, MappingBudget.LimitOf(new LinuxSystem(root.Path).Read(SystemFigure.MappingLimit)));
    }

    [Fact]
    public void Without_the_file_half_of_the_usual_limit_counts() =>
        Assert.Equal(65_530 / 2, MappingBudget.LimitOf(null));

    [Fact]
    public void A_limit_beyond_all_numbers_is_none() =>
        Assert.Equal(int.MaxValue / 2, MappingBudget.LimitOf(ulong.MaxValue));
}
