using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>
/// Shows that every option is declared once and whole: its row, its property, its value and its line in the docs go
/// together.
/// </summary>
public sealed partial class OptionTableTests
{
    [Fact]
    public void Every_option_has_a_property_of_the_options_object_and_a_value_and_the_other_way_round()
    {
        string[] names = [.. OptionTable.All.Select(option => option.Name)];
        Assert.Equal(names, typeof(NativeAllocatorOptions).GetProperties().Select(property => property.Name));
        const BindingFlags Internal = BindingFlags.Static | BindingFlags.NonPublic;
        Assert.Equal(names, typeof(OptionTable).GetFields(Internal).Where(field => field.FieldType == typeof(Option))
            .Select(field => field.Name));
        Assert.Equal(names, typeof(Options).GetFields(Internal)
            .Where(field => field is { IsAssembly: true, IsInitOnly: true }).Select(field => field.Name));
    }

    [Fact]
    public void The_variables_follow_from_the_names()
    {
        foreach (Option option in OptionTable.All)
            Assert.Equal(option.Variable, $"NATIVEALLOC{Capital().Replace(option.Name, "_$0")}".ToUpperInvariant());
    }

    [Fact]
    public void Defaults_are_within_the_ranges_and_those_that_are_worked_out_are_explained()
    {
        foreach (Option option in OptionTable.All)
        {
            Assert.True(option.Default is not { } number || option.Allows(number), option.Name);
            Assert.True(option.Default != null || option.DefaultText != null, option.Name);
            Assert.True(option.Unit != OptionUnit.Choice
                || option is { Least: 0, Default: 0 } && option.Most == option.Choices.Length - 1, option.Name);
            Assert.EndsWith(".", option.Meaning, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_names_of_a_choice_are_those_of_its_type()
    {
        foreach (Option option in OptionTable.All.Where(option => option.Unit == OptionUnit.Choice))
        {
            Type type =
                Nullable.GetUnderlyingType(typeof(NativeAllocatorOptions).GetProperty(option.Name)!.PropertyType)!;
            Assert.Equal(option.Choices, Enum.GetNames(type));
            Assert.Equal(Enumerable.Range(0, option.Choices.Length), Enum.GetValues(type).Cast<object>()
                .Select(value => Convert.ToInt32(value, CultureInfo.InvariantCulture)));
        }
    }

    [Fact]
    public void An_options_object_gives_each_option_its_own_value()
    {
        NativeAllocatorOptions options = new()
        {
            DecayMilliseconds = -1,
            DirtyCapBytes = 2,
            ResidentLimitBytes = 3,
            ReserveBytes = 4,
            VmallocReserveBytes = 5,
            FakeNodes = 6,
            HugePages = HugePagePolicy.Never,
            Check = 1,
            Guard = 9,
            Leaks = 0,
            NativeHeap = 1,
        };
        Assert.Equal([-1, 2, 3, 4, 5, 6, 1, 1, 9, 0, 1], options.ToValues());
        Assert.All(new NativeAllocatorOptions().ToValues(), value => Assert.Null(value));
    }

    [Fact]
    public void A_value_out_of_range_is_told_with_its_property_and_what_it_may_be()
    {
        AssertTold(new() { DecayMilliseconds = -2 }, nameof(NativeAllocatorOptions.DecayMilliseconds), "-2",
            "a whole number from -1 to 86400000");
        AssertTold(new() { DecayMilliseconds = int.MaxValue }, nameof(NativeAllocatorOptions.DecayMilliseconds),
            "2147483647", "a whole number from -1 to 86400000");
        AssertTold(new() { FakeNodes = 65 }, nameof(NativeAllocatorOptions.FakeNodes), "65",
            "a whole number from 0 to 64");
        AssertTold(new() { ReserveBytes = nuint.MaxValue }, nameof(NativeAllocatorOptions.ReserveBytes),
            nuint.MaxValue.ToString(CultureInfo.InvariantCulture), "a number of bytes from 0 to 16384G");
        AssertTold(new() { HugePages = (HugePagePolicy)3 }, nameof(NativeAllocatorOptions.HugePages), "3",
            "Auto or Never or Always");

        static void AssertTold(NativeAllocatorOptions options, string property, string value, string range)
        {
            ArgumentOutOfRangeException error =
                Assert.Throws<ArgumentOutOfRangeException>(() => NativeAllocator.Configure(options));
            Assert.Equal(property, error.ParamName);
            foreach (string named in new[] { property, $"is {value};", range })
                Assert.Contains(named, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void No_options_are_an_error() =>
        Assert.Throws<ArgumentNullException>(() => NativeAllocator.Configure(null!));

    [Fact]
    public void The_page_of_the_docs_is_the_table() => GeneratedPage.ShouldBe("options.md",
    [
        "# Options",
        "",
        "<!-- Made from src/NativeAlloc/Os/OptionTable.cs by a test; change it there. -->",
        "",
        "Each option is taken from the first of these that says something:",
        "",
        "1. `NativeAllocator.Configure(new NativeAllocatorOptions { … })`, once, before any other member of the",
        "   library is used; later it is an `InvalidOperationException`.",
        "2. `AppContext`: `NativeAlloc.<Name>`, also as a property in `runtimeconfig.json` or, in a project file,",
        "   `<RuntimeHostConfigurationOption Include=\"NativeAlloc.<Name>\" Value=\"…\" />`.",
        "3. The environment variable.",
        "",
        "All are read at the first use and are constants from then on. A wrong value in the options object is an",
        "`ArgumentOutOfRangeException` at once; a wrong one in `AppContext` or the environment is an " +
        "`InvalidOperationException`",
        "from every allocation, which names the source, the value and the range. Bytes are a whole number, also with " +
        "`K`, `M` or",
        "`G` behind it for powers of 1024.",
        "",
        .. OptionTable.All.SelectMany(Section),
    ]);

    private static IEnumerable<string> Section(Option option)
    {
        string values = option.Unit == OptionUnit.Choice
            ? string.Join(", ", option.Choices.Select(name => $"`{name}`"))
            : $"{option.Unit.ToString().ToLowerInvariant()}, " +
                $"{Text(option, option.Least)} to {Text(option, option.Most)}";
        string defaultText = option.DefaultText
            ?? (option.Unit == OptionUnit.Choice ? $"`{option.Choices[0]}`" : Text(option, option.Default!.Value));
        return
        [
            $"## {option.Name}", "", $"- `{option.Variable}`", $"- Values: {values}", $"- Default: {defaultText}", "",
            .. GeneratedPage.Paragraph(option.Meaning), "",
        ];
    }

    private static string Text(Option option, long number) =>
        option.Unit == OptionUnit.Bytes ? Option.BytesText(number) : number.ToString(CultureInfo.InvariantCulture);

    [GeneratedRegex("[A-Z]")]
    private static partial Regex Capital();
}
