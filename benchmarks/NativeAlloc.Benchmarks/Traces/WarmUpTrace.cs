namespace NativeAlloc.Benchmarks.Traces;

/// <summary>
/// The small made-up trace that stands in for a real one during the warm-up. It has all kinds of operations, in roughly
/// the proportions that programs show (the JIT arranges code by what it sees here), at most a few hundred blocks alive,
/// and leaves none. The rare larger sizes bring the less common paths of an allocator along; only the ends of a block are
/// written, so they hardly become resident.
/// </summary>
internal static class WarmUpTrace
{
    public const int SlotCount = 256;

    private const int Steps = 3500;

    public static ReplayOp[] Create()
    {
        List<ReplayOp> ops = [];
        bool[] live = new bool[SlotCount];
        bool[] aligned = new bool[SlotCount];
        uint state = 12345;

        for (int step = 0; step < Steps; step++)
        {
            int slot = (int)Next(ref state, SlotCount);
            uint choice = Next(ref state, 100);
            if (live[slot] && choice >= 8)
            {
                ops.Add(ReplayOp.FreeOf(slot, aligned[slot]));
                live[slot] = false;
                continue;
            }

            uint kind = live[slot] ? ReplayKind.Realloc : choice switch
            {
                < 2 => ReplayKind.Aligned,
                < 6 => ReplayKind.Calloc,
                < 7 => ReplayKind.Realloc,
                _ => ReplayKind.Malloc,
            };
            aligned[slot] = kind == ReplayKind.Aligned;
            live[slot] = true;
            ops.Add(new ReplayOp
            {
                Kind = kind,
                Slot = (uint)slot,
                Size = NextSize(ref state),
                Alignment = aligned[slot] ? 64u : 0,
            });
        }

        for (int slot = 0; slot < SlotCount; slot++)
        {
            if (live[slot])
                ops.Add(ReplayOp.FreeOf(slot, aligned[slot]));
        }

        return [.. ops];
    }

    private static uint NextSize(ref uint state) => Next(ref state, 1000) switch
    {
        < 970 => 1 + Next(ref state, 256),
        < 997 => 256 + Next(ref state, 4096),
        _ => 16384 + Next(ref state, 65536),
    };

    /// <summary>A plain linear congruential generator: the same trace every time, everywhere.</summary>
    private static uint Next(ref uint state, uint bound)
    {
        state = unchecked((state * 1664525) + 1013904223);
        return (uint)(((ulong)state * bound) >> 32);
    }
}
