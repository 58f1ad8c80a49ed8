using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// The library throws in three places only: in ThrowHelper, where its errors are worded; in Verify, where a layer finds
/// its own structures wrong; and where a method or constructor checks its arguments, which are exceptions of the
/// ArgumentException family.
/// </summary>
public sealed class ThrowTests
{
    private static readonly string[] s_argumentErrors =
        ["ArgumentException", "ArgumentNullException", "ArgumentOutOfRangeException"];

    [Fact]
    public void Exceptions_are_made_in_three_places_only() => Find(SourceTree.LibraryFiles).ShouldBeNone();

    [Theory]
    [InlineData("class A { void M() => throw new InvalidOperationException(); }", 1)]
    [InlineData("class A { int M(int? a) => a ?? throw new OutOfMemoryException(); }", 1)]
    [InlineData("class A { void M(int a) { if (a < 0) throw new ArgumentOutOfRangeException(nameof(a)); } }", 0)]
    [InlineData("class A { void M(int a) { if (a < 0) throw new System.ArgumentException(\"a\"); } }", 0)]
    // a method without arguments has none to check
    [InlineData("class A { void M() { throw new ArgumentException(\"a\"); } }", 1)]
    [InlineData("class A { internal void Verify() => throw new InvalidOperationException(); }", 0)]
    [InlineData("class A { void VerifyLists() { throw new InvalidOperationException(); } }", 0)]
    [InlineData("class A { void M() { try { } catch { throw; } } }", 0)]
    public void An_exception_made_elsewhere_is_found(string text, int offences) =>
        Assert.Equal(offences, Find([Offences.Of(text)]).Count);

    [Fact]
    public void ThrowHelper_may_throw_anything() =>
        Assert.Empty(
            Find([Offences.Of("static class ThrowHelper { static void M() => throw new OutOfMemoryException(); }",
                "Common/ThrowHelper.cs")]));

    internal static List<string> Find(IReadOnlyList<SourceFile> files)
    {
        List<string> found = [];
        foreach (SourceFile file in files
            .Where(file => !file.Name.StartsWith("ThrowHelper.", StringComparison.Ordinal)))
        {
            foreach (SyntaxNode node in file.Root.DescendantNodes())
            {
                ExpressionSyntax? thrown = node switch
                {
                    ThrowStatementSyntax statement => statement.Expression,
                    ThrowExpressionSyntax expression => expression.Expression,
                    _ => null
                };
                if (thrown is not BaseObjectCreationExpressionSyntax made) continue;
                string member = SourceFile.MemberOf(node),
                    type = made is ObjectCreationExpressionSyntax named ? named.Type.ToString().Split('.')[^1] : "";
                if (member.StartsWith("Verify", StringComparison.Ordinal)) continue;
                if (s_argumentErrors.Contains(type) && HasArguments(node)) continue;
                found.Add(file.At(node, $"{member} throws {type}"));
            }
        }
        return found;
    }

    private static bool HasArguments(SyntaxNode node) => node.Ancestors().Any(ancestor =>
        ancestor is BaseMethodDeclarationSyntax { ParameterList.Parameters.Count: > 0 }
            or LocalFunctionStatementSyntax { ParameterList.Parameters.Count: > 0 }
            or IndexerDeclarationSyntax or AccessorDeclarationSyntax { Keyword.Text: "set" or "init" }
        || ancestor is TypeDeclarationSyntax { ParameterList.Parameters.Count: > 0 });
}
