using System;
using System.Collections.Generic;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.FlowAnalysis;
using Microsoft.CodeAnalysis.Operations;

namespace NativeAlloc.Analyzers;

/// <summary>One variable on its ways through one method.</summary>
internal sealed class BlockFlow(ControlFlowGraph graph, ILocalSymbol local)
{
    /// <summary>What may be true of the variable at a place: several where ways meet.</summary>
    [Flags]
    private enum State
    {
        /// <summary>No way comes here.</summary>
        Unreached = 0,

        /// <summary>It holds no block, or one that has gone elsewhere.</summary>
        Other = 1,

        /// <summary>It holds a block that nobody else has.</summary>
        Live = 2,

        /// <summary>Its block was freed.</summary>
        Freed = 4,
    }

    private readonly Dictionary<Location, Diagnostic> _found = [];
    private IInvocationOperation? _allocation;

    /// <summary>Variables that are given a new block and used in no way that cannot be followed.</summary>
    internal static List<ILocalSymbol> FindLocals(IOperation block)
    {
        List<ILocalSymbol> locals = [];
        foreach (IInvocationOperation call in block.Descendants().OfType<IInvocationOperation>())
        {
            if (MemoryFamily.OfAllocation(call.TargetMethod) == null || TargetOf(call) is not { } local) continue;
            if (!locals.Contains(local, SymbolEqualityComparer.Default) && CanFollow(block, local)) locals.Add(local);
        }
        return locals;
    }

    /// <summary>Goes all ways until nothing new is found.</summary>
    internal IEnumerable<Diagnostic> Run()
    {
        State[] before = new State[graph.Blocks.Length];
        Queue<int> open = new([0]);
        before[0] = State.Other;
        while (open.Count != 0)
        {
            BasicBlock block = graph.Blocks[open.Dequeue()];
            State after = Through(block, before[block.Ordinal], report: false);
            Go(block.FallThroughSuccessor, after, block, isConditional: false);
            Go(block.ConditionalSuccessor, after, block, isConditional: true);
        }
        foreach (BasicBlock block in graph.Blocks) Through(block, before[block.Ordinal], report: true);
        // An exception that is thrown does not come here: who catches it may free what it needs.
        if ((before[graph.Blocks.Length - 1] & State.Live) != 0 && _allocation != null)
            Report(Rules.Leak, _allocation, local.Name, NameOf(_allocation.TargetMethod));
        return _found.Values;

        void Go(ControlFlowBranch? branch, State state, BasicBlock from, bool isConditional)
        {
            if (branch?.Destination is not { } to) return;
            if (IsNullOn(from, isConditional)) state = state & ~State.Live | State.Other;
            if ((before[to.Ordinal] | state) == before[to.Ordinal]) return;
            before[to.Ordinal] |= state;
            open.Enqueue(to.Ordinal);
        }
    }

    // Whether the variable is null on one of the two ways out of a block.
    private bool IsNullOn(BasicBlock block, bool isConditional)
    {
        if (block.ConditionKind == ControlFlowConditionKind.None || block.BranchValue is not { } value) return false;
        bool whenTrue = (block.ConditionKind == ControlFlowConditionKind.WhenTrue) == isConditional;
        if (value is not IBinaryOperation
            {
                OperatorKind: BinaryOperatorKind.Equals or BinaryOperatorKind.NotEquals
            } comparison) return false;
        bool isWithNull = IsLocal(comparison.LeftOperand) && IsNull(comparison.RightOperand)
            || IsLocal(comparison.RightOperand) && IsNull(comparison.LeftOperand);
        return isWithNull && (comparison.OperatorKind == BinaryOperatorKind.Equals) == whenTrue;
    }

    private State Through(BasicBlock block, State state, bool report)
    {
        if (state == State.Unreached) return state;
        foreach (IOperation operation in block.Operations) state = Walk(operation, state, report);
        return block.BranchValue == null ? state : Walk(block.BranchValue, state, report,
            isReturned: block.FallThroughSuccessor?.Semantics == ControlFlowBranchSemantics.Return
                && block.ConditionKind == ControlFlowConditionKind.None);
    }

    private State Walk(IOperation operation, State state, bool report, bool isReturned = false)
    {
        if (isReturned && IsLocal(operation)) return State.Other;
        switch (operation)
        {
            case ISimpleAssignmentOperation assignment when IsLocal(assignment.Target):
                state = Walk(assignment.Value, state, report);
                if (Unwrap(assignment.Value) is not IInvocationOperation made
                    || MemoryFamily.OfAllocation(made.TargetMethod) == null) return State.Other;
                _allocation = made;
                return State.Live;
            case IInvocationOperation call when MemoryFamily.OfFree(call.TargetMethod) is { } family
                && call.Arguments.Length == 1 && IsLocal(call.Arguments[0].Value):
                if (report) CheckFree(call, family, state);
                return State.Freed;
            case IInvocationOperation { TargetMethod: { } method } call when MemoryFamily.IsRealloc(method)
                && IsLocal(call.Arguments[0].Value):
                if (report && state == State.Freed) Report(Rules.UseAfterEnd, call, local.Name);
                return State.Other;
            case ILocalReferenceOperation when IsLocal(operation):
                if (report && state == State.Freed && IsAccess(operation))
                    Report(Rules.UseAfterEnd, operation, local.Name);
                // Read through it, or compared: the block is where it was. Everything else may keep it.
                return IsAccess(operation) || IsCompared(operation) ? state : State.Other;
        }
        foreach (IOperation child in operation.ChildOperations) state = Walk(child, state, report);
        return state;
    }

