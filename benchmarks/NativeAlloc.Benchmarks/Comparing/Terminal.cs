using Spectre.Console;

namespace NativeAlloc.Benchmarks.Comparing;

/// <summary>Consoles for results (standard output) and for progress (standard error).</summary>
internal static class Terminal
{
    // A file or pipe has no width of its own; wide enough for all allocators side by side.
    private const int RedirectedWidth = 200;

    public static IAnsiConsole Output()
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = Console.IsOutputRedirected ? AnsiSupport.No : AnsiSupport.Detect,
            Out = new AnsiConsoleOutput(Console.Out),
        });
        if (Console.IsOutputRedirected)
            console.Profile.Width = RedirectedWidth;
        return console;
    }

    public static IAnsiConsole Error() =>
        AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
}
