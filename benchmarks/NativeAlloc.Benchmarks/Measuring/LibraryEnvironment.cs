using System.Globalization;

namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>
/// The library's options that benchmarks set, as environment variables of the process that measures it.
/// </summary>
internal static class LibraryEnvironment
{
    /// <summary>Memory that is free is kept for ever.</summary>
    public static KeyValuePair<string, string> NoPurge { get; } = new("NATIVEALLOC_DECAY_MILLISECONDS", "-1");

    /// <summary>One small block in so many lies between pages that cannot be touched.</summary>
    public static KeyValuePair<string, string> Guard { get; } = new("NATIVEALLOC_GUARD", "4000");

    /// <summary>Check mode.</summary>
    public static KeyValuePair<string, string> Check { get; } = new("NATIVEALLOC_CHECK", "1");

    /// <summary>The most that the library may have resident.</summary>
    public static KeyValuePair<string, string> ResidentLimit(long bytes) =>
        new("NATIVEALLOC_RESIDENT_LIMIT_BYTES", bytes.ToString(CultureInfo.InvariantCulture));
}
