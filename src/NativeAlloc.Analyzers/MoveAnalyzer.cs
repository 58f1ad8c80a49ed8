using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Operations;

namespace NativeAlloc.Analyzers;

/// <summary>Points at calls that could move, and at aligned twins.</summary>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class MoveAnalyzer : DiagnosticAnalyzer
{
    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } =
        ImmutableArray.Create(Rules.CanMove, Rules.AlignedTwin);

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.EnableConcurrentExecution();
        context.RegisterOperationAction(Look, OperationKind.Invocation);
    }

    private static void Look(OperationAnalysisContext context)
    {
        IMethodSymbol method = ((IInvocationOperation)context.Operation).TargetMethod;
        if (MemoryFamily.TwinOf(method) is { } twin)
        {
            // Where the package is not referenced there is nothing to move to.
            if (context.Compilation.GetTypeByMetadataName("NativeAlloc.NativeAllocator") == null) return;
            context.ReportDiagnostic(Diagnostic.Create(Rules.CanMove, context.Operation.Syntax.GetLocation(),
                $"{method.ContainingType.Name}.{method.Name}", $"{twin}.{method.Name}"));
        }
        else if (method.Name == "AlignedFree"
            && method.ContainingType.ToDisplayString() == "NativeAlloc.NativeAllocator")
        {
            context.ReportDiagnostic(Diagnostic.Create(Rules.AlignedTwin, context.Operation.Syntax.GetLocation()));
        }
    }
}
