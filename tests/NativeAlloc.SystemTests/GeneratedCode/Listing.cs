using System.Text.RegularExpressions;

namespace NativeAlloc.SystemTests.GeneratedCode;

/// <summary>
/// What the runtime compiled a method to, as its listing shows it: groups of instructions, the first of which is the
/// prologue.
/// </summary>
internal sealed partial class Listing
{
    private const string Begin = "; Assembly listing for method ";

    private readonly Dictionary<string, int> _labels = [];
    private readonly List<string> _instructions = [];
    private int _body;

    private Listing(IEnumerable<string> lines)
    {
        int groups = 0;
        foreach (string line in lines)
        {
            if (Label().Match(line) is { Success: true } label)
            {
                _labels.Add(label.Groups[1].Value, _instructions.Count);
                if (++groups == 2) _body = _instructions.Count;
            }
            else if (line.StartsWith("       ", StringComparison.Ordinal) && line.Trim() is { Length: > 0 } instruction)
            {
                _instructions.Add(Spaces().Replace(instruction, " "));
            }
        }
        if (groups < 2)
            throw new InvalidOperationException("the listing has no groups of instructions: its form has changed");
    }

    internal List<string> Instructions => _instructions;

    /// <summary>Finds what a method was compiled to in the end; null if it was not.</summary>
    internal static Listing? Find(string[] lines, string type, string method)
    {
        int begin = Array.FindLastIndex(lines, line => line.StartsWith($"{Begin}{type}:{method}(",
            StringComparison.Ordinal) && line.EndsWith("(Tier1)", StringComparison.Ordinal));
        if (begin < 0) return null;
        return new Listing(lines.Skip(begin + 1).TakeWhile(line => !line.StartsWith(Begin, StringComparison.Ordinal)));
    }

    /// <summary>
    /// The instructions between prologue and epilogue on the way to the return that goes through no method of the
    /// library; the longest, if there are several such ways.
    /// </summary>
    internal List<string> FastPath()
    {
        List<string> longest = [];
        Walk(_body, []);
        int end = longest.Count;
        while (end > 0 && Epilogue().IsMatch(longest[end - 1])) end--;
        return [.. longest.Take(end)];

        void Walk(int at, List<string> path)
        {
            for (; at < _instructions.Count && path.Count < 200; at++)
            {
                string instruction = _instructions[at];
                // a call, or a jump in place of one
                if (instruction.Contains("[NativeAlloc.", StringComparison.Ordinal)) return;
                if (Jump().Match(instruction) is not { Success: true } jump)
                {
                    path.Add(instruction);
                    if (instruction != "ret") continue;
                    if (path.Count > longest.Count) longest = path;
                    return;
                }
                int target = _labels[jump.Groups[2].Value];
                if (jump.Groups[1].Value == "jmp")
                {
                    at = target - 1; // the layout's, and no work to speak of
                    continue;
                }
                path.Add(instruction);
                Walk(target, [.. path]);
            }
        }
    }

    [GeneratedRegex(@"^(G_M\w+):")]
    private static partial Regex Label();

    [GeneratedRegex(@"^(j\w+) (?:SHORT )?(G_M\w+)$")]
    private static partial Regex Jump();

    [GeneratedRegex(@"^(ret|pop \w+|add rsp, .*|lea rsp, .*|vzeroupper)$")]
    private static partial Regex Epilogue();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
