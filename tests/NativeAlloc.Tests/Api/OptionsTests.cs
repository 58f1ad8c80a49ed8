using System.Globalization;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves, in processes of their own, that an option is taken from the program's code before <c>AppContext</c> and from
/// there before the environment, that it is in force, and that what is wrong or comes too late is said at once.
/// </summary>
public sealed class OptionsTests
{
    [Fact]
    public void Code_comes_before_AppContext_and_AppContext_before_the_environment()
    {
        (string, string)[] environment =
        [
            ("NATIVEALLOC_DECAY_MILLISECONDS", "1"), ("NATIVEALLOC_DIRTY_CAP_BYTES", "2K"),
            ("NATIVEALLOC_RESIDENT_LIMIT_BYTES", "3M"), ("NATIVEALLOC_RESERVE_BYTES", "1G"),
            ("NATIVEALLOC_VMALLOC_RESERVE_BYTES", "5G"), ("NATIVEALLOC_FAKE_NODES", "2"),
            ("NATIVEALLOC_HUGE_PAGES", "never"),
        ];
        Dictionary<string, string> shown = Show(environment, ShowOptions.Print);
        AssertShown(shown, ("DecayMilliseconds", 1), ("DirtyCapBytes", 2048), ("ResidentLimitBytes", 3 * 1024 * 1024),
            ("ReserveBytes", 1L << 30), ("VmallocReserveBytes", 5L << 30), ("FakeNodes", 2));
        Assert.Equal("False", shown["HugePages"]);

        shown = Show(environment, ShowOptions.Context, "NativeAlloc.DecayMilliseconds=-1", ShowOptions.Context,
            "NativeAlloc.FakeNodes=3", ShowOptions.Configure, "FakeNodes=4,HugePages=Auto", ShowOptions.Print);
        AssertShown(shown, ("DecayMilliseconds", -1), ("DirtyCapBytes", 2048), ("FakeNodes", 4));
        Assert.Equal("True", shown["HugePages"]);
    }

    [Fact]
    public void Nothing_set_gives_the_defaults()
    {
        Dictionary<string, string> shown = Show([], ShowOptions.Print);
        AssertShown(shown, ("DecayMilliseconds", 1000), ("ResidentLimitBytes", 0), ("ReserveBytes", 0),
            ("VmallocReserveBytes", 0), ("FakeNodes", 0));
        Assert.Equal("True", shown["HugePages"]);
        Assert.InRange(nuint.Parse(shown["DirtyCapBytes"], CultureInfo.InvariantCulture), 64 * Sizes.MiB, Sizes.GiB);
    }

    [Theory]
    [InlineData(1, 64)]
    [InlineData(65, 128)]
    [InlineData(1024, 1024)]
    [InlineData(1025, 2048)]
    public void The_region_is_as_large_as_was_asked_for_rounded_up(uint askedMiB, uint reservedMiB)
    {
        string asked = (askedMiB * Sizes.MiB).ToString(CultureInfo.InvariantCulture);
        AssertShown(Show([], ShowOptions.Configure, $"ReserveBytes={asked}", ShowOptions.Use, ShowOptions.Print),
            ("Reserved", (long)(reservedMiB * Sizes.MiB)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("DecayMilliseconds=5")]
    public void Options_that_come_after_the_first_use_are_an_error_and_have_no_effect(string options)
    {
        foreach (string use in new[] { ShowOptions.Use, ShowOptions.Print })
        {
            string[] lines = Run([], use, ShowOptions.Configure, options, ShowOptions.Print);
            Assert.Contains(lines,
                line => line.StartsWith($"{nameof(InvalidOperationException)}: NativeAllocator.Configure came too late",
                    StringComparison.Ordinal));
            Assert.DoesNotContain("DecayMilliseconds=5", lines);
        }
    }

    [Fact]
    public void Options_are_given_once()
    {
        string[] lines = Run([], ShowOptions.Configure, "DecayMilliseconds=5", ShowOptions.Configure,
            "DecayMilliseconds=6", ShowOptions.Print);
        Assert.StartsWith($"{nameof(InvalidOperationException)}: NativeAllocator.Configure came too late", lines[0],
            StringComparison.Ordinal);
        Assert.Contains("DecayMilliseconds=5", lines);
    }

    [Fact]
    public void Options_that_are_wrong_leave_the_way_open_for_right_ones()
    {
        string[] lines = Run([], ShowOptions.Configure, "DecayMilliseconds=6,FakeNodes=-1", ShowOptions.Configure,
            "FakeNodes=2", ShowOptions.Print);
        Assert.StartsWith(
            $"{nameof(ArgumentOutOfRangeException)}: The option FakeNodes is -1; it must be a whole number from 0 to " +
            "64", lines[0], StringComparison.Ordinal);
        Assert.Contains("FakeNodes=2", lines);
        Assert.Contains("DecayMilliseconds=1000", lines);
    }

    [Fact]
    public void A_wrong_value_from_outside_is_told_by_every_allocation_and_not_only_the_first()
    {
        string[] lines = Run([("NATIVEALLOC_RESERVE_BYTES", "lots")], ShowOptions.Use, ShowOptions.Use);
        Assert.Equal(2, lines.Length);
        foreach (string line in lines)
            foreach (string named in new[] { $"{nameof(InvalidOperationException)}: ",
                "environment variable NATIVEALLOC_RESERVE_BYTES", "'lots'", "from 0 to 16384G" })
                Assert.Contains(named, line, StringComparison.Ordinal);
    }

    [Fact]
    public void A_wrong_value_from_outside_is_not_looked_at_where_the_program_says_something() =>
        AssertShown(Show([("NATIVEALLOC_FAKE_NODES", "many")], ShowOptions.Configure, "FakeNodes=2", ShowOptions.Use,
            ShowOptions.Print), ("FakeNodes", 2));

    [Fact]
    public void Huge_pages_are_asked_for_unless_that_is_forbidden()
    {
        Assert.NotEqual(0, Requests("Auto"));
        Assert.NotEqual(0, Requests("Always"));
        Assert.Equal(0, Requests("Never"));

        static int Requests(string policy) =>
            int.Parse(ChildProcess.RunHost([("NATIVEALLOC_HUGE_PAGES", policy)], HugePageRequests.Name)
                .ShouldSucceed().Output, CultureInfo.InvariantCulture);
    }

    private static string[] Run((string, string)[] environment, params string[] steps) =>
        ChildProcess.RunHost(environment, ShowOptions.Name, steps).ShouldSucceed().Output.Split('\n',
            StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static Dictionary<string, string> Show((string, string)[] environment, params string[] steps) =>
        Run(environment, steps).Select(line => line.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]);

    private static void AssertShown(Dictionary<string, string> shown, params (string Name, long Value)[] expected)
    {
        foreach ((string name, long value) in expected)
            Assert.Equal(value.ToString(CultureInfo.InvariantCulture), shown[name]);
    }
}
