using System.Globalization;
using NativeAlloc.Benchmarks.Commands;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// A workload as it is named on the command line, with the parameters that are not to have their usual values:
/// <c>pages:pool=512:touch=first</c>. The whole text is the workload's name from then on, so that results tell what
/// they are of.
/// </summary>
internal sealed class WorkloadParameters
{
    private readonly Dictionary<string, string> _values = [];
    private readonly HashSet<string> _known = [];

    /// <exception cref="UsageException">What follows the kind is not a list of parameters.</exception>
    public WorkloadParameters(string text)
    {
        Text = text;
        string[] parts = text.Split(':');
        Kind = parts[0];
        foreach (string part in parts.AsSpan(1))
        {
            string[] pair = part.Split('=', 2);
            if (pair.Length != 2 || !_values.TryAdd(pair[0], pair[1]))
                throw new UsageException($"'{text}': '{part}' is not one parameter=value");
        }
    }

    public string Text { get; }

    /// <summary>What stands before the first colon.</summary>
    public string Kind { get; }

    /// <summary>
    /// The same with some parameters set otherwise; those that were asked for already are not remembered.
    /// </summary>
    /// <param name="text">Parameters and values, as they follow the kind.</param>
    public WorkloadParameters With(string text)
    {
        WorkloadParameters changes = new($"{Kind}:{text}");
        IEnumerable<KeyValuePair<string, string>> kept = _values.Where(pair => !changes._values.ContainsKey(pair.Key));
        return new WorkloadParameters(
            string.Join(':', kept.Concat(changes._values).Select(pair => $"{pair.Key}={pair.Value}").Prepend(Kind)));
    }

    /// <summary>A whole number.</summary>
    /// <exception cref="UsageException">It is none, or out of bounds.</exception>
    public int Number(string name, int usual, int min, int max)
    {
        _known.Add(name);
        if (!_values.TryGetValue(name, out string? text))
            return usual;
        bool isNumber = int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number);
        return isNumber && number >= min && number <= max
            ? number
            : throw new UsageException($"'{Text}': {name} is a whole number from {min} to {max}, not '{text}'");
    }

    /// <summary>One of several words, the first of which is the usual one.</summary>
    /// <exception cref="UsageException">It is another.</exception>
    public string Choice(string name, params string[] choices)
    {
        _known.Add(name);
        if (!_values.TryGetValue(name, out string? text))
            return choices[0];
        return choices.Contains(text)
            ? text
            : throw new UsageException($"'{Text}': {name} is one of {string.Join(", ", choices)}, not '{text}'");
    }

    /// <summary>Called when all parameters there are have been asked for.</summary>
    /// <exception cref="UsageException">One is left.</exception>
    public void RejectOthers()
    {
        if (_values.Keys.FirstOrDefault(name => !_known.Contains(name)) is { } other)
        {
            string remedy = _known.Count > 0 ? $"there are: {string.Join(", ", _known)}" : $"'{Kind}' has none";
            throw new UsageException($"'{Text}': unknown parameter '{other}'; {remedy}");
        }
    }
}
