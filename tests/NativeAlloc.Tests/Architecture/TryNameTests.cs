using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// A method whose name begins with Try says by a bool whether it did what the rest of its name says. The names of tests
/// are sentences and not meant.
/// </summary>
public sealed class TryNameTests
{
    [Fact]
    public void Methods_named_Try_return_bool() => Find(SourceTree.CodeFiles).ShouldBeNone();

    [Theory]
    [InlineData("class A { bool TryTake() => true; }", 0)]
    [InlineData("class A { void* TryTake() => null; }", 1)]
    [InlineData("class A { async Task TryTake() { } }", 1)]
    [InlineData("class A { void M() { int TryTake() => 1; } }", 1)]
    [InlineData("class A { void Trying() { } int Try() => 1; int Tryst() => 2; }", 0)]
    [InlineData("class A { void TryAlloc_says_no() { } }", 0)]
    [InlineData("interface I { int TryTake(); }", 1)]
    [InlineData("delegate int TryTake();", 1)]
    public void A_method_that_returns_something_else_is_found(string text, int offences) =>
        Assert.Equal(offences, Find([Offences.Of(text)]).Count);

    internal static List<string> Find(IReadOnlyList<SourceFile> files)
    {
        List<string> found = [];
        foreach (SourceFile file in files)
        {
            foreach (SyntaxNode node in file.Root.DescendantNodes())
            {
                (string name, TypeSyntax? type) = node switch
                {
                    MethodDeclarationSyntax method => (method.Identifier.Text, method.ReturnType),
                    LocalFunctionStatementSyntax function => (function.Identifier.Text, function.ReturnType),
                    DelegateDeclarationSyntax declared => (declared.Identifier.Text, declared.ReturnType),
                    _ => ("", null),
                };
                if (type != null && name.Length > 3 && name.StartsWith("Try", StringComparison.Ordinal) && char.IsUpper(
                    name[3]) && !name.Contains('_', StringComparison.Ordinal) && type.ToString() != "bool")
                    found.Add(file.At(node, $"{name} returns {type}"));
            }
        }
        return found;
    }
}
