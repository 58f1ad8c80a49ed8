using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// The simplest there is: n blocks of one size are allocated and filled, then the first half is freed oldest first and the
/// second newest first; for some sizes and numbers, so often that each pair has as many blocks. First on the calling
/// thread, then on N new ones at once, then on the calling thread again: some allocators are faster as long as there is no
/// other thread, or on the first.
/// </summary>
internal sealed class GlibcSimpleWorkload : HeapWorkload
{
    public const string Kind = "glibc-simple";

    private static readonly uint[] s_sizes = [16, 32, 64];
    private static readonly int[] s_counts = [25, 100, 400, 1600];

    private readonly int _blocks;

    public GlibcSimpleWorkload(WorkloadParameters parameters)
        : base(parameters, "blocks=1600")
    {
        _blocks = parameters.Number("blocks", 800_000, s_counts[^1], 1_000_000_000);
        parameters.RejectOthers();
    }

    public override string Description =>
        "25 to 1600 blocks of 16, 32, 64 B allocated, half of them freed oldest first, half newest first; on the calling thread, on N " +
        "new ones, on the calling thread; parameters: blocks=PER-SIZE-AND-COUNT";

    public override int TeamSize(int threads) => 1;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team) => new Run<THeap, TBlock>(this, threads);

    protected override HeapWorkload Create(WorkloadParameters parameters) => new GlibcSimpleWorkload(parameters);

    private sealed class Run<THeap, TBlock>(GlibcSimpleWorkload of, int threads) : HeapRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly TBlock[][] _slots =
            [.. Enumerable.Range(0, threads).Select(_ => MakeResident<TBlock>(s_counts[^1]))];

        public override long Operations =>
            2L * (threads + 2) * s_sizes.Length * s_counts.Sum(count => (long)(of._blocks / count * count));

        public override long LiveBytes => (long)threads * s_sizes[^1] * s_counts[^1];

        public override void Pass()
        {
            Work(0);
            FreshThreads.Run(threads, Work);
            Work(0);
        }

        private void Work(int thread)
        {
            foreach (uint size in s_sizes)
            {
                foreach (int count in s_counts)
                    Repeat(_slots[thread].AsSpan(0, count), size, of._blocks / count);
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Repeat(Span<TBlock> slots, uint size, int times)
        {
            for (int time = 0; time < times; time++)
            {
                foreach (ref TBlock slot in slots)
                {
                    slot = THeap.Alloc(size);
                    BlockBytes.Fill(ref THeap.At(slot), size, 1);
                }

                int half = slots.Length / 2;
                for (int i = 0; i < half; i++)
                    THeap.Free(slots[i]);
                for (int i = slots.Length - 1; i >= half; i--)
                    THeap.Free(slots[i]);
            }
        }
    }
}
