using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>The kinds of options that the commands have.</summary>
internal static class CommandOptions
{
    /// <summary>A whole number within bounds.</summary>
    public static Option<int> Number(string name, string unit, string description, int usual, int min, int max) =>
        new(name)
        {
            HelpName = unit,
            Description = description,
            DefaultValueFactory = _ => usual,
            CustomParser = result => ParseNumber(result, name, min, max),
        };

    /// <summary>Text that may be given several times.</summary>
    public static Option<string[]> Texts(string name, string what, string description) => new(name)
    {
        HelpName = what,
        Description = description,
        Arity = ArgumentArity.OneOrMore,
        DefaultValueFactory = _ => [],
    };

    public static Option<string?> Text(string name, string what, string description) => new(name)
    {
        HelpName = what,
        Description = description,
    };

    public static Option<bool> Flag(string name, string description) => new(name)
    {
        Description = description,
        Arity = ArgumentArity.Zero,
    };

    /// <summary>A number that is part of an option's value.</summary>
    /// <exception cref="UsageException">It is none, or out of bounds.</exception>
    public static int ToNumber(string option, string value, int min, int max) =>
        TryParse(value, min, max, out int number)
            ? number
            : throw new UsageException(Complaint(option, value, min, max));

    private static int ParseNumber(ArgumentResult result, string name, int min, int max)
    {
        string text = result.Tokens[0].Value;
        if (!TryParse(text, min, max, out int number))
            result.AddError(Complaint(name, text, min, max));
        return number;
    }

    private static bool TryParse(string text, int min, int max, out int number) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number)
        && number >= min && number <= max;

    private static string Complaint(string option, string value, int min, int max) =>
        $"{option} needs a whole number from {min} to {max}, not '{value}'";
}
