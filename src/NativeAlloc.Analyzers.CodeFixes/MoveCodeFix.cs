using System.Collections.Generic;
using System.Collections.Immutable;
using System.Composition;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace NativeAlloc.Analyzers;

/// <summary>
/// Moves calls to NativeAlloc, all of a document together: a block that is allocated here and freed there must not be
/// of two allocators.
/// </summary>
[ExportCodeFixProvider(LanguageNames.CSharp, Name = nameof(MoveCodeFix))]
[Shared]
public sealed class MoveCodeFix : CodeFixProvider
{
    private const string Title = "Move the calls of this document to NativeAlloc";

    /// <inheritdoc/>
    public override ImmutableArray<string> FixableDiagnosticIds { get; } = ImmutableArray.Create(Rules.CanMove.Id);

    /// <inheritdoc/>
    public override FixAllProvider GetFixAllProvider() =>
        FixAllProvider.Create(async (context, document, _) =>
            await MoveAsync(document, context.CancellationToken).ConfigureAwait(false));

    /// <inheritdoc/>
    public override Task RegisterCodeFixesAsync(CodeFixContext context)
    {
        context.RegisterCodeFix(
            CodeAction.Create(Title, cancellation => MoveAsync(context.Document, cancellation), nameof(MoveCodeFix)),
            context.Diagnostics);
        return Task.CompletedTask;
    }

    private static async Task<Document> MoveAsync(Document document, CancellationToken cancellation)
    {
        SyntaxNode? root = await document.GetSyntaxRootAsync(cancellation).ConfigureAwait(false);
        SemanticModel? model = await document.GetSemanticModelAsync(cancellation).ConfigureAwait(false);
        if (root is not CompilationUnitSyntax unit || model == null) return document;
        Dictionary<SyntaxNode, string> twins = [];
        foreach (InvocationExpressionSyntax call in unit.DescendantNodes().OfType<InvocationExpressionSyntax>())
        {
            if (call.Expression is MemberAccessExpressionSyntax access
                && model.GetSymbolInfo(call, cancellation).Symbol is IMethodSymbol method
                && MemoryFamily.TwinOf(method) is { } twin) twins[access.Expression] = twin;
        }
        unit = unit.ReplaceNodes(twins.Keys, (before, _) =>
            SyntaxFactory.IdentifierName(twins[before]).WithTriviaFrom(before));
        if (!unit.Usings.Any(line => line.Name?.ToString() == "NativeAlloc"))
            unit = unit.AddUsings(SyntaxFactory.UsingDirective(SyntaxFactory.ParseName("NativeAlloc"))
                .NormalizeWhitespace().WithTrailingTrivia(SyntaxFactory.ElasticLineFeed));
        return document.WithSyntaxRoot(unit);
    }
}
