namespace NativeAlloc.Benchmarks.Traces;

/// <summary>
/// The small made-up trace that stands in for a real one during the warm-up. It has all kinds of operations, in roughly
/// the proportions that programs show (the JIT arranges code by what it sees here), and leaves no block alive. The rare
/// larger sizes bring the less common paths of an allocator along, and a few bursts of tiny blocks those that fill and
/// empty its caches: left to the measured passes, compiling these would count as memory of the managed arms. It all
/// stays within some tens of kilobytes, as what an allocator keeps of the warm-up is missing from its measured peak.
/// </summary>
internal static class WarmUpTrace
{
    public const int SlotCount = 1024;

    private const int Steps = 3500;
    private const int SlotsInSteps = 256;
    private const int Bursts = 6;
    private const uint BurstBlockSize = 24;

    public static ReplayOp[] Create()
    {
        List<ReplayOp> ops = [];
        bool[] live = new bool[SlotsInSteps];
        bool[] aligned = new bool[SlotsInSteps];
        uint state = 12345;

        for (int step = 0; step < Steps; step++)
        {
            int slot = (int)Next(ref state, SlotsInSteps);
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

        for (int slot = 0; slot < SlotsInSteps; slot++)
        {
            if (live[slot])
                ops.Add(ReplayOp.FreeOf(slot, aligned[slot]));
        }

        for (int burst = 0; burst < Bursts; burst++)
        {
            for (int slot = 0; slot < SlotCount; slot++)
                ops.Add(new ReplayOp { Kind = ReplayKind.Malloc, Slot = (uint)slot, Size = BurstBlockSize });
            for (int slot = 0; slot < SlotCount; slot++)
                ops.Add(ReplayOp.FreeOf(slot, aligned: false));
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
