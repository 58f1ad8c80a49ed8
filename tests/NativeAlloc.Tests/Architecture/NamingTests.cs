using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// A private static field begins with s_. A static field that each thread has of its own begins with t_, and is
/// internal, as .editorconfig has one rule for all private static fields. It holds the other names.
/// </summary>
public sealed class NamingTests
{
    [Fact]
    public void Private_static_fields_say_whether_they_are_each_threads() => Find(SourceTree.CodeFiles).ShouldBeNone();

    [Theory]
    [InlineData("class A { private static int s_a; }", 0)]
    [InlineData("class A { static int a; }", 1)]
    [InlineData("class A { [ThreadStatic] private static int t_a; }", 1)]
    [InlineData("class A { [ThreadStatic] internal static int t_a; }", 0)]
    [InlineData("class A { [ThreadStatic] private static int s_a; }", 1)]
    [InlineData("class A { private static int t_a; }", 1)]
    [InlineData("class A { internal static readonly int A; private const int B = 1; private int _c; }", 0)]
    public void A_field_with_another_prefix_is_found(string text, int offences) =>
        Assert.Equal(offences, Find([Offences.Of(text)]).Count);

    internal static List<string> Find(IReadOnlyList<SourceFile> files)
    {
        List<string> found = [];
        foreach (SourceFile file in files)
        {
            foreach (FieldDeclarationSyntax field in file.Root.DescendantNodes().OfType<FieldDeclarationSyntax>())
            {
                bool ofThread = field.AttributeLists.SelectMany(list => list.Attributes)
                    .Any(attribute => attribute.Name.ToString() == "ThreadStatic");
                bool visible = field.Modifiers.Any(word => word.Kind() is SyntaxKind.PublicKeyword
                    or SyntaxKind.InternalKeyword or SyntaxKind.ProtectedKeyword);
                if (!field.Modifiers.Any(SyntaxKind.StaticKeyword) || visible && !ofThread) continue;
                string prefix = ofThread ? "t_" : "s_";
                foreach (VariableDeclaratorSyntax variable in field.Declaration.Variables)
                    if (!variable.Identifier.Text.StartsWith(prefix, StringComparison.Ordinal))
                        found.Add(file.At(variable, $"{variable.Identifier.Text} begins with {prefix}"));
                    else if (ofThread && !visible)
                        found.Add(file.At(variable, $"{variable.Identifier.Text} is each thread's, and internal"));
            }
        }
        return found;
    }
}
