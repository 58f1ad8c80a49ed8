using Xunit;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>Shows that the property runner does find what is wrong, names the seed, and repeats itself with it.</summary>
public sealed class PropertiesTests
{
    private const ulong Seed = 12345;

    [Fact]
    public void A_failure_names_the_seed_and_the_simplest_value()
    {
        InvalidOperationException error = Assert.Throws<InvalidOperationException>(
            () => Properties.Run(Values.Between(0, 1_000_000), value => Assert.True(value < 700), 100, Seed));
        Assert.Contains($"{Properties.SeedVariable}={Seed}", error.Message, StringComparison.Ordinal);
        Assert.Contains("700", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_same_seed_gives_the_same_values()
    {
        List<int> first = [], second = [];
        Properties.Run(Values.Between(0, int.MaxValue), first.Add, 50, Seed);
        Properties.Run(Values.Between(0, int.MaxValue), second.Add, 50, Seed);
        Assert.Equal(50, first.Count);
        Assert.True(first.Distinct().Count() > 1);
        Assert.Equal(first, second);
    }

    [Fact]
    public void A_failing_sequence_shrinks_to_the_operations_that_matter()
    {
        int[] shortest = [];
        Assert.Throws<InvalidOperationException>(() => Properties.Run(
            Values.Sequences(Values.Between(0, 9), 100),
            sequence =>
            {
                if (sequence.Count(value => value == 7) < 3) return;
                shortest = sequence;
                throw new InvalidOperationException("three sevens");
            },
            100,
            Seed));
        Assert.Equal([7, 7, 7], shortest);
    }
}
