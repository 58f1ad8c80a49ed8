using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// No field of whole numbers is written and never read: such a counter costs its writers something and tells nobody
/// anything.
/// </summary>
public sealed class UnreadFieldTests
{
    private static readonly string[] s_writers =
        ["Write", "Exchange", "CompareExchange", "Add", "Increment", "Decrement", "Or", "And"];

    [Fact]
    public void Every_counter_is_read() => Find(SourceTree.LibraryFiles, SourceTree.LibraryCompilation).ShouldBeNone();

    [Theory]
    [InlineData("int _a; void M() { _a = 1; }", 1)]
    [InlineData("int _a; void M() { _a++; }", 1)]
    [InlineData("int _a; void M() { _a += 2; }", 1)]
    [InlineData("int _a; void M() { Interlocked.Increment(ref _a); }", 1)]
    [InlineData("int _a; void M() { Volatile.Write(ref _a, _a + 1); }", 1)]
    [InlineData("int _a; void M() { Volatile.Write(ref _a, Volatile.Read(ref _a) + 1); }", 1)]
    [InlineData("int _a; void M() { _a = _a + 1; }", 1)]
    [InlineData("internal int A; static A M() => new A { A1 = 1, A = 2 }; int A1;", 2)]
    [InlineData("int _a; int M() => _a++;", 0)]
    [InlineData("int _a; int M() => Interlocked.Increment(ref _a);", 0)]
    [InlineData("int _a; int M() { _a = 1; return _a; }", 0)]
    [InlineData("int _a; void M() { N(ref _a); } void N(ref int a) { }", 0)]
    [InlineData("int _a; bool M() => Interlocked.CompareExchange(ref _a, 1, 0) == 0;", 0)]
    // the system reads it
    [InlineData(
        "struct S { public int Seconds; } [DllImport(\"c\")] static extern void M(in S s); void N() { S s = new S { " +
        "Seconds = 1 }; M(s); }", 0)]
    [InlineData("int _a; void M() { _a = 1; } internal int P => _a;", 1)] // nothing reads the property either
    [InlineData("int _a; void M() { _a = 1; } internal int P => _a; int N() => P;", 0)]
    [InlineData("int _a; void M() { _a = 1; } public int P => _a;", 0)]
    [InlineData("int _padding;", 0)] // never written either
    [InlineData("public int Read; void M() { Read = 1; }", 0)] // users may read it
    public void A_field_that_is_only_written_is_found(string members, int offences)
    {
        SourceFile[] files = [Offences.Of($"public class A {{ {members} }}")];
        Assert.Equal(offences, Find(files, SourceTree.Compile(files)).Count);
    }

    internal static List<string> Find(IReadOnlyList<SourceFile> files, Compilation compilation)
    {
        Dictionary<IFieldSymbol, bool> isRead = new(SymbolEqualityComparer.Default);
        HashSet<string> fields =
            [.. files.SelectMany(file => file.Root.DescendantNodes()).OfType<FieldDeclarationSyntax>()
            .SelectMany(field => field.Declaration.Variables).Select(variable => variable.Identifier.Text)];
        HashSet<string> named = [.. files.SelectMany(file => file.Root.DescendantNodes()).OfType<SimpleNameSyntax>()
            .Select(name => name.Identifier.Text)];
        foreach (SourceFile file in files)
        {
            SemanticModel model = compilation.GetSemanticModel(file.Tree);
            foreach (IdentifierNameSyntax name in file.Root.DescendantNodes().OfType<IdentifierNameSyntax>())
            {
                if (!fields.Contains(name.Identifier.Text)) continue; // asking the model takes longer
                if (model.GetSymbolInfo(name).Symbol is not IFieldSymbol { IsConst: false } symbol
                    || !IsCounter(symbol.OriginalDefinition)) continue;
                IFieldSymbol field = symbol.OriginalDefinition;
                isRead[field] =
                    isRead.GetValueOrDefault(field) || !IsWrite(Whole(name), model) && !FeedsItself(name, field, model)
                    && !IsInUnreadProperty(name, named);
            }
        }
        HashSet<string> given = [.. files.SelectMany(GivenToTheSystem)];
        return [
            .. isRead.Where(field => !field.Value && !given.Contains(field.Key.ContainingType.Name))
                .Select(
                    field => $"{field.Key.DeclaringSyntaxReferences[0].SyntaxTree.FilePath}: " +
                        $"{field.Key.ContainingType.Name}.{field.Key.Name}").Order(StringComparer.Ordinal)];
    }

