using CsCheck;

namespace NativeAlloc.Tests.Infrastructure;

/// <content>
/// Properties of sequences of steps. A sequence that fails is cut down, by leaving steps out, to a short one that fails
/// too. The library's own way, which is to draw shorter sequences at random, would need far more runs for that.
/// </content>
internal static partial class Properties
{
    /// <summary>Runs a test on random sequences of operations. Each run starts from a state of its own.</summary>
    internal static void ForAllSequences<TOperation>(
        Values<TOperation> operation, int maxLength, Action<IReadOnlyList<TOperation>> run, int runs = 20) =>
        RunSequences(Values.Sequences(operation, maxLength), run, runs, s_seed);

    /// <summary>The same for steps that are made from a random number generator.</summary>
    /// <param name="runs">How many sequences.</param>
    /// <param name="longest">Steps of the longest sequence.</param>
    /// <param name="make">Makes a random step.</param>
    /// <param name="property">Throws if the property does not hold.</param>
    internal static void ForAllSequences<T>(int runs, int longest, Func<Random, T> make, Action<T[]> property)
    {
        Gen<T[]> sequences = Gen.Select(Gen.Int[0, int.MaxValue - 1], Gen.Int[1, longest],
            (seed, length) => MakeSequence(seed, length, make));
        RunSequences(new Values<T[]>(sequences), property, runs, s_seed);
    }

    /// <summary>The same with a seed of the caller's.</summary>
    internal static void RunSequences<T>(Values<T[]> sequences, Action<T[]> property, int runs, string seed)
    {
        if (FirstFailure(sequences.Generator, property, runs, seed) is not var (found, steps, error)) return;
        T[] shortest = LeaveStepsOut(steps, property, ref error);
        throw Failure(found, $"Of {steps.Length} steps {shortest.Length} fail: {string.Join(", ", shortest)}.", error);
    }

    private static T[] MakeSequence<T>(int seed, int length, Func<Random, T> make)
    {
        Random random = new(seed);
        T[] steps = new T[length];
        for (int i = 0; i < length; i++) steps[i] = make(random);
        return steps;
    }

    // Halves first, single steps last, and these again as long as one of them can be left out.
    private static T[] LeaveStepsOut<T>(T[] steps, Action<T[]> property, ref Exception error)
    {
        int tries = 0;
        for (int count = (steps.Length + 1) / 2; count > 0;)
        {
            bool isShorter = false;
            for (int first = 0; first + count <= steps.Length && steps.Length > 1;)
            {
                if (tries++ == MostTries) return steps;
                T[] shorter = [.. steps[..first], .. steps[(first + count)..]];
                if (shorter.Length != 0 && Fails(shorter, property) is { } another)
                {
                    (steps, error, isShorter) = (shorter, another, true);
                }
                else
                {
                    first += count;
                }
            }
            if (count > 1 || !isShorter) count /= 2;
        }
        return steps;
    }

    private static Exception? Fails<T>(T[] steps, Action<T[]> property)
    {
        Watchdog.Progress();
        try
        {
            property(steps);
            return null;
        }
        catch (Exception error)
        {
            return error;
        }
    }
}
