using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// Asymmetric lifetimes, transfers between threads, fresh threads in every iteration. A thread has a quota of items
/// that it puts into a list, and half as many that it keeps until its end; after each allocation it frees a random item
/// of the list in 66 % of the cases, and swaps one with a random transfer slot, which all threads share, in 25 %. A few
/// items are a hundred to ten thousand times as large as the others. Between two iterations half of the transfer slots
/// are emptied.
/// <para>
/// All words of an item are written, and checked before it is freed, so this is a test of correctness as well.
/// </para>
/// </summary>
internal sealed class MstressWorkload : HeapWorkload
{
    public const string Kind = "mstress";

    private const ulong Cookie = 0x5DEECE66D9E3779B;

    // Words of an item are 2^0 .. 2^(n-1).
    private const uint ListedExponents = 5;
    private const uint KeptExponents = 7;

    private const uint PercentListed = 50;
    private const uint PercentFreed = 66;
    private const uint PercentSwapped = 25;

    private readonly int _quota;
    private readonly int _iterations;
    private readonly int _slots;
    private readonly int _seed;

    public MstressWorkload(WorkloadParameters parameters)
        : base(parameters, "quota=16:iterations=1:slots=8")
    {
        _quota = parameters.Number("quota", 5000, 2, 1_000_000);
        _iterations = parameters.Number("iterations", 25, 1, 10_000);
        _slots = parameters.Number("slots", 1000, 1, 1_000_000);
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_iterations} generations of threads with lists of items, some kept, some swapped through {_slots} shared " +
        "slots, all of " +
        "them checked; parameters: quota=ITEMS-OF-THE-FIRST-THREAD, iterations=N, slots=N, seed=N";

    public override int TeamSize(int threads) => 1;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team) => new Run<THeap, TBlock>(this, threads);

    protected override HeapWorkload Create(WorkloadParameters parameters) => new MstressWorkload(parameters);

    /// <summary>Threads have unequal quotas, from one to eight times the first one's.</summary>
    private int QuotaOf(int thread) => _quota * ((thread % 8) + 1);

    private sealed class Run<THeap, TBlock> : HeapRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly MstressWorkload _of;
        private readonly int _threads;
        private readonly TBlock[] _transfer;
        private readonly TBlock[][] _listed;
        private readonly TBlock[][] _kept;

        public Run(MstressWorkload of, int threads)
        {
            _of = of;
            _threads = threads;
            _transfer = MakeResident<TBlock>(of._slots);
            _listed = [.. Enumerable.Range(0, threads).Select(thread => MakeResident<TBlock>(of.QuotaOf(thread)))];
            _kept = [.. Enumerable.Range(0, threads).Select(thread => MakeResident<TBlock>(of.QuotaOf(thread) / 2))];
        }

        public override long Operations =>
            2 * _of._iterations * (_listed.Sum(list => (long)list.Length) + _kept.Sum(list => (long)list.Length));

        /// <summary>
        /// The kept items: 127/7 words in the mean, times 4 for the few large ones. Listed ones live shortly.
        /// </summary>
        public override long LiveBytes => _kept.Sum(list => (long)list.Length) * 127 / 7 * 4 * sizeof(ulong);

        public override void Pass()
        {
            Dice dice = new(_of._seed, 0);
            for (int iteration = 0; iteration < _of._iterations; iteration++)
            {
                int first = 1 + (iteration * _threads);
                FreshThreads.Run(_threads, thread => Work(thread, first + thread));
                EmptySlots(ref dice, 50);
            }

            EmptySlots(ref dice, 100);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Work(int thread, int stream)
        {
            Dice dice = new(_of._seed, stream);
            TBlock[] listed = _listed[thread], kept = _kept[thread];
            int toList = listed.Length, toKeep = kept.Length, count = 0;
            while (toList > 0 || toKeep > 0)
            {
                if (toKeep == 0 || (toList > 0 && dice.Percent(PercentListed)))
                {
                    toList--;
                    listed[count++] = Allocate(ref dice, ListedExponents);
                }
                else
                {
                    kept[--toKeep] = Allocate(ref dice, KeptExponents);
                }

                if (count > 0 && dice.Percent(PercentFreed))
                {
                    ref TBlock slot = ref listed[dice.Below((uint)count)];
                    CheckAndFree(slot);
                    Remove(listed, ref slot, ref count);
                }

                if (count > 0 && dice.Percent(PercentSwapped))
                {
                    ref TBlock slot = ref listed[dice.Below((uint)count)];
                    slot = THeap.Exchange(ref _transfer[dice.Below((uint)_transfer.Length)], slot);
                    if (THeap.IsNone(slot))
                        Remove(listed, ref slot, ref count);
                }
            }

            FreeAll(listed.AsSpan(0, count));
            FreeAll(kept);
        }

        /// <summary>The list's last item takes the place of one that is gone.</summary>
        private static void Remove(TBlock[] listed, ref TBlock slot, ref int count)
        {
            slot = listed[--count];
            listed[count] = default;
        }

        private static void FreeAll(Span<TBlock> slots)
        {
            foreach (ref TBlock slot in slots)
            {
                CheckAndFree(slot);
                slot = default;
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void EmptySlots(ref Dice dice, uint percent)
        {
            foreach (ref TBlock slot in _transfer.AsSpan())
            {
                if (!THeap.IsNone(slot) && dice.Percent(percent))
                {
                    CheckAndFree(slot);
                    slot = default;
                }
            }
        }

        private static TBlock Allocate(ref Dice dice, uint exponents)
        {
            uint words = 1u << (int)dice.Below(exponents);
            words *= dice.Below(10_000) switch
            {
                0 => 10_000u,
                < 11 => 1000u,
                < 111 => 100u,
                _ => 1u,
            };
            TBlock block = THeap.Alloc(words * sizeof(ulong));
            ref ulong word = ref Unsafe.As<byte, ulong>(ref THeap.At(block));
            for (uint i = 0; i < words; i++)
                Unsafe.Add(ref word, i) = (words - i) ^ Cookie;
            return block;
        }

        /// <summary>The first word tells how many there are.</summary>
        private static void CheckAndFree(TBlock block)
        {
            ref ulong word = ref Unsafe.As<byte, ulong>(ref THeap.At(block));
            ulong words = word ^ Cookie;
            if (words is 0 or > (1u << (int)KeptExponents) * 10_000)
                ThrowCorrupt(Kind);
            for (uint i = 1; i < words; i++)
            {
                if (Unsafe.Add(ref word, i) != ((words - i) ^ Cookie))
                    ThrowCorrupt(Kind);
            }

            THeap.Free(block);
        }
    }
}
