using NativeAlloc.Common;
using Xunit;

namespace NativeAlloc.Tests.Common;

/// <summary>Shows where a setting is read from, and that a wrong one is told with its source, its value and what it may be.</summary>
public sealed class SettingTests : IDisposable
{
    private const string Name = "NativeAlloc.SettingOfATest", Variable = "NATIVEALLOC_SETTING_OF_A_TEST";

    public void Dispose() => Set(null, null);

    [Fact]
    public void What_is_not_set_has_its_fallback_whatever_the_range()
    {
        Assert.Equal(7, Read());
        Assert.Equal(-3, Setting.Read(Name, Variable, -3, 0, 10));
        Set(null, ""); // as good as not set
        Assert.Equal(7, Read());
    }

    [Fact]
    public void The_environment_is_read_where_the_program_says_nothing()
    {
        Set(null, "5");
        Assert.Equal(5, Read());
        Set("6", "5");
        Assert.Equal(6, Read());
        Set("6", "nonsense"); // not looked at
        Assert.Equal(6, Read());
    }

    [Theory]
    [InlineData("0", 0)]
    [InlineData("10", 10)]
    [InlineData("007", 7)]
    [InlineData("-0", 0)]
    public void Every_number_of_the_range_is_taken(string text, int number)
    {
        Set(null, text);
        Assert.Equal(number, Read());
        Set(text, null);
        Assert.Equal(number, Read());
    }

    [Fact]
    public void A_program_may_set_a_number_as_a_number()
    {
        Set(4, null);
        Assert.Equal(4, Read());
        Set(4L, null);
        Assert.Equal(4, Read());
    }

    [Theory]
    [InlineData("11")]
    [InlineData("-1")]
    [InlineData("1.5")]
    [InlineData("ten")]
    [InlineData(" 3")]
    [InlineData("3 ")]
    [InlineData("0x3")]
    [InlineData("99999999999")]
    [InlineData(" ")]
    public void Anything_else_is_an_error_that_says_where_it_was_set_to_what_and_what_it_may_be(string text)
    {
        Set(null, text);
        AssertTold($"environment variable {Variable}", text);
        Set(text, "5");
        AssertTold($"AppContext '{Name}'", text);
    }

    [Fact]
    public void An_empty_setting_of_the_program_is_an_error()
    {
        Set("", "5");
        AssertTold($"AppContext '{Name}'", "");
    }

    private static int Read() => Setting.Read(Name, Variable, 7, 0, 10);

    private static void AssertTold(string source, string text)
    {
        InvalidOperationException error = Assert.Throws<InvalidOperationException>(() => Read());
        Assert.Contains(source, error.Message, StringComparison.Ordinal);
        Assert.Contains($"'{text}'", error.Message, StringComparison.Ordinal);
        Assert.Contains("from 0 to 10", error.Message, StringComparison.Ordinal);
    }

    private static void Set(object? context, string? variable)
    {
        AppContext.SetData(Name, context);
        Environment.SetEnvironmentVariable(Variable, variable);
    }
}
