using Xunit;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>Shows that the property runner finds what is wrong, names the seed, and repeats itself with it.</summary>
public sealed class PropertiesTests
{
    private const string Seed = "0123456789ab";

    [Fact]
    public void A_failure_names_a_seed_that_brings_it_back_and_the_simplest_value()
    {
        Values<int> values = Values.Between(0, 99);
        List<int> failed = [];
        InvalidOperationException error = Assert.Throws<InvalidOperationException>(() => Properties.Run(values, value =>
        {
            if (value < 70) return;
            failed.Add(value);
            throw new InvalidOperationException("it does not hold");
        }, 100, Seed));
        Assert.Contains(" 70", error.Message.ReplaceLineEndings(" "), StringComparison.Ordinal);
        string named = error.Message.Split($"{Properties.SeedVariable}=")[1][..Seed.Length];
        List<int> again = [];
        Properties.Run(values, again.Add, 1, named);
        Assert.Equal([failed[0]], again);
    }

    [Fact]
    public void The_same_seed_gives_the_same_values()
    {
        List<int> first = [], second = [];
        Properties.Run(Values.Between(0, int.MaxValue - 1), first.Add, 50, Seed);
        Properties.Run(Values.Between(0, int.MaxValue - 1), second.Add, 50, Seed);
        Assert.Equal(50, first.Count);
        Assert.True(first.Distinct().Count() > 1);
        Assert.Equal(first, second);
    }

    [Fact]
    public void A_failing_sequence_shrinks_to_the_operations_that_matter()
    {
        InvalidOperationException error = Assert.Throws<InvalidOperationException>(() => Properties.RunSequences(
            Values.Sequences(Values.Between(0, 9), 100),
            sequence =>
            {
                if (sequence.Count(value => value == 7) >= 3) throw new InvalidOperationException("three sevens");
            },
            100,
            Seed));
        Assert.Contains($"{Properties.SeedVariable}=", error.Message, StringComparison.Ordinal);
        Assert.Contains(" 3 fail: 7, 7, 7.", error.Message, StringComparison.Ordinal);
    }
}
