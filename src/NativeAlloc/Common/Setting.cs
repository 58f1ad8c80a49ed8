using System.Globalization;

namespace NativeAlloc.Common;

/// <summary>
/// Reads what is set before the first allocation: from <see cref="AppContext"/> (<c>NativeAlloc.Name</c>, also from a runtimeconfig.json), else from
/// the environment (<c>NATIVEALLOC_NAME</c>).
/// </summary>
internal static class Setting
{
    /// <summary>A whole number within a range.</summary>
    /// <exception cref="InvalidOperationException">What is set is no number of the range; the message names where it comes from.</exception>
    internal static int Read(string contextName, string variable, int fallback, int least, int most)
    {
        string source = $"AppContext '{contextName}'";
        object? value = AppContext.GetData(contextName);
        if (value == null)
        {
            source = $"environment variable {variable}";
            value = Environment.GetEnvironmentVariable(variable);
            if (value is null or "") return fallback;
        }
        string text = Convert.ToString(value, CultureInfo.InvariantCulture)!;
        if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number) && number >= least && number <= most) return number;
        throw new InvalidOperationException($"NativeAlloc: the {source} is '{text}'; it must be a whole number from {least} to {most}.");
    }
}
