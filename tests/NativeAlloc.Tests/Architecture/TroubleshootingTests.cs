using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// Proves that the page about what can go wrong has a row for each error that the library words, and that no row tells
/// of an error that there is not.
/// </summary>
public sealed class TroubleshootingTests
{
    private const string Errors = "ThrowHelper.cs";
    private const char Hole = '…';

    // Less text than this is a prefix of somebody else's message.
    private const int ShortestMessage = 25;

    [Fact]
    public void Each_message_has_a_row_and_each_row_a_message()
    {
        string[] rows = Rows(File.ReadAllText(RepositoryTree.PathOf("docs", "guide", "troubleshooting.md")));
        (string Member, string Text, bool IsNeeded)[] messages =
            [.. SourceTree.LibraryFiles.SelectMany(file => Messages(file.Root.DescendantNodes(), file.Name))];

        Assert.Empty(messages.Where(message => message.IsNeeded && !rows.Any(row => Says(message.Text, row)))
            .Select(message => $"no row for {message.Member}: {message.Text}"));
        Assert.Empty(rows.Where(row => !messages.Any(message => Says(message.Text, row)))
            .Select(row => $"no message has: {row}"));
    }

    [Theory]
    [InlineData("could not get … bytes", true)]
    [InlineData("could not get … elements", false)]
    [InlineData("none … could", false)]
    public void Words_are_found_in_their_order(string row, bool found) =>
        Assert.Equal(found, Says($"It could not get {Hole} bytes: there are none.", row));

    private static bool IsError(string method) => method.StartsWith("Throw", StringComparison.Ordinal)
        || method.StartsWith("Stop", StringComparison.Ordinal);

    private static bool Says(string message, string row)
    {
        int at = 0;
        foreach (string part in row.Split(Hole, StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            int found = message.IndexOf(part, at, StringComparison.Ordinal);
            if (found < 0) return false;
            at = found + part.Length;
        }
        return true;
    }

    // The first cell of each row of tables of messages; a head has no punctuation that could be one's.
    private static string[] Rows(string page) =>
    [
        .. page.ReplaceLineEndings("\n").Split('\n')
            .Where(line => line.StartsWith("| ", StringComparison.Ordinal)
                && !line.StartsWith("| Message ", StringComparison.Ordinal))
            .Select(line => line.Split('|')[1].Trim()),
    ];

    private static IEnumerable<(string, string, bool)> Messages(IEnumerable<SyntaxNode> nodes, string file)
    {
        foreach (MethodDeclarationSyntax method in nodes.OfType<MethodDeclarationSyntax>())
        {
            StringBuilder text = new();
            foreach (SyntaxToken token in method.DescendantTokens())
            {
                if (token.IsKind(SyntaxKind.StringLiteralToken) || token.IsKind(SyntaxKind.InterpolatedStringTextToken))
                    text.Append(token.ValueText);
                else if (token.IsKind(SyntaxKind.OpenBraceToken) && token.Parent is InterpolationSyntax)
                    text.Append(Hole);
            }
            yield return (method.Identifier.Text, text.ToString(),
                file == Errors && text.Length >= ShortestMessage && IsError(method.Identifier.Text));
        }
    }
}
