using NativeAlloc.Common;

namespace NativeAlloc.Release;

/// <summary>
/// User code that drops some of the reclaimable memory it holds on request (<c>register_shrinker</c>): it is asked
/// before an allocation fails, on the thread that needs memory.
/// </summary>
internal static class Shrinkers
{
    private static readonly Registrations<Func<nuint, nuint>> s_shrinkers = new();

    private static long s_calls, s_failures, s_bytes;

    /// <summary>How often a shrinker was asked.</summary>
    internal static long Calls => Volatile.Read(ref s_calls);

    /// <summary>How often one threw instead of an answer.</summary>
    internal static long Failures => Volatile.Read(ref s_failures);

    /// <summary>Bytes that they said they gave back.</summary>
    internal static long Bytes => Volatile.Read(ref s_bytes);

    internal static IDisposable Register(Func<nuint, nuint> shrink) => s_shrinkers.Register(shrink);

    /// <summary>
    /// Asks one after the other until they have given back so much. No lock of this library is held meanwhile.
    /// </summary>
    /// <param name="wantedBytes">How much is missing.</param>
    /// <param name="error">What one of them threw. It is not passed on from here: the thread that needs memory is not
    /// the one whose error it is.</param>
    internal static nuint Ask(nuint wantedBytes, out Exception? error)
    {
        error = null;
        nuint bytes = 0;
        foreach (Registrations<Func<nuint, nuint>>.Registration registration in s_shrinkers.All)
        {
            if (bytes >= wantedBytes) break;
            Interlocked.Increment(ref s_calls);
            try
            {
                nuint given = registration.Item(wantedBytes - bytes);
                bytes = given > nuint.MaxValue - bytes ? nuint.MaxValue : bytes + given;
            }
            catch (Exception thrown)
            {
                Interlocked.Increment(ref s_failures);
                error = thrown;
            }
        }
        Interlocked.Add(ref s_bytes, (long)(bytes & (nuint.MaxValue >> 1)));
        return bytes;
    }
}
