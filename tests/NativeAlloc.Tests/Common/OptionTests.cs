using NativeAlloc.Common;
using Xunit;

namespace NativeAlloc.Tests.Common;

/// <summary>
/// Shows where an option is read from, and that a wrong one is told with its source, its value and what it may be.
/// </summary>
public sealed class OptionTests : IDisposable
{
    private const string Name = "OptionOfATest", Variable = "NATIVEALLOC_OPTION_OF_A_TEST",
        ContextName = $"NativeAlloc.{Name}";

    private static readonly Option s_count =
        new(Name, Variable, OptionUnit.Count, 0, 10) { Default = 7, Meaning = "A number." };

    private static readonly Option s_bytes =
        new(Name, Variable, OptionUnit.Bytes, 1000, 1L << 40) { Default = null, Meaning = "A size." };

    private static readonly Option s_choice =
        new(Name, Variable, OptionUnit.Choice, 0, 2) { Choices = ["Red", "Green", "Blue"], Meaning = "A colour." };

    public void Dispose() => Set(null, null);

    [Fact]
    public void What_is_not_set_has_its_default()
    {
        Assert.Equal(7, Read(s_count));
        Assert.Null(Read(s_bytes));
        Set(null, ""); // as good as not set
        Assert.Equal(7, Read(s_count));
    }

    [Fact]
    public void The_environment_is_read_where_the_program_says_nothing()
    {
        Set(null, "5");
        Assert.Equal(5, Read(s_count));
        Set("6", "5");
        Assert.Equal(6, Read(s_count));
        Set("6", "nonsense"); // not looked at
        Assert.Equal(6, Read(s_count));
    }

    [Theory]
    [InlineData("0", 0)]
    [InlineData("10", 10)]
    [InlineData("007", 7)]
    [InlineData("-0", 0)]
    public void Every_number_of_the_range_is_taken(string text, int number) => AssertTaken(s_count, text, number);

    [Theory]
    [InlineData("1000", 1000)]
    [InlineData("1K", 1L << 10)]
    [InlineData("1536k", 1536L << 10)]
    [InlineData("3M", 3L << 20)]
    [InlineData("3m", 3L << 20)]
    [InlineData("1024G", 1L << 40)]
    [InlineData("1024g", 1L << 40)]
    public void A_number_of_bytes_may_be_written_in_powers_of_1024(string text, long bytes) =>
        AssertTaken(s_bytes, text, bytes);

    [Theory]
    [InlineData("Red", 0)]
    [InlineData("green", 1)]
    [InlineData("BLUE", 2)]
    public void A_choice_is_written_as_one_of_its_names(string text, int place) => AssertTaken(s_choice, text, place);

    [Fact]
    public void A_program_may_set_a_number_as_a_number_and_a_choice_as_one()
    {
        Set(4, null);
        Assert.Equal(4, Read(s_count));
        Set(4L, null);
        Assert.Equal(4, Read(s_count));
        Set(ConsoleColor.Green, null);
        Assert.Equal(1, Read(s_choice));
    }

    [Theory]
    [InlineData("11")]
    [InlineData("-1")]
    [InlineData("1.5")]
    [InlineData("ten")]
    [InlineData(" 3")]
    [InlineData("3 ")]
    [InlineData("3K")]
    [InlineData("0x3")]
    [InlineData("99999999999")]
    [InlineData("99999999999999999999")]
    [InlineData(" ")]
    public void Anything_else_is_told_with_where_it_was_set_to_what_and_what_it_may_be(string text) =>
        AssertTold(s_count, text, "a whole number from 0 to 10");

    [Theory]
    [InlineData("999")]
    [InlineData("1025G")]
    [InlineData("9223372036854775807G")]
    [InlineData("1T")]
    [InlineData("1KB")]
    [InlineData("1 K")]
    [InlineData("K")]
    [InlineData("-1M")]
    [InlineData("0.5G")]
    public void A_wrong_number_of_bytes_is_told(string text) =>
        AssertTold(s_bytes, text, "a number of bytes from 1000 to 1024G");

    [Theory]
    [InlineData("Yellow")]
    [InlineData("1")]
    [InlineData("Red ")]
    public void A_wrong_choice_is_told(string text) => AssertTold(s_choice, text, "Red or Green or Blue");

    [Fact]
    public void An_empty_option_of_the_program_is_wrong()
    {
        Set("", "5");
        AssertTold(s_count, $"AppContext '{ContextName}'", "", "from 0 to 10");
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(1023, "1023")]
    [InlineData(1024, "1K")]
    [InlineData(1536, "1536")]
    [InlineData(3L << 20, "3M")]
    [InlineData(1L << 44, "16384G")]
    public void Bytes_are_written_in_the_largest_unit_that_fits(long bytes, string text) =>
        Assert.Equal(text, Option.BytesText(bytes));

    private static long? Read(Option option)
    {
        string? error = null;
        long? value = option.Read(ref error);
        Assert.Null(error);
        return value;
    }

    private static void AssertTaken(Option option, string text, long number)
    {
        Set(null, text);
        Assert.Equal(number, Read(option));
        Set(text, null);
        Assert.Equal(number, Read(option));
    }

    private static void AssertTold(Option option, string text, string range)
    {
        Set(null, text);
        AssertTold(option, $"environment variable {Variable}", text, range);
        Set(text, "5");
        AssertTold(option, $"AppContext '{ContextName}'", text, range);
    }

    private static void AssertTold(Option option, string source, string text, string range)
    {
        string? error = null;
        Assert.Equal(option.Default, option.Read(ref error));
        foreach (string named in new[] { source, $"'{text}'", range })
            Assert.Contains(named, error, StringComparison.Ordinal);
    }

    private static void Set(object? context, string? variable)
    {
        AppContext.SetData(ContextName, context);
        Environment.SetEnvironmentVariable(Variable, variable);
    }
}
