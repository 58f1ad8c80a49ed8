namespace NativeAlloc.Tests.Infrastructure;

/// <summary>Sizes that are worth trying: on both sides of every edge between size classes and layers.</summary>
internal static class Sizes
{
    internal const nuint KiB = 1024, MiB = 1024 * KiB, GiB = 1024 * MiB;

    /// <summary>
    /// The largest size that threads keep in magazines, the largest of the slabs, and the largest of the page layer.
    /// </summary>
    internal const nuint LargestMagazine = 32 * KiB, LargestSlab = 512 * KiB, LargestPages = 64 * MiB;

    /// <summary>From nothing to beyond the page layer.</summary>
    internal static readonly nuint[] AcrossLayers =
    [
        0, 1, 15, 16, 17, 31, 32, 33, 100, 127, 128, 129, 144, 145, 255, 256, 257, 1000, 4095, 4096, 4097, 10_000,
        30_000,
        LargestMagazine - 1, LargestMagazine, LargestMagazine + 1, 64 * KiB, 64 * KiB + 1, 100_000, 300_000,
        LargestSlab - 1, LargestSlab, LargestSlab + 1, MiB, 3 * MiB + 1, 10 * MiB,
        LargestPages - 1, LargestPages, LargestPages + 1, 100 * MiB,
    ];

    /// <summary>Sizes that no system has.</summary>
    internal static readonly nuint[] Impossible = [(nuint)1 << 50, (nuint)1 << 62, (nuint)nint.MaxValue,
        nuint.MaxValue / 2 + 2, nuint.MaxValue - 4095, nuint.MaxValue];
}
