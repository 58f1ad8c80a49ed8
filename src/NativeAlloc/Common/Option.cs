using System.Globalization;

namespace NativeAlloc.Common;

/// <summary>What the number of an option counts, and so in which forms it may be written.</summary>
internal enum OptionUnit
{
    /// <summary>Bytes: a whole number, also with K, M or G behind it for powers of 1024.</summary>
    Bytes,

    Milliseconds,

    Count,

    /// <summary>One of a few names; the number is its place among them.</summary>
    Choice,
}

/// <summary>
/// One thing that can be set before the first allocation: its names, what it may be, and what it is where nobody says
/// anything. It is read from <see cref="AppContext"/> (<c>NativeAlloc.Name</c>, also from a runtimeconfig.json), else
/// from the environment (<c>NATIVEALLOC_NAME</c>).
/// </summary>
/// <param name="name">As the property of the options object is called.</param>
/// <param name="variable">NATIVEALLOC_FAKE_NODES for FakeNodes; written out, so that a search for it finds the
/// option.</param>
internal sealed class Option(string name, string variable, OptionUnit unit, long least, long most)
{
    internal string Name => name;

    internal string Variable => variable;

    internal OptionUnit Unit => unit;

    internal long Least => least;

    internal long Most => most;

    /// <summary>Null where it is worked out from the machine.</summary>
    internal long? Default { get; init; } = 0;

    /// <summary>The default in words, where the number alone says too little.</summary>
    internal string? DefaultText { get; init; }

    /// <summary>The names of a choice; the first is number 0.</summary>
    internal string[] Choices { get; init; } = [];

    /// <summary>A sentence or two for users.</summary>
    internal required string Meaning { get; init; }

    internal string ContextName => "NativeAlloc." + Name;

    /// <summary>What it may be, in words that follow "it must be".</summary>
    internal string Range => Unit switch
    {
        OptionUnit.Choice => string.Join(" or ", Choices),
        OptionUnit.Bytes =>
            $"a number of bytes from {BytesText(Least)} to {BytesText(Most)}, such as 1048576, 1024K, 1M or 1G",
        _ => string.Create(CultureInfo.InvariantCulture, $"a whole number from {Least} to {Most}"),
    };

    internal bool Allows(Int128 number) => number >= Least && number <= Most;

    /// <summary>What is set outside of the program's code, or the default.</summary>
    /// <param name="error">Says source, value and range where what is set is wrong; else left alone. The answer is then
    /// the default.</param>
    internal long? Read(ref string? error)
    {
        object? inContext = AppContext.GetData(ContextName);
        string? text = inContext != null
            ? Convert.ToString(inContext, CultureInfo.InvariantCulture)
            : Environment.GetEnvironmentVariable(Variable);
        if (text is null || (text.Length == 0 && inContext == null)) return Default;
        if (TryParse(text, out long number)) return number;
        error = $"the {(inContext != null ? $"AppContext '{ContextName}'" : $"environment variable {Variable}")} is " +
            $"'{text}'; it must be {Range}";
        return Default;
    }

    /// <summary>Reads a number of the range as it is written for this unit.</summary>
    internal bool TryParse(string text, out long number)
    {
        if (Unit == OptionUnit.Choice)
        {
            number = Array.FindIndex(Choices, name => name.Equals(text, StringComparison.OrdinalIgnoreCase));
            return number >= 0;
        }
        int shift = Unit == OptionUnit.Bytes && text.Length != 0 ? ShiftOf(text[^1]) : 0;
        ReadOnlySpan<char> digits = shift == 0 ? text : text.AsSpan(0, text.Length - 1);
        bool read = long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out number);
        Int128 whole = (Int128)number << shift; // wide enough for any number and suffix
        if (!read || !Allows(whole)) return false;
        number = (long)whole;
        return true;
    }

    /// <summary>A number of bytes in the largest unit that it is a multiple of, as it may be written.</summary>
    internal static string BytesText(long bytes)
    {
        foreach (char suffix in "GMK")
        {
            int shift = ShiftOf(suffix);
            if (bytes != 0 && bytes >> shift << shift == bytes)
                return string.Create(CultureInfo.InvariantCulture, $"{bytes >> shift}{suffix}");
        }
        return bytes.ToString(CultureInfo.InvariantCulture);
    }

    private static int ShiftOf(char suffix) => char.ToUpperInvariant(suffix) switch
    {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        _ => 0,
    };
}
