using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.FlowAnalysis;
using Microsoft.CodeAnalysis.Operations;

namespace NativeAlloc.Analyzers;

/// <summary>
/// Follows each block that a local variable of a method is given, along every way through the method: freed by another
/// family, not freed, used after it was freed.
/// </summary>
/// <remarks>
/// It speaks only of what is certain. A variable whose address is taken, that a lambda or a try block uses, or whose
/// block goes anywhere else, is not followed any further.
/// </remarks>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class BlockFlowAnalyzer : DiagnosticAnalyzer
{
    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } =
        ImmutableArray.Create(Rules.OtherFamily, Rules.Leak, Rules.UseAfterEnd);

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
            List<ILocalSymbol> locals = BlockFlow.FindLocals(block);
            if (locals.Count == 0) continue;
            ControlFlowGraph graph = context.GetControlFlowGraph(block);
            foreach (ILocalSymbol local in locals)
                foreach (Diagnostic found in new BlockFlow(graph, local).Run()) context.ReportDiagnostic(found);
        }
    }
}
