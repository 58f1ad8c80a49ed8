using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// A line has 120 columns at most, in code and in prose. Exempt is what cannot be wrapped in Markdown: tables, code,
/// headings and lines of one word, such as a link.
/// </summary>
public sealed class ColumnTests
{
    private const int Widest = 120;

    [Fact]
    public void Lines_of_code_fit() => FindInCode(SourceTree.CodeFiles).ShouldBeNone();

    [Fact]
    public void Lines_of_prose_fit() => FindInProse(SourceTree.ProseFiles).ShouldBeNone();

    [Theory]
    [InlineData(120, 0)]
    [InlineData(121, 1)]
    public void A_line_of_code_that_is_too_long_is_found(int columns, int offences) =>
        Assert.Equal(offences, FindInCode([Offences.Of("class A;\n//" + new string('x', columns - 2) + "\n")]).Count);

    [Fact]
    public void Only_prose_that_can_be_wrapped_has_to_fit()
    {
        string wide = string.Concat(Enumerable.Repeat("word ", 30)).TrimEnd();
        Assert.Equal(3, FindInProse([new SourceFile("a.md", $"{wide}\n\n- {wide}\n  {wide}\n")]).Count);
        Assert.Empty(
            FindInProse(
                [new SourceFile("a.md",
                    $"# {wide}\n\n| {wide} |\n\n```\n{wide}\n```\n\n    {wide}\n\n[{new string('x', 130)}](y)\n")]));
    }

    internal static List<string> FindInCode(IReadOnlyList<SourceFile> files) =>
        [.. files.SelectMany(file =>
            file.Lines.Index().Where(line => line.Item.Length > Widest).Select(line => Tell(file, line)))];

    internal static List<string> FindInProse(IReadOnlyList<SourceFile> files)
    {
        List<string> found = [];
        foreach (SourceFile file in files)
        {
            bool code = false;
            foreach ((int Index, string Item) line in file.Lines.Index())
            {
                string text = line.Item.Trim();
                if (text.StartsWith("```", StringComparison.Ordinal)) code = !code;
                bool wraps = !code && text.Contains(' ', StringComparison.Ordinal) && text[0] is not ('|' or '#' or '<')
                    && !line.Item.StartsWith("    ", StringComparison.Ordinal);
                if (wraps && line.Item.Length > Widest) found.Add(Tell(file, line));
            }
        }
        return found;
    }

    private static string Tell(SourceFile file, (int Index, string Item) line) =>
        $"{file.Path}({line.Index + 1}): {line.Item.Length} columns";
}
