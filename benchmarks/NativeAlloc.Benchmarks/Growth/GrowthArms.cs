namespace NativeAlloc.Benchmarks.Growth;

/// <summary>All rows of the <c>growth</c> tables, in the order in which they are shown.</summary>
internal static class GrowthArms
{
    private const nuint KiB = 1 << 10;
    private const nuint MiB = 1 << 20;

    private static readonly nuint[] s_touchedBytes = [2 * MiB, 64 * MiB, 256 * MiB];
    private static readonly nuint[] s_clearedBytes = [64 * KiB, 512 * KiB, 4 * MiB, 16 * MiB, 32 * MiB, 64 * MiB];

    public static IReadOnlyList<GrowthArm> All { get; } = [.. s_touchedBytes.SelectMany(Touches), .. s_clearedBytes.SelectMany(Clears)];

    private static IEnumerable<GrowthArm> Touches(nuint bytes) =>
    [
        new FirstTouchArm("faults of 4 KiB", bytes, PageMark.Small, BatchBy.Faults, bytes),
        new FirstTouchArm("populate by 64 KiB", bytes, PageMark.Small, BatchBy.Populate, 64 * KiB),
        new FirstTouchArm("populate by 256 KiB", bytes, PageMark.Small, BatchBy.Populate, 256 * KiB),
        new FirstTouchArm("populate by 1 MiB", bytes, PageMark.Small, BatchBy.Populate, 1 * MiB),
        new FirstTouchArm("populate by 2 MiB", bytes, PageMark.Small, BatchBy.Populate, 2 * MiB),
        new FirstTouchArm("populate whole", bytes, PageMark.Small, BatchBy.Populate, bytes),
        new FirstTouchArm("huge pages, faults", bytes, PageMark.Huge, BatchBy.Faults, bytes),
        new FirstTouchArm("huge pages, populate by 2 MiB", bytes, PageMark.Huge, BatchBy.Populate, 2 * MiB),
        new FirstTouchArm("huge pages, populate whole", bytes, PageMark.Huge, BatchBy.Populate, bytes),
        new FirstTouchArm("huge pages, collapse by 2 MiB", bytes, PageMark.None, BatchBy.Collapse, 2 * MiB),
        new FirstTouchArm("huge pages, marked for 2 MiB at a time", bytes, PageMark.Small, BatchBy.MarkAndPopulate, 2 * MiB),
    ];

    private static IEnumerable<GrowthArm> Clears(nuint bytes)
    {
        yield return new ClearArm<LibraryClear>("NativeMemory.Clear", bytes, huge: false);
        yield return new ClearArm<VectorClear>("Vector256 stores", bytes, huge: false);
        yield return new ClearArm<NonTemporalClear>("non-temporal stores", bytes, huge: false);
        yield return new ClearArm<GiveBackAndFault>("give back, faults of 4 KiB", bytes, huge: false);
        yield return new ClearArm<GiveBackAndPopulate>("give back, populate", bytes, huge: false);
        yield return new ClearArm<LibraryClear>("NativeMemory.Clear on huge pages", bytes, huge: true);
        yield return new ClearArm<NonTemporalClear>("non-temporal stores on huge pages", bytes, huge: true);

        // A part of a huge page cannot come back as one.
        if (bytes >= PrivatePages.HugePageBytes)
            yield return new ClearArm<GiveBackAndFault>("give back, faults of huge pages", bytes, huge: true);
    }
}
