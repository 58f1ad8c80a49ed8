using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// Threads that live shortly: in every round N new ones swap zeroed blocks of 16 words through slots that all share,
/// and free what they get for them. What a thread had for itself must not be lost when it ends: memory must not grow
/// with the number of rounds. The figure <c>growthKiB</c> is what fifty rounds have resident in the end beyond what
/// five have; it should be near zero.
/// </summary>
internal sealed class MleakWorkload : HeapWorkload
{
    public const string Kind = "mleak";

    private const uint Bytes = 16 * sizeof(ulong);

    /// <summary>The figure's short run and its long one.</summary>
    private const int FewRounds = 5;
    private const int ManyRounds = 50;

    private readonly int _rounds;
    private readonly int _swaps;
    private readonly int _slots;
    private readonly int _seed;

    public MleakWorkload(WorkloadParameters parameters)
        : base(parameters, "rounds=1:swaps=64:slots=16")
    {
        _rounds = parameters.Number("rounds", 50, 1, 1_000_000);
        _swaps = parameters.Number("swaps", 80_000, 1, 100_000_000);
        _slots = parameters.Number("slots", 1000, 1, 1_000_000);
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"N short-lived threads at a time swap zeroed blocks through {_slots} shared slots; memory must not grow; " +
        "parameters: " +
        "rounds=N, swaps=PER-ROUND-IN-ALL, slots=N, seed=N";

    public override int TeamSize(int threads) => 1;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team) => new Run<THeap, TBlock>(this, threads);

    protected override HeapWorkload Create(WorkloadParameters parameters) => new MleakWorkload(parameters);

    private sealed class Run<THeap, TBlock>(MleakWorkload of, int threads) : HeapRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly int _swaps = Share(of._swaps, threads);
        private readonly TBlock[] _slots = MakeResident<TBlock>(of._slots);

        public override long Operations => 2L * of._rounds * threads * _swaps;

        public override long LiveBytes => (_slots.Length + threads) * (long)Bytes;

        public override void Pass() => SwapAll(of._rounds);

        /// <summary>How much more is resident after many rounds than after few.</summary>
        public override IReadOnlyDictionary<string, double> Examine()
        {
            SwapAll(FewRounds);
            long afterFew = Settle();
            SwapAll(ManyRounds);
            return new Dictionary<string, double> { ["growthKiB"] = Settle() - afterFew };
        }

        /// <summary>What is resident once nothing is left of the threads on the managed side.</summary>
        private static long Settle()
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            GC.Collect();
            return ResidentMemory.ResetPeak();
        }

        private void SwapAll(int rounds)
        {
            for (int round = 0; round < rounds; round++)
            {
                int first = round * threads;
                FreshThreads.Run(threads, thread => Swap(first + thread));
            }

            FreeAll();
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Swap(int stream)
        {
            Dice dice = new(of._seed, stream);
            for (int i = 0; i < _swaps; i++)
            {
                TBlock block = THeap.AllocZeroed(Bytes);
                ref ulong words = ref Unsafe.As<byte, ulong>(ref THeap.At(block));
                if (words != 0 || Unsafe.Add(ref words, 15) != 0)
                    ThrowCorrupt(Kind);
                words = ulong.MaxValue;
                Unsafe.Add(ref words, 15) = ulong.MaxValue;

                block = THeap.Exchange(ref _slots[dice.Below((uint)_slots.Length)], block);
                if (!THeap.IsNone(block))
                    THeap.Free(block);
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void FreeAll()
        {
            foreach (ref TBlock slot in _slots.AsSpan())
            {
                if (!THeap.IsNone(slot))
                    THeap.Free(slot);
                slot = default;
            }
        }
    }
}
