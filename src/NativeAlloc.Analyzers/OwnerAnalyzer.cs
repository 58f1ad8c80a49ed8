using System.Collections.Immutable;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Operations;

namespace NativeAlloc.Analyzers;

/// <summary>
/// Finds owners of native memory in local variables that are neither disposed of nor handed on. A use as the instance
/// of a member is no handing on; everything else is.
/// </summary>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class OwnerAnalyzer : DiagnosticAnalyzer
{
    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } =
        ImmutableArray.Create(Rules.NotDisposed);

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.EnableConcurrentExecution();
        context.RegisterOperationBlockAction(Look);
    }

    private static void Look(OperationBlockAnalysisContext context)
    {
        foreach (IOperation block in context.OperationBlocks)
        {
            foreach (IObjectCreationOperation made in block.Descendants().OfType<IObjectCreationOperation>())
            {
                if (!MemoryFamily.IsOwner(made.Type)) continue;
                if (made.Parent is IExpressionStatementOperation) Report(context, made, made.Type!.Name);
                if (made.Parent is not IVariableInitializerOperation { Parent: IVariableDeclaratorOperation declared }
                    || IsUsing(declared)) continue;
                ILocalSymbol local = declared.Symbol;
                bool isKept = block.Descendants().OfType<ILocalReferenceOperation>()
                    .Where(use => SymbolEqualityComparer.Default.Equals(use.Local, local))
                    .Any(use => IsDispose(use) || IsHandedOn(use));
                if (!isKept) Report(context, made, local.Name);
            }
        }
    }

    private static void Report(OperationBlockAnalysisContext context, IOperation made, string name) =>
        context.ReportDiagnostic(
            Diagnostic.Create(Rules.NotDisposed, made.Syntax.GetLocation(), name, made.Type!.Name));

    private static bool IsUsing(IOperation operation)
    {
        for (IOperation? parent = operation; parent != null; parent = parent.Parent)
            if (parent is IUsingDeclarationOperation or IUsingOperation) return true;
            else if (parent is IBlockOperation) return false;
        return false;
    }

    private static bool IsDispose(ILocalReferenceOperation use) => use.Parent
        is IInvocationOperation { TargetMethod.Name: "Dispose" or "DisposeAsync" or "Close" } call
            && call.Instance == use;

    private static bool IsHandedOn(ILocalReferenceOperation use) => use.Parent switch
    {
        IInvocationOperation call => call.Instance != use,
        IPropertyReferenceOperation property => property.Instance != use,
        IBinaryOperation or IIsPatternOperation => false,
        _ => true,
    };
}
