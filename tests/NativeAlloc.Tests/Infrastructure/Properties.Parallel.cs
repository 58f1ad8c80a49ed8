using CsCheck;

namespace NativeAlloc.Tests.Infrastructure;

/// <content>Properties of operations that run at the same time.</content>
internal static partial class Properties
{
    /// <summary>
    /// Runs random operations on a state, some one after the other and some at the same time, and looks whether the
    /// state is then as if all had run one after the other, in some order (Herlihy and Wing's linearizability).
    /// </summary>
    /// <param name="make">Makes a state.</param>
    /// <param name="operands">What an operation is done with.</param>
    /// <param name="operations">The operations, with names for the message of a failure.</param>
    /// <param name="equal">Whether two states are the same, as far as users see.</param>
    /// <param name="runs">How many sets of operations are tried.</param>
    internal static void CheckLinearizable<TState, TOperand>(Func<TState> make, Values<TOperand> operands,
        (string Name, Action<TState, TOperand> Run)[] operations, Func<TState, TState, bool> equal, int runs)
    {
        Watchdog.Progress();
        Gen.Int.Select(_ => make()).SampleParallel(
            [.. operations.Select(operation => operands.Generator.Operation(
                operand => $"{operation.Name} {operand}", operation.Run))],
            equal, seed: s_seed, iter: runs, threads: 2);
        Watchdog.Progress();
    }
}
