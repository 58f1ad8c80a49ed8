using CsCheck;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// Random values. The files of <see cref="Properties"/> are the only ones that know the library which makes them.
/// </summary>
internal sealed class Values<T>(Gen<T> generator)
{
    internal Gen<T> Generator { get; } = generator;
}

/// <summary>Makes <see cref="Values{T}"/>.</summary>
internal static class Values
{
    /// <summary>Whole numbers from <paramref name="low"/> to <paramref name="high"/>, both included.</summary>
    internal static Values<int> Between(int low, int high) => new(Gen.Int[low, high]);

    /// <summary>One of some values.</summary>
    internal static Values<T> OneOf<T>(params T[] values) => new(Gen.OneOf(values));

    /// <summary>Two values that do not depend on each other.</summary>
    internal static Values<(TFirst First, TSecond Second)> Pairs<TFirst, TSecond>(
        Values<TFirst> first, Values<TSecond> second) =>
        new(Gen.Select(first.Generator, second.Generator, (one, two) => (one, two)));

    /// <summary>Sequences of up to <paramref name="maxLength"/> values.</summary>
    internal static Values<T[]> Sequences<T>(Values<T> element, int maxLength) =>
        new(element.Generator.Array[1, maxLength]);
}

/// <summary>
/// Runs a property on random values. A failure names a seed and the simplest value that was found to fail. With that
/// seed in the environment variable <see cref="SeedVariable"/>, the value that failed comes first.
/// </summary>
internal static partial class Properties
{
    internal const string SeedVariable = "NATIVEALLOC_TEST_SEED";

    // So many values are tried in search of a simpler one that fails, too.
    private const int MostTries = 10_000;

    private static readonly string s_seed = Environment.GetEnvironmentVariable(SeedVariable) is { Length: > 0 } seed
        ? seed : new PCG(0, (ulong)Random.Shared.NextInt64()).ToString();

    /// <summary>Runs <paramref name="property"/> on so many values; it fails by throwing.</summary>
    internal static void Check<T>(Values<T> values, Action<T> property, int runs = 100) =>
        Run(values, property, runs, s_seed);

    /// <summary>The same as <see cref="Check"/> with a seed of the caller's.</summary>
    internal static void Run<T>(Values<T> values, Action<T> property, int runs, string seed)
    {
        if (FirstFailure(values.Generator, property, runs, seed) is not var (found, _, error)) return;
        try
        {
            values.Generator.Sample(property, seed: found, iter: MostTries, threads: 1);
        }
        catch (CsCheckException simplest)
        {
            throw Failure(found, simplest.Message, simplest.InnerException ?? error);
        }
        throw Failure(found, "It did not fail a second time.", error);
    }

    // The seed with which the value that fails is the first, that value, and what the property threw.
    private static (string Seed, T Value, Exception Error)? FirstFailure<T>(
        Gen<T> generator, Action<T> property, int runs, string seed)
    {
        PCG random = PCG.Parse(seed);
        for (int run = 0; run < runs; run++)
        {
            Watchdog.Progress();
            string here = random.ToString();
            T value = generator.Generate(random, null, out _);
            try
            {
                property(value);
            }
            catch (Exception error)
            {
                return (here, value, error);
            }
        }
        return null;
    }

    private static InvalidOperationException Failure(string seed, string text, Exception error) =>
        new($"To see this again set {SeedVariable}={seed}. {text}\n{error.Message}", error);
}
