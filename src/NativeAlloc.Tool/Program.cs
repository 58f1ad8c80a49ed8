using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Spectre.Console;

namespace NativeAlloc.Tool;

/// <summary>The commands. Exit code 0: done; 1: it could not be done, for a reason on standard error.</summary>
internal static class Program
{
    private static readonly Argument<string?> s_process = new("process")
    {
        Arity = ArgumentArity.ZeroOrOne,
        Description = "The process: its id, its name, or a part of its command line.",
    };

    private static readonly Option<int?> s_id = new("--process-id", "-p") { Description = "The process, by its id." };

    private static readonly Option<double> s_patience = new("--patience")
    {
        Description = "Seconds that the process may be silent before it is given up.",
        DefaultValueFactory = static _ => 20,
        Recursive = true,
    };

    // The longest that a thread can wait.
    private const int MostSeconds = int.MaxValue / 1000;

    private static int Main(string[] arguments)
    {
        RootCommand root = new("Shows who holds the native memory of a process that uses NativeAlloc.")
        {
            Top(), Report(), Profile(), Leaks(), Fragmentation(), s_patience,
        };
        s_patience.Validators.Add(CheckSeconds);
        return root.Parse(arguments).Invoke();
    }

    private static Command Top()
    {
        Option<int> count = new("--count", "-n") { Description = "End after so many refreshes. 0: when q is pressed." };
        Option<int> rows = new("--rows") { Description = "Caches to show.", DefaultValueFactory = static _ => 20 };
        Option<string> sort = new("--sort") { DefaultValueFactory = static _ => "bytes" };
        sort.Description = $"What to sort by: {string.Join(", ", TopScreen.Orders)}.";
        count.Validators.Add(CheckNotNegative);
        rows.Validators.Add(CheckNotNegative);
        sort.AcceptOnlyFromAmong([.. TopScreen.Orders]);
        Command command = new("top", "Shows the caches, refreshed once a second.")
        {
            s_process, s_id, count, rows, sort,
        };
        SetAction(command, (session, result) =>
        {
            TopScreen screen = new(result.GetValue(rows), result.GetValue(sort)!);
            int left = result.GetValue(count);
            if (!AnsiConsole.Profile.Capabilities.Ansi || Console.IsOutputRedirected)
            {
                session.Watch(figures =>
                {
                    AnsiConsole.Write(screen.Draw(figures));
                    return --left != 0;
                });
                return;
            }
            AnsiConsole.Live(new Text("")).Start(live => session.Watch(figures =>
            {
                bool goesOn = !Console.IsInputRedirected && Console.KeyAvailable
                    ? screen.TryPress(Console.ReadKey(intercept: true).KeyChar) : true;
                live.UpdateTarget(screen.Draw(figures));
                return goesOn && --left != 0;
            }));
        });
        return command;
    }

    private static Command Report()
    {
        Option<FileInfo?> html = new("--html") { Description = "One HTML page: the map of the heap and all figures." };
        Option<FileInfo?> json = new("--json") { Description = "All figures as JSON; - for standard output." };
        Command command = new("report", "Writes what the allocator holds.") { s_process, s_id, html, json };
        SetAction(command, (session, result) =>
        {
            if (result.GetValue(html) is { } page) Save(page, session.Ask("html"));
            if (result.GetValue(json) is { } file) Save(file, session.Ask("json"));
            if (result.GetValue(html) == null && result.GetValue(json) == null) Console.Out.Write(session.Ask("text"));
        });
        return command;
    }

    private static Command Profile()
    {
        Option<double> seconds = new("--seconds", "-s")
        {
            Description = "How long to sample.",
            DefaultValueFactory = static _ => 30,
        };
        seconds.Validators.Add(CheckSeconds);
        Option<FileInfo?> pprof = new("--pprof") { Description = "Write the profile for pprof." };
        Option<FileInfo?> speedscope = new("--speedscope") { Description = "Write it for speedscope." };
        Command command = new("profile", "Samples allocations for a while and writes which code made them.")
        {
            s_process, s_id, seconds, pprof, speedscope,
        };
        SetAction(command, (session, result) =>
        {
            using Interruption interruption = new(); // from before the start, so that nothing comes between
            bool mayRun = true; // also where the answer is lost
            try
            {
                mayRun = session.Ask("profiler-start") != "running";
                interruption.Sleep(TimeSpan.FromSeconds(result.GetValue(seconds)));
                if (result.GetValue(pprof) is { } file)
                    File.WriteAllBytes(file.FullName, Convert.FromBase64String(session.Ask("pprof")));
                if (result.GetValue(speedscope) is { } scope) Save(scope, session.Ask("speedscope"));
                Console.Out.Write(session.Ask("top"));
            }
            finally
            {
                if (mayRun) session.Ask("profiler-stop"); // also where it was interrupted
            }
        });
        return command;
    }

    // What is no number at all has a message already.
    private static void CheckSeconds(OptionResult result)
    {
        if (result.Tokens.Count != 1 || !double.TryParse(result.Tokens[0].Value, CultureInfo.InvariantCulture,
            out double seconds) || seconds is >= 0 and <= MostSeconds) return;
        result.AddError($"{result.Option.Name} {result.Tokens[0].Value}: it must be 0 to {MostSeconds}.");
    }

    private static void CheckNotNegative(OptionResult result)
    {
        if (result.Tokens.Count == 1 && int.TryParse(result.Tokens[0].Value, CultureInfo.InvariantCulture,
            out int number) && number < 0) result.AddError($"{result.Option.Name} {number}: it must not be negative.");
    }

    private static Command Leaks()
    {
        Command command = new("leaks", "Shows what is live by the code that allocated it.") { s_process, s_id };
        SetAction(command, static (session, _) => Console.Out.Write(session.Ask("leaks")));
        return command;
    }

    private static Command Fragmentation()
    {
        Command command = new("fragmentation", "Shows whose live blocks keep slabs that are nearly empty.")
        {
            s_process, s_id,
        };
        SetAction(command, static (session, _) => Console.Out.Write(session.Ask("fragmentation")));
        return command;
    }

    private static void SetAction(Command command, Action<ReportSession, ParseResult> action) =>
        command.SetAction(result =>
        {
            try
            {
                int process = Target.Find(result.GetValue(s_id), result.GetValue(s_process));
                TimeSpan patience = TimeSpan.FromSeconds(result.GetValue(s_patience));
                action(new ReportSession(process, patience), result);
                return 0;
            }
            catch (Exception error) when (error is ToolException or IOException or UnauthorizedAccessException)
            {
                Console.Error.WriteLine($"nativealloc: {error.Message}");
                return 1;
            }
        });

    private static void Save(FileInfo file, string text)
    {
        if (file.Name == "-") Console.Out.Write(text);
        else File.WriteAllText(file.FullName, text);
    }
}
