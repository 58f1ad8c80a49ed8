using System.CommandLine;
using System.CommandLine.Parsing;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>
/// All commands of the program. The commands parse their own options; what they have in common is that any mistake is
/// a <see cref="UsageException"/> with one line that says what would be right.
/// </summary>
internal static class CommandTree
{
    public static int Run(string[] arguments)
    {
        RootCommand root = Build();
        ParseResult result = root.Parse(arguments);
        ThrowOnErrors(result, root);
        return result.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
    }

    private static RootCommand Build()
    {
        RootCommand root = new("Without a command: a quick comparison of the bundled traces on all allocators.")
        {
            CompareCommand.Create(),
            FragmentationCommand.Create(),
            GetAllocatorsCommand.Create(),
            ListCommand.Create(),
            MicroCommand.Create(),
            ScaleCommand.Create(),
            ScatteredCommand.Create(),
            SelfCheckCommand.Create(),
            AgeCommand.Create(),
            MeasureCommand.Create(),
        };
        root.SetAction(_ => CompareCommand.Run(CompareOptions.Quickly));
        return root;
    }

    private static void ThrowOnErrors(ParseResult result, RootCommand root)
    {
        Command command = result.CommandResult.Command;
        if (result.UnmatchedTokens.Count > 0 && command.TreatUnmatchedTokensAsErrors)
        {
            string first = result.UnmatchedTokens[0];
            throw new UsageException(command == root
                ? $"unknown command '{first}'; there are: {Visible(root.Subcommands)}"
                : $"unknown argument '{first}'; {Remedy(command)}");
        }

        if (result.Errors.Count == 0)
            return;
        ParseError error = result.Errors[0];
        throw new UsageException(error.SymbolResult is OptionResult { Tokens.Count: 0 } option
            ? $"{option.Option.Name} needs a value; {Remedy(command)}"
            : error.Message);
    }

    private static string Remedy(Command command) => command.Options.Any(option => !option.Hidden)
        ? $"there are: {Visible(command.Options)}"
        : $"'{command.Name}' has none";

    private static string Visible(IEnumerable<Symbol> symbols) =>
        string.Join(", ", symbols.Where(symbol => !symbol.Hidden).Select(symbol => symbol.Name));
}
