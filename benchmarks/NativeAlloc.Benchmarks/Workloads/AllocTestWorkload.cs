using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// Random slots, power-law sizes. Every step chooses a slot: 80 % of the steps are for 20 % of the slots, and so on
/// within those and the others, six times. A full slot's block is read as a whole and freed; an empty one gets a block
/// which is filled. An additional bit of size is half as frequent as the one before, from 4 B up to 1 KiB.
/// </summary>
internal sealed class AllocTestWorkload : HeapWorkload
{
    public const string Kind = "alloc-test";

    private const int Nestings = 6;
    private const int MinExponent = 2;
    private const int MaxExponent = 9; // sizes are 2^e up to just below 2^(e+1)
    private const byte Content = 0x5A;

    private readonly int _slots;
    private readonly int _steps;
    private readonly int _seed;

    public AllocTestWorkload(WorkloadParameters parameters)
        : base(parameters, "slots=64:steps=64")
    {
        _slots = parameters.Number("slots", 1 << 18, 1, 1 << 26);
        _steps = parameters.Number("steps", 6_000_000, 1, 1_000_000_000);
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_slots} slots in all, some much more frequent than others, small sizes more frequent than large ones; " +
        "blocks are read as a " +
        "whole; parameters: slots=IN-ALL, steps=IN-ALL, seed=N";

    public override int TeamSize(int threads) => threads;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team) =>
        new Run<THeap, TBlock>(this, threads, team);

    protected override HeapWorkload Create(WorkloadParameters parameters) => new AllocTestWorkload(parameters);

    /// <summary>Leading zeros of random bits are a geometric law with one half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint DrawSize(ref Dice dice)
    {
        ulong bits = dice.Next();
        int exponent = Math.Min(MaxExponent, MinExponent + System.Numerics.BitOperations.LeadingZeroCount(bits));
        return (1u << exponent) | (uint)(bits & ((1u << exponent) - 1));
    }

    /// <summary>
    /// The slots in 64 segments, one for each way through the nestings, and a table to draw a segment from by its
    /// frequency: going through the nestings every time would cost more than allocating.
    /// </summary>
    private sealed class SlotLaw
    {
        /// <summary>
        /// A power of two, large enough for the rarest segment (0.2 to the sixth) to be in the table.
        /// </summary>
        private const int TableLength = 1 << 14;

        private readonly byte[] _segments = new byte[TableLength];
        private readonly (uint First, uint Count)[] _ranges = new (uint, uint)[1 << Nestings];

        public SlotLaw(int slots)
        {
            double below = 0;
            for (int segment = 0; segment < _ranges.Length; segment++)
            {
                uint first = 0, count = (uint)slots;
                double frequency = 1;
                for (int nesting = 0; nesting < Nestings; nesting++)
                {
                    uint fifth = Math.Max(1, count / 5);
                    bool isFrequent = (segment & (1 << nesting)) == 0 || count == fifth;
                    frequency *= (segment & (1 << nesting)) == 0 ? 0.8 : 0.2;
                    first += isFrequent ? 0 : fifth;
                    count = isFrequent ? fifth : count - fifth;
                }

                _ranges[segment] = (first, count);
                _segments.AsSpan((int)(below * TableLength)..).Fill((byte)segment);
                below += frequency;
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public uint Draw(ref Dice dice)
        {
            ulong bits = dice.Next();
            (uint first, uint count) = _ranges[_segments[bits & (TableLength - 1)]];
            return first + (uint)(((bits >> 32) * count) >> 32);
        }
    }

    private struct Slot<TBlock>
    {
        public TBlock Block;

        /// <summary>0 if the slot is empty.</summary>
        public uint Size;
    }

    private sealed class Run<THeap, TBlock> : HeapRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly AllocTestWorkload _of;
        private readonly ThreadTeam _team;
        private readonly Slot<TBlock>[][] _slots;
        private readonly SlotLaw _law;
        private readonly int _steps;

        public Run(AllocTestWorkload of, int threads, ThreadTeam team)
        {
            _of = of;
            _team = team;
            _slots =
                [.. Enumerable.Range(0, threads).Select(_ => MakeResident<Slot<TBlock>>(Share(of._slots, threads)))];
            _steps = Share(of._steps, threads);
            _law = new SlotLaw(_slots[0].Length);
            (Operations, LiveBytes) = CountOperations();
        }

        public override long Operations { get; }

        public override long LiveBytes { get; }

        public override void Pass() => _team.Run(Work);

        private void Work(int thread)
        {
            Dice dice = new(_of._seed, thread);
            Step(_slots[thread], ref dice);
            FreeAll(_slots[thread]);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Step(Span<Slot<TBlock>> slots, ref Dice dice)
        {
            for (int step = 0; step < _steps; step++)
            {
                ref Slot<TBlock> slot = ref slots[(int)_law.Draw(ref dice)];
                if (slot.Size != 0)
                {
                    CheckAndFree(ref slot);
                }
                else
                {
                    slot.Size = DrawSize(ref dice);
                    slot.Block = THeap.Alloc(slot.Size);
                    BlockBytes.Fill(ref THeap.At(slot.Block), slot.Size, Content);
                }
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void FreeAll(Span<Slot<TBlock>> slots)
        {
            foreach (ref Slot<TBlock> slot in slots)
            {
                if (slot.Size != 0)
                    CheckAndFree(ref slot);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void CheckAndFree(ref Slot<TBlock> slot)
        {
            if (!BlockBytes.Holds(ref THeap.At(slot.Block), slot.Size, Content))
                ThrowCorrupt(Kind);
            THeap.Free(slot.Block);
            slot = default;
        }

        /// <summary>Draws what the threads will draw, with sizes alone.</summary>
        private (long Operations, long LiveBytes) CountOperations()
        {
            long allocations = 0, peaks = 0;
            for (int thread = 0; thread < _slots.Length; thread++)
            {
                Dice dice = new(_of._seed, thread);
                uint[] sizes = new uint[_slots[thread].Length];
                long live = 0, peak = 0;
                for (int step = 0; step < _steps; step++)
                {
                    ref uint size = ref sizes[_law.Draw(ref dice)];
                    if (size != 0)
                    {
                        live -= size;
                        size = 0;
                        continue;
                    }

                    size = DrawSize(ref dice);
                    live += size;
                    peak = Math.Max(peak, live);
                    allocations++;
                }

                peaks += peak;
            }

            return (2 * allocations, peaks);
        }
    }
}
