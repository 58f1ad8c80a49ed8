using System.IO.Compression;
using System.Text.Json;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Diagnostics;

/// <summary>
/// Proves that the tool <c>nativealloc</c> shows a process that enabled nothing, and says what is wrong where it
/// cannot.
/// </summary>
public sealed class ToolTests
{
    private const string MissingProcess = "2000000000"; // beyond what the system numbers processes with

    private const int PauseMilliseconds = 10;

    [Fact]
    public void Top_shows_the_caches_of_a_process_at_work()
    {
        using BusyProcess busy = new();
        ChildProcess top = RunTool("top", "--process-id", Id(busy), "--count", "2", "--sort", "objects",
            "--rows", "200");
        top.ShouldSucceed();
        Assert.Contains("sorted by objects", top.Output, StringComparison.Ordinal);
        Assert.Matches(@"(?m)^\s*1024\s+\d+\s+\d+\s+\d+\s+\d+\s+[\d.]+\s+\S+", top.Output);
    }

    [Fact]
    public void Top_draws_on_a_terminal()
    {
        const string Script = "/usr/bin/script";
        Assert.SkipUnless(File.Exists(Script), "There is no pseudo-terminal: the package bsdutils has `script`.");
        using BusyProcess busy = new();
        string command = $"dotnet {ToolPath} top -p {Id(busy)} --count 2";
        ChildProcess top = ChildProcess.RunProgram(Script, AppContext.BaseDirectory, [("TERM", "xterm-256color")],
            "-qec", command, "/dev/null");
        top.ShouldSucceed();
        Assert.Contains("\e[", top.Output, StringComparison.Ordinal);
        Assert.Contains("OBJ SIZE", top.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_report_is_a_whole_page_and_figures_that_can_be_read()
    {
        using BusyProcess busy = new();
        using TemporaryDirectory directory = new();
        string page = Path.Combine(directory.Path, "heap.html"), figures = Path.Combine(directory.Path, "heap.json");
        long begin = Environment.TickCount64;
        RunTool("report", Id(busy), "--html", page, "--json", figures).ShouldSucceed();
        // A reader that waits in vain for the last part of a report gives up after 20 s, and here there are two.
        Assert.InRange(Environment.TickCount64 - begin, 0, 40_000);
        Assert.EndsWith("</html>", File.ReadAllText(page).TrimEnd(), StringComparison.Ordinal);
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(figures));
        Assert.True(json.RootElement.GetProperty("ReservedBytes").GetInt64() > 0);
    }

    [Fact]
    public void A_profile_and_the_leaks_name_the_code()
    {
        using BusyProcess busy = new();
        using TemporaryDirectory directory = new();
        string file = Path.Combine(directory.Path, "heap.pb.gz");
        ChildProcess profile = RunTool("profile", Id(busy), "--seconds", "1", "--pprof", file);
        profile.ShouldSucceed();
        Assert.Contains("Busy", profile.Output, StringComparison.Ordinal);
        using GZipStream content = new(File.OpenRead(file), CompressionMode.Decompress);
        Assert.True(content.ReadByte() >= 0);
        ChildProcess leaks = RunTool("leaks", Id(busy));
        leaks.ShouldSucceed();
        Assert.Contains("NativeAlloc leak report", leaks.Output, StringComparison.Ordinal);
        ChildProcess fragmentation = RunTool("fragmentation", Id(busy));
        fragmentation.ShouldSucceed();
        Assert.Contains("free in slabs that live blocks keep", fragmentation.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("INT")]
    [InlineData("TERM")]
    public void A_profile_that_is_interrupted_leaves_no_profiler_at_work(string signal)
    {
        SystemNeeds.Linux("a program that sends signals");
        using BusyProcess busy = new();
        // What starts the tests may have them, and with them the tool, ignore the signal.
        string[] command = [$"--default-signal={signal}", "dotnet", ToolPath, "profile", Id(busy), "-s", "100000"];
        ChildProcess profile = ChildProcess.RunProgram("env", AppContext.BaseDirectory, [], tool =>
        {
            while (!tool.HasExited && !busy.IsProfiled()) Thread.Sleep(PauseMilliseconds);
            ChildProcess.RunProgram("sh", AppContext.BaseDirectory, [], "-c", $"kill -{signal} {tool.Id}");
        }, command);
        Assert.Equal(1, profile.ExitCode);
        Assert.Contains("interrupted", profile.Errors, StringComparison.Ordinal);
        Assert.False(busy.IsProfiled());
    }

    [Theory]
    [InlineData("-1")]
    [InlineData("NaN")]
    [InlineData("1e30")]
    [InlineData("soon")]
    public void A_time_that_cannot_be_waited_is_refused_with_a_message(string seconds)
    {
        ChildProcess profile = RunTool("profile", MissingProcess, "--seconds", seconds);
        Assert.Equal(1, profile.ExitCode);
        Assert.Contains(seconds, profile.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain(MissingProcess, profile.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("Exception", profile.Errors, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void A_report_of_which_a_part_is_lost_is_given_up()
    {
        using BusyProcess endless = new(EndlessReport.Name);
        ChildProcess report = RunTool("report", Id(endless), "--patience", "8");
        Assert.Equal(1, report.ExitCode);
        Assert.Contains("a part of it was lost", report.Errors, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void A_profiler_whose_start_was_not_answered_is_stopped()
    {
        using BusyProcess endless = new(EndlessReport.Name);
        Assert.Equal(1, RunTool("profile", Id(endless), "--seconds", "1", "--patience", "8").ExitCode);
        Assert.Equal(["profiler-start", "profiler-stop"], endless.End().Split('\n', StringSplitOptions.TrimEntries
            | StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void A_process_that_is_stopped_is_given_up()
    {
        SystemNeeds.Linux("a program that sends signals");
        using BusyProcess busy = new();
        busy.Signal("STOP");
        long begin = Environment.TickCount64;
        ChildProcess leaks = RunTool("leaks", Id(busy), "--patience", "8");
        busy.Signal("CONT");
        Assert.Equal(1, leaks.ExitCode);
        Assert.Contains("does not answer", leaks.Errors, StringComparison.Ordinal);
        Assert.InRange(Environment.TickCount64 - begin, 0, 60_000);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void Top_gives_up_a_process_that_is_stopped()
    {
        SystemNeeds.Linux("a program that sends signals");
        using BusyProcess busy = new();
        CheckTopFails(busy, () => busy.Signal("STOP"));
        busy.Signal("CONT");
    }

    [Fact]
    public void Top_says_that_the_process_has_ended()
    {
        SystemNeeds.Linux("a shell");
        using BusyProcess busy = new();
        CheckTopFails(busy, () => busy.End());
    }

    [Fact]
    public void Top_says_that_the_process_was_killed()
    {
        SystemNeeds.Linux("a program that sends signals");
        using BusyProcess busy = new();
        CheckTopFails(busy, () => busy.Signal("KILL"));
    }

    [Theory]
    [InlineData("--count")]
    [InlineData("--rows")]
    public void A_negative_number_is_refused_with_a_message(string option)
    {
        ChildProcess top = RunTool("top", MissingProcess, option, "-1");
        Assert.Equal(1, top.ExitCode);
        Assert.Contains($"{option} -1", top.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain(MissingProcess, top.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_not_there_is_said()
    {
        ChildProcess missing = RunTool("leaks", MissingProcess);
        Assert.Equal(1, missing.ExitCode);
        Assert.Contains(MissingProcess, missing.Errors, StringComparison.Ordinal);
        ChildProcess unnamed = RunTool("leaks", "no-such-process-as-this");
        Assert.Equal(1, unnamed.ExitCode);
    }

    // What happens to the process does so when the figures were shown once.
    private static void CheckTopFails(BusyProcess busy, Action happens)
    {
        using TemporaryDirectory directory = new();
        string shown = Path.Combine(directory.Path, "shown");
        string command = $"exec dotnet '{ToolPath}' top --process-id {Id(busy)} --count 1000 --patience 8 > '{shown}'";
        ChildProcess top = ChildProcess.RunProgram("sh", AppContext.BaseDirectory, [], tool =>
        {
            while (!tool.HasExited && (!File.Exists(shown) || new FileInfo(shown).Length == 0))
                Thread.Sleep(PauseMilliseconds);
            happens();
        }, "-c", command);
        Assert.Equal(1, top.ExitCode);
        Assert.Contains($"Process {Id(busy)} has ended, or answers no more", top.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("Exception", top.Errors, StringComparison.Ordinal);
    }

    private static string ToolPath => Path.Combine(AppContext.BaseDirectory, "NativeAlloc.Tool.dll");

    private static string Id(BusyProcess busy) => busy.Id.ToString("0", null);

    private static ChildProcess RunTool(params string[] arguments) =>
        ChildProcess.RunDotnet(AppContext.BaseDirectory, [("COLUMNS", "120")], [ToolPath, .. arguments]);
}
