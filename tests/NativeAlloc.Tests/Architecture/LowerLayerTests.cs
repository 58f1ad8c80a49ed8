using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// Layers point down by name and by pointer: what is below the face names no type of it, and gets no pointer to a
/// method of a layer above. One hook is exempt by name: through <c>OsFaults.Fails</c> tests let system calls
/// fail, and no layer sets it.
/// </summary>
public sealed class LowerLayerTests
{
    [Fact]
    public void Lower_layers_name_no_type_of_the_root_namespace() =>
        FindRootTypes(SourceTree.LibraryFiles, SourceTree.LibraryCompilation).ShouldBeNone();

    [Fact]
    public void Lower_layers_register_no_function_pointer() =>
        FindRegistrations(SourceTree.LibraryFiles, SourceTree.LibraryCompilation).ShouldBeNone();

    [Theory]
    [InlineData("namespace NativeAlloc.Slabs; class A { Face f; }", 1)]
    [InlineData("namespace NativeAlloc.Slabs; class A { string f = nameof(NativeAlloc.Face); }", 1)]
    [InlineData("namespace NativeAlloc.Slabs; /* Face */ class A { Own f; } class Own { }", 0)]
    public void A_type_of_the_root_namespace_is_found(string text, int offences)
    {
        SourceFile[] files =
            [Offences.Of(text), Offences.Of("namespace NativeAlloc; public class Face { }", "Face.cs")];
        Assert.Equal(offences, FindRootTypes(files, SourceTree.Compile(files)).Count);
    }

    [Theory]
    [InlineData("unsafe static class A { static delegate*<void> s_release; }", 1)]
    [InlineData("static class A { static Action<int>? s_release; }", 1)]
    [InlineData("static class A { static Action<int>? Release { get; set; } }", 1)]
    [InlineData("static class OsFaults { static Action<int>? Fails { get; set; } }", 0)]
    [InlineData("static class OsFaults { static Action<int>? Release { get; set; } }", 1)]
    [InlineData(
        "unsafe static class A { static nint s_release; static void Set(delegate*<void> release) => s_release = " +
        "(nint)release; }", 1)]
    [InlineData(
        "unsafe static class A { static A() { B.Set(&M); } static void M() { } } unsafe static class B { internal " +
        "static void Set(void* m) { } }", 1)]
    [InlineData("unsafe struct A { public delegate*<void*, void> Constructor; }", 0)] // what a user gave to one object
    [InlineData(
        "static class A { static readonly Lazy<int> s_number = new(() => 1); static void M() { Action a = () => { }; " +
        "a(); } }", 0)]
    public void A_registration_is_found(string text, int offences)
    {
        SourceFile[] files = [Offences.Of(text)];
        Assert.Equal(offences, FindRegistrations(files, SourceTree.Compile(files)).Count);
    }

    internal static List<string> FindRootTypes(IReadOnlyList<SourceFile> files, Compilation compilation) =>
    [
        .. files.Where(file => !SourceTests.IsFace(file.Layer))
            .SelectMany(file => FileCircleTests.TypesNamedIn(file, compilation)
            .Where(type => type.ContainingNamespace.ToDisplayString() == "NativeAlloc")
            .Select(type => $"{file.Path}: names {type.Name}")),
    ];

    /// <summary>
    /// Static fields and properties that hold a delegate or function pointer, and function pointers that are kept as
    /// numbers or given away.
    /// </summary>
    internal static List<string> FindRegistrations(IReadOnlyList<SourceFile> files, Compilation compilation)
    {
        List<string> found = [];
        foreach (SourceFile file in files.Where(file => !SourceTests.IsFace(file.Layer)))
        {
            SemanticModel model = compilation.GetSemanticModel(file.Tree);
            foreach (SyntaxNode node in file.Root.DescendantNodes())
            {
                switch (node)
                {
                    case VariableDeclaratorSyntax { Parent.Parent: FieldDeclarationSyntax } declarator
                        when model.GetDeclaredSymbol(declarator) is IFieldSymbol { IsStatic: true } field
                            && IsCode(field.Type) && !IsTestHook(field):
                    case PropertyDeclarationSyntax declared
                        when model.GetDeclaredSymbol(declared) is { IsStatic: true } property
                            && IsCode(property.Type) && !IsTestHook(property):
                        found.Add(file.At(node, $"a static member holds code: {node}"));
                        break;
                    case CastExpressionSyntax cast
                        when model.GetTypeInfo(cast.Expression).Type is IFunctionPointerTypeSymbol
                            && model.GetTypeInfo(cast.Type).Type is not IFunctionPointerTypeSymbol:
                        found.Add(file.At(node, $"a function pointer is kept as something else: {node}"));
                        break;
                    case PrefixUnaryExpressionSyntax { Parent: ArgumentSyntax } address
                        when address.IsKind(SyntaxKind.AddressOfExpression)
                        && (model.GetSymbolInfo(address.Operand) is var symbol
                            ? symbol.Symbol ?? symbol.CandidateSymbols.FirstOrDefault()
                            : null) is IMethodSymbol:
                        found.Add(file.At(node, $"a pointer to a method is given away: {node}"));
                        break;
                }
            }
        }
        return found;
    }

    private static bool IsTestHook(ISymbol member) =>
        member is { ContainingType.Name: "OsFaults", Name: "Fails" or "s_fails" };

    private static bool IsCode(ITypeSymbol type) => type.TypeKind is TypeKind.Delegate or TypeKind.FunctionPointer;
}
