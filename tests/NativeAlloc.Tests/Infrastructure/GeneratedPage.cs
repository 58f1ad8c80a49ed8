using Xunit;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// A page of the docs that is made from a table of the code, so that neither says what the other does not.
/// </summary>
internal static class GeneratedPage
{
    private const string AcceptVariable = "NATIVEALLOC_ACCEPT_DOCS";

    /// <summary>
    /// Fails where the file of docs is not what the table gives; writes it anew where that is asked for.
    /// </summary>
    internal static void ShouldBe(string file, IEnumerable<string> lines)
    {
        string path = RepositoryTree.PathOf("docs", file), text = string.Join('\n', lines) + "\n";
        if (Environment.GetEnvironmentVariable(AcceptVariable) == "1") File.WriteAllText(path, text);
        Assert.True(File.Exists(path) && File.ReadAllText(path) == text,
            $"docs/{file} is not what its table gives. Run this test once with {AcceptVariable}=1, which writes the " +
            "file anew, and commit it with the change of the table.");
    }

    /// <summary>A text in lines that fit.</summary>
    internal static IEnumerable<string> Paragraph(string text)
    {
        const int Columns = 120;
        string line = "";
        foreach (string word in text.Split(' '))
        {
            if (line.Length + 1 + word.Length > Columns)
            {
                yield return line;
                line = "";
            }
            line += line.Length == 0 ? word : " " + word;
        }
        yield return line;
    }

    /// <summary>
    /// A list of what has a name, some short notes and a text, in lines of at most 120 columns.
    /// </summary>
    internal static IEnumerable<string> List(
        IEnumerable<(string Name, string[] Notes, string Text)> items)
    {
        foreach ((string name, string[] notes, string text) in items)
        {
            string line = "-";
            foreach (string word in $"`{name}` ({string.Join("; ", notes)}): {text}".Split(' '))
            {
                if (line.Length + 1 + word.Length > LongestLine)
                {
                    yield return line;
                    line = " ";
                }
                line += " " + word;
            }
            yield return line;
        }
    }

    // Less than 120, as some count the bytes of what is not ASCII.
    private const int LongestLine = 118;

    /// <summary>The lines of a table.</summary>
    internal static IEnumerable<string> Table(string[] head, IEnumerable<string[]> rows) =>
        [Row(head), Row([.. head.Select(_ => "---")]), .. rows.Select(Row)];

    private static string Row(string[] cells) => $"| {string.Join(" | ", cells)} |";
}
