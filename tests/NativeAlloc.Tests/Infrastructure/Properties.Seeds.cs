using FsCheck;
using FsCheck.Fluent;

namespace NativeAlloc.Tests.Infrastructure;

/// <content>Properties of sequences of steps.</content>
internal static partial class Properties
{
    /// <summary>
    /// Checks that a property holds for random sequences of steps. One that fails is cut down, by leaving steps out, to a short one that fails
    /// too, which the exception then shows.
    /// </summary>
    /// <param name="runs">How many sequences.</param>
    /// <param name="longest">Steps of the longest sequence.</param>
    /// <param name="make">Makes a random step.</param>
    /// <param name="property">Throws if the property does not hold.</param>
    internal static void ForAllSequences<T>(int runs, int longest, Func<Random, T> make, Action<T[]> property)
    {
        Gen<T[]> sequences =
            from seed in Gen.Choose(0, int.MaxValue - 1)
            from length in Gen.Choose(1, longest)
            select MakeSequence(seed, length, make);
        Prop.ForAll(Arb.From(sequences, LeaveStepsOut), property).Check(Config.QuickThrowOnFailure.WithMaxTest(runs));
    }

    private static T[] MakeSequence<T>(int seed, int length, Func<Random, T> make)
    {
        Random random = new(seed);
        T[] steps = new T[length];
        for (int i = 0; i < length; i++) steps[i] = make(random);
        return steps;
    }

    // Halves first, single steps last.
    private static IEnumerable<T[]> LeaveStepsOut<T>(T[] steps)
    {
        for (int count = (steps.Length + 1) / 2; count > 0; count /= 2)
            for (int first = 0; first + count <= steps.Length; first += count)
                if (count != steps.Length) yield return [.. steps[..first], .. steps[(first + count)..]];
    }
}