    private void CheckFree(IInvocationOperation call, string family, State state)
    {
        if (state == State.Freed) Report(Rules.UseAfterEnd, call, local.Name);
        if (state != State.Live || _allocation == null) return;
        string? made = MemoryFamily.OfAllocation(_allocation.TargetMethod);
        if (made != family)
            Report(Rules.OtherFamily, call, local.Name, NameOf(_allocation.TargetMethod), NameOf(call.TargetMethod));
    }

    private void Report(DiagnosticDescriptor rule, IOperation at, params object[] words)
    {
        Location location = at.Syntax.GetLocation();
        _found[location] = Diagnostic.Create(rule, location, words);
    }

    private bool IsLocal(IOperation operation) => Unwrap(operation) is ILocalReferenceOperation reference
        && SymbolEqualityComparer.Default.Equals(reference.Local, local);

    // Read or written through, and nobody gets an address by it: *p, p[i], with a conversion or an offset between, and
    // with one of these also (p + 1)->a. A plain p->a counts as a use that may keep the block.
    private static bool IsAccess(IOperation operation) =>
        PlaceOf(operation) is { } place && !LeadsToAddress(place, operation);

    // What stands for the memory that the variable points to; null where it is used in another way.
    private static SyntaxNode? PlaceOf(IOperation operation)
    {
        IOperation? parent = operation.Parent;
        IOperation child = operation;
        while (parent is IConversionOperation or IBinaryOperation { OperatorKind: BinaryOperatorKind.Add } ||
            parent?.Kind == OperationKind.None && parent.Syntax is ParenthesizedExpressionSyntax)
            (child, parent) = (parent!, parent!.Parent);
        return parent?.Syntax switch
        {
            PrefixUnaryExpressionSyntax { OperatorToken.Text: "*" } read => read,
            ElementAccessExpressionSyntax element when element.Expression.Span.Contains(child.Syntax.Span) => element,
            MemberAccessExpressionSyntax { OperatorToken.Text: "->" } member => member,
            _ => null,
        };
    }

    // Whether an address in the block comes of it, which others may keep: &p[i].a, ref *p, a buffer of fixed size.
    private static bool LeadsToAddress(SyntaxNode place, IOperation operation)
    {
        SyntaxNode? parent = place.Parent;
        while (parent is ParenthesizedExpressionSyntax
            || parent is MemberAccessExpressionSyntax { OperatorToken.Text: "." } member && member.Expression == place
            || parent is ElementAccessExpressionSyntax element && element.Expression == place)
            (place, parent) = (parent, parent.Parent);
        if (parent is RefExpressionSyntax or PrefixUnaryExpressionSyntax { OperatorToken.Text: "&" }
            or ArgumentSyntax { RefKindKeyword.Text: not "" }) return true;
        IOperation? outer = operation.Parent;
        while (outer != null && outer.Syntax != place) outer = outer.Parent;
        while (outer?.Parent?.Syntax == place) outer = outer.Parent;
        return outer is IFieldReferenceOperation { Field.IsFixedSizeBuffer: true };
    }

    private static bool IsCompared(IOperation operation)
    {
        IOperation? parent = operation.Parent;
        while (parent is IConversionOperation) parent = parent.Parent;
        return parent is IBinaryOperation
        {
            OperatorKind: BinaryOperatorKind.Equals or BinaryOperatorKind.NotEquals
        };
    }

    private static bool IsNull(IOperation operation)
    {
        operation = Unwrap(operation);
        return operation.ConstantValue is { HasValue: true, Value: null or 0 or 0L }
            || operation is IFieldReferenceOperation { Field.Name: "Zero" } or IDefaultValueOperation;
    }

    private static string NameOf(IMethodSymbol method) => $"{method.ContainingType.Name}.{method.Name}";

    private static IOperation Unwrap(IOperation operation)
    {
        while (operation is IConversionOperation or IParenthesizedOperation)
            operation = operation is IConversionOperation conversion
                ? conversion.Operand
                : ((IParenthesizedOperation)operation).Operand;
        return operation;
    }

    private static ILocalSymbol? TargetOf(IOperation value)
    {
        IOperation? parent = value.Parent;
        while (parent is IConversionOperation or IParenthesizedOperation) parent = parent.Parent;
        return parent switch
        {
            IVariableInitializerOperation { Parent: IVariableDeclaratorOperation declared } => declared.Symbol,
            ISimpleAssignmentOperation { Target: ILocalReferenceOperation target } => target.Local,
            _ => null,
        };
    }

    private static bool CanFollow(IOperation block, ILocalSymbol local)
    {
        foreach (ILocalReferenceOperation use in block.Descendants().OfType<ILocalReferenceOperation>())
        {
            if (!SymbolEqualityComparer.Default.Equals(use.Local, local)) continue;
            if (use.Parent is IAddressOfOperation or ICompoundAssignmentOperation or IIncrementOrDecrementOperation
                or IArgumentOperation { Parameter.RefKind: not RefKind.None }) return false;
            for (IOperation? parent = use.Parent; parent != null; parent = parent.Parent)
            {
                if (parent is IAnonymousFunctionOperation or ILocalFunctionOperation or ITryOperation) return false;
            }
        }
        return !local.IsRef;
    }
}