    // The types of what imported functions get: the system may read each field.
    private static IEnumerable<string> GivenToTheSystem(SourceFile file) =>
        file.Root.DescendantNodes().OfType<MethodDeclarationSyntax>()
        .Where(method => method.AttributeLists.SelectMany(list => list.Attributes)
            .Any(attribute => attribute.Name.ToString() is "LibraryImport" or "DllImport"))
        .SelectMany(method => method.ParameterList.Parameters)
        .SelectMany(parameter => parameter.Type!.DescendantNodesAndSelf().OfType<IdentifierNameSyntax>())
        .Select(name => name.Identifier.Text);

    private static bool IsCounter(IFieldSymbol field) =>
        field.DeclaringSyntaxReferences.Length != 0 && !IsVisible(field)
        && field.Type.SpecialType is >= SpecialType.System_SByte and <= SpecialType.System_UInt64
            or SpecialType.System_IntPtr or SpecialType.System_UIntPtr;

    private static bool IsVisible(IFieldSymbol field)
    {
        for (ISymbol? symbol = field; symbol is not (null or INamespaceSymbol); symbol = symbol.ContainingSymbol)
            if (symbol.DeclaredAccessibility != Accessibility.Public) return false;
        return true;
    }

    // A property of the library's own that nothing in the library names.
    private static bool IsInUnreadProperty(SyntaxNode name, HashSet<string> named) =>
        name.FirstAncestorOrSelf<PropertyDeclarationSyntax>() is { } property
        && !property.Modifiers.Any(SyntaxKind.PublicKeyword)
        && !named.Contains(property.Identifier.Text);

    // The expression that stands for the field: with what is before its name.
    private static ExpressionSyntax Whole(ExpressionSyntax name)
    {
        while (name.Parent is MemberAccessExpressionSyntax access && access.Name == name
            || name.Parent is ElementAccessExpressionSyntax element && element.Expression == name)
            name = (ExpressionSyntax)name.Parent;
        return name;
    }

    private static bool IsWrite(ExpressionSyntax field, SemanticModel model) => field.Parent switch
    {
        AssignmentExpressionSyntax assignment when assignment.Left == field =>
            IsDropped(assignment) || assignment.IsKind(SyntaxKind.SimpleAssignmentExpression),
        PrefixUnaryExpressionSyntax or PostfixUnaryExpressionSyntax
            when field.Parent.Kind() is SyntaxKind.PreIncrementExpression or SyntaxKind.PreDecrementExpression
            or SyntaxKind.PostIncrementExpression or SyntaxKind.PostDecrementExpression => IsDropped(field.Parent),
        ArgumentSyntax { Parent.Parent: InvocationExpressionSyntax call } argument
            when call.ArgumentList.Arguments[0] == argument =>
            model.GetSymbolInfo(
                call).Symbol is IMethodSymbol { ContainingType.Name: "Interlocked" or "Volatile" } method
            && s_writers.Contains(method.Name) && IsDropped(call),
        ArgumentSyntax { Parent.Parent: InvocationExpressionSyntax call } => call.Expression.ToString() == "nameof",
        _ => false,
    };

    // A statement of its own, or the whole of a method that returns nothing.
    private static bool IsDropped(SyntaxNode expression) =>
        expression.Parent is ExpressionStatementSyntax or ForStatementSyntax
        || expression.Parent is ArrowExpressionClauseSyntax { Parent: MethodDeclarationSyntax method }
            && method.ReturnType.ToString() == "void";

    // A read inside a write of the same field, as in x = x + 1, tells the number to nobody.
    private static bool FeedsItself(ExpressionSyntax name, IFieldSymbol field, SemanticModel model)
    {
        return name.Ancestors().TakeWhile(node => node is not StatementSyntax).Any(node => node switch
        {
            AssignmentExpressionSyntax assignment => IsField(assignment.Left) && IsDropped(assignment),
            InvocationExpressionSyntax { ArgumentList.Arguments: [var first, ..] } =>
                IsField(first.Expression) && IsWrite(first.Expression, model),
            _ => false,
        });

        bool IsField(ExpressionSyntax expression) =>
            SymbolEqualityComparer.Default.Equals(model.GetSymbolInfo(expression).Symbol?.OriginalDefinition, field);
    }
}
