using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// A file has 500 lines at most. A method of the library has 40 at most, from the line of its name to its last, and one
/// of tests and benchmarks, which may play through a scenario, 60. A function inside a method counts by itself.
/// </summary>
public sealed class SizeTests
{
    private const int LongestFile = 500, LongestMethod = 40, LongestScenario = 60;

    [Fact]
    public void Files_are_short_enough_to_be_read() => FindFiles(SourceTree.CodeFiles).ShouldBeNone();

    [Fact]
    public void Methods_are_short_enough_to_be_read() => FindMethods(SourceTree.LibraryFiles).ShouldBeNone();

    [Fact]
    public void Methods_of_tests_and_benchmarks_are_short_enough_to_be_read() =>
        FindMethods([.. SourceTree.CodeFiles.Except(SourceTree.LibraryFiles)], LongestScenario).ShouldBeNone();

    [Theory]
    [InlineData(500, 0)]
    [InlineData(501, 1)]
    public void A_file_that_is_too_long_is_found(int lines, int offences) =>
        Assert.Equal(offences, FindFiles([Offences.Of(string.Concat(Enumerable.Repeat("//\n", lines)))]).Count);

    [Theory]
    [InlineData("void M()\n{\n", 37, 0)] // and the closing brace
    [InlineData("void M()\n{\n", 38, 1)]
    [InlineData("A()\n{\n", 38, 1)]
    [InlineData("void M()\n{\nvoid Inner()\n{\n;\n}\n", 37, 0)]
    [InlineData("void M()\n{\nvoid Inner()\n{\n;\n}\n", 38, 1)]
    [InlineData("int P\n{ get {\n", 38, 1)]
    [InlineData("/// <summary>\n/// Comments and attributes are not counted.\n/// </summary>\n[Some]\nvoid M()\n{\n",
        37, 0)]
    public void A_method_that_is_too_long_is_found(string head, int statements, int offences)
    {
        string body = string.Concat(Enumerable.Repeat(";\n", statements));
        string end = head.Contains("get", StringComparison.Ordinal) ? "}" : "";
        string text = $"class A\n{{\n{head}{body}}}{end}\n}}";
        Assert.Equal(offences, FindMethods([Offences.Of(text)]).Count);
    }

    internal static List<string> FindFiles(IReadOnlyList<SourceFile> files) =>
        [.. files.Select(file => (file.Path, Lines: file.Text.Count(c => c == '\n')))
            .Where(file => file.Lines > LongestFile).Select(file => $"{file.Path}: {file.Lines} lines")];

    internal static List<string> FindMethods(IReadOnlyList<SourceFile> files, int longest = LongestMethod)
    {
        List<string> found = [];
        foreach (SourceFile file in files)
        {
            foreach (SyntaxNode node in file.Root.DescendantNodes())
            {
                SyntaxToken name = node switch
                {
                    MethodDeclarationSyntax method => method.Identifier,
                    ConstructorDeclarationSyntax constructor => constructor.Identifier,
                    DestructorDeclarationSyntax destructor => destructor.Identifier,
                    PropertyDeclarationSyntax property => property.Identifier,
                    IndexerDeclarationSyntax indexer => indexer.ThisKeyword,
                    OperatorDeclarationSyntax @operator => @operator.OperatorToken,
                    LocalFunctionStatementSyntax function => function.Identifier,
                    _ => default,
                };
                if (name == default) continue;
                int lines = LinesOf(file, name.SpanStart, node.Span.End) - node.DescendantNodes(
                    inner => inner == node || inner is not LocalFunctionStatementSyntax)
                    .OfType<LocalFunctionStatementSyntax>()
                    .Sum(inner => LinesOf(file, inner.SpanStart, inner.Span.End));
                // The list of values that a property is made of is a table, not a method.
                if (lines > longest && node is not PropertyDeclarationSyntax { Initializer: not null })
                    found.Add(file.At(name, $"{name.Text} has {lines} lines"));
            }
        }
        return found;
    }

    private static int LinesOf(SourceFile file, int start, int end) => file.LineOf(end) - file.LineOf(start) + 1;
}
