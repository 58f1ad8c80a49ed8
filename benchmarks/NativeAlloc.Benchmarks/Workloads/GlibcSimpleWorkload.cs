using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// The simplest there is: n blocks of one size are allocated and filled, then the first half is freed oldest first and
/// the second newest first; for some sizes and numbers, so often that each pair has as many blocks. First on the
/// calling thread, then on N new ones at once, then on the calling thread again: some allocators are faster as long as
/// there is no other thread, or on the first.
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
        "25 to 1600 blocks of 16, 32, 64 B allocated, half of them freed oldest first, half newest first; on the " +
        "calling thread, on N " +
        "new ones, on the calling thread; parameters: blocks=PER-SIZE-AND-COUNT-IN-ALL";

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
            2 * s_sizes.Length * s_counts.Sum(count =>
                ((2L * Times(of._blocks, count)) + ((long)threads * Times(Share(of._blocks, threads), count))) * count);

        public override long LiveBytes => (long)threads * s_sizes[^1] * s_counts[^1];

        public override void Pass()
        {
            Work(0, of._blocks);
            FreshThreads.Run(threads, thread => Work(thread, Share(of._blocks, threads)));
            Work(0, of._blocks);
        }

        private static int Times(int blocks, int count) => Math.Max(1, blocks / count);

        private void Work(int thread, int blocks)
        {
            foreach (uint size in s_sizes)
            {
                foreach (int count in s_counts)
                    Repeat(_slots[thread].AsSpan(0, count), size, Times(blocks, count));
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
