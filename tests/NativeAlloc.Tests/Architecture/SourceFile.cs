using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace NativeAlloc.Tests.Architecture;

/// <summary>A file of the repository: its path from the repository's folder, with slashes, and its text.</summary>
internal sealed class SourceFile
{
    private static readonly CSharpParseOptions s_options = new(LanguageVersion.Preview);

    internal SourceFile(string path, string text)
    {
        Path = path;
        Text = text;
        Tree = CSharpSyntaxTree.ParseText(text, s_options, path);
    }

    internal string Path { get; }

    internal string Text { get; }

    internal SyntaxTree Tree { get; }

    internal SyntaxNode Root => Tree.GetRoot();

    internal string[] Lines => Text.Split('\n');

    /// <summary>The folder that holds the file, as a path from the repository's folder.</summary>
    internal string Folder => System.IO.Path.GetDirectoryName(Path)!.Replace('\\', '/');

    /// <summary>The layer of a file of the library: its folder; empty for the face of the library.</summary>
    internal string Layer => Folder == SourceTree.Library ? "" : System.IO.Path.GetFileName(Folder);

    internal string Name => System.IO.Path.GetFileName(Path);

    /// <summary>The comments of the file, each as it stands, with the number of its first line.</summary>
    internal IEnumerable<(int Line, string Text)> Comments() => Root.DescendantTrivia()
        .Where(trivia => trivia.Kind() is SyntaxKind.SingleLineCommentTrivia or SyntaxKind.MultiLineCommentTrivia
            or SyntaxKind.SingleLineDocumentationCommentTrivia or SyntaxKind.MultiLineDocumentationCommentTrivia)
        .Select(trivia => (LineOf(trivia.SpanStart), trivia.ToFullString()));

    internal int LineOf(int position) => Tree.GetText().Lines.GetLineFromPosition(position).LineNumber + 1;

    /// <summary>How an offence is told: where it is, and what it is.</summary>
    internal string At(SyntaxNodeOrToken place, string offence) => $"{Path}({LineOf(place.SpanStart)}): {offence}";

    /// <summary>The name of the member that a node is in; empty outside members.</summary>
    internal static string MemberOf(SyntaxNode node) => node.AncestorsAndSelf().Select(ancestor => ancestor switch
    {
        MethodDeclarationSyntax method => method.Identifier.Text,
        ConstructorDeclarationSyntax constructor => constructor.Identifier.Text,
        PropertyDeclarationSyntax property => property.Identifier.Text,
        LocalFunctionStatementSyntax function => function.Identifier.Text,
        _ => null,
    }).FirstOrDefault(name => name != null) ?? "";
}
