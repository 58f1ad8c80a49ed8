using System.Globalization;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.FSharp.Core;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// Random values and how to make a failing one simpler. This file is the only one that knows the library that does the work: to change
/// it, change this file.
/// </summary>
internal sealed class Values<T>(Gen<T> generator, Func<T, IEnumerable<T>> simpler)
{
    internal Gen<T> Generator { get; } = generator;

    /// <summary>Candidates that are simpler than a value, the simplest first.</summary>
    internal Func<T, IEnumerable<T>> Simpler { get; } = simpler;
}

/// <summary>Makes <see cref="Values{T}"/>.</summary>
internal static class Values
{
    /// <summary>Whole numbers from <paramref name="low"/> to <paramref name="high"/>, both included.</summary>
    internal static Values<int> Between(int low, int high) => new(Gen.Choose(low, high), value => TowardsLow(low, value));

    /// <summary>One of some values; the earlier ones count as simpler.</summary>
    internal static Values<T> OneOf<T>(params T[] values) =>
        new(Gen.Elements(values), value => values.TakeWhile(other => !EqualityComparer<T>.Default.Equals(other, value)));

    /// <summary>Two values that do not depend on each other.</summary>
    internal static Values<(TFirst First, TSecond Second)> Pairs<TFirst, TSecond>(Values<TFirst> first, Values<TSecond> second) =>
        new(Gen.Zip(first.Generator, second.Generator, (one, two) => (one, two)),
            pair => first.Simpler(pair.Item1).Select(one => (one, pair.Item2)).Concat(second.Simpler(pair.Item2).Select(two => (pair.Item1, two))));

    /// <summary>Sequences of up to <paramref name="maxLength"/> values.</summary>
    internal static Values<T[]> Sequences<T>(Values<T> element, int maxLength) =>
        new(Gen.SelectMany(Gen.Choose(1, maxLength), length => Gen.ArrayOf(element.Generator, length)), sequence => SimplerSequences(element, sequence));

    private static IEnumerable<int> TowardsLow(int low, int value)
    {
        for (int distance = value - low; distance > 0; distance /= 2) yield return value - distance;
    }

    // Without a half, a quarter, … a single element; then with one element made simpler.
    private static IEnumerable<T[]> SimplerSequences<T>(Values<T> element, T[] sequence)
    {
        for (int cut = sequence.Length / 2; cut > 0; cut /= 2)
            for (int at = 0; at + cut <= sequence.Length; at += cut)
                yield return [.. sequence[..at], .. sequence[(at + cut)..]];
        for (int at = 0; at < sequence.Length; at++)
            foreach (T simpler in element.Simpler(sequence[at]))
                yield return [.. sequence[..at], simpler, .. sequence[(at + 1)..]];
    }
}

/// <summary>
/// Runs a property on random values. A failure names the seed of the run and the simplest value that still fails; with the seed in the
/// environment variable <see cref="SeedVariable"/> the same values come again.
/// </summary>
internal static partial class Properties
{
    internal const string SeedVariable = "NATIVEALLOC_TEST_SEED";

    private static readonly ulong s_seed =
        ulong.TryParse(Environment.GetEnvironmentVariable(SeedVariable), CultureInfo.InvariantCulture, out ulong seed) ? seed : (ulong)Random.Shared.NextInt64();

    /// <summary>Runs <paramref name="property"/> on so many values; it fails by throwing.</summary>
    internal static void Check<T>(Values<T> values, Action<T> property, int runs = 100) => Run(values, property, runs, s_seed);

    /// <summary>Runs a test on random sequences of operations. Each run starts from a state of its own.</summary>
    internal static void ForAllSequences<TOperation>(Values<TOperation> operation, int maxLength, Action<IReadOnlyList<TOperation>> run, int runs = 20) =>
        Check(Values.Sequences(operation, maxLength), sequence => run(sequence), runs);

    /// <summary>The same as <see cref="Check"/> with a seed of the caller's.</summary>
    internal static void Run<T>(Values<T> values, Action<T> property, int runs, ulong seed)
    {
        Replay replay = new(new Rnd(seed), FSharpOption<int>.None);
        Config config = Config.QuickThrowOnFailure.WithMaxTest(runs).WithReplay(FSharpOption<Replay>.Some(replay)).WithQuietOnSuccess(true);
        try
        {
            FsCheck.Check.One(config, Prop.ForAll(Arb.From(values.Generator, values.Simpler), property));
        }
        catch (Exception error)
        {
            throw new InvalidOperationException($"To see this again set {SeedVariable}={seed.ToString(CultureInfo.InvariantCulture)}. {error.Message}", error);
        }
    }
}
