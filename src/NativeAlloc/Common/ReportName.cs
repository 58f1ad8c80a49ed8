namespace NativeAlloc.Common;

/// <summary>What users name for reports: their columns are separated by white space, and their lines end.</summary>
internal static class ReportName
{
    /// <summary>Throws where a name is null, empty, or has white space or control characters in it.</summary>
    /// <param name="name">The name.</param>
    /// <param name="parameter">What the parameter is called that brought it.</param>
    internal static void ThrowIfWrong(string? name, string parameter)
    {
        ArgumentException.ThrowIfNullOrEmpty(name, parameter);
        foreach (char character in name)
        {
            if (char.IsWhiteSpace(character) || char.IsControl(character))
                throw new ArgumentException($"The name '{name}' has white space or a control character in it, U+"
                    + $"{(int)character:X4}; the columns of the slab report are separated by that.", parameter);
        }
    }
}
