using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// False sharing. Every thread in turn allocates a byte, writes and reads it very often, and frees it. If an allocator
/// gives two threads bytes of the same cache line, they slow each other down, and the time per operation, nearly all of
/// which is these accesses, tells by how much.
/// <para>
/// In <c>cache-thrash</c> this is up to the allocator alone (active false sharing). In <c>cache-scratch</c> the calling
/// thread first allocates a byte for each thread, which lie side by side, and the threads begin by freeing those: an
/// allocator that gives them out again on the thread that freed them has them share lines from then on (passive false
/// sharing).
/// </para>
/// </summary>
internal sealed class CacheLineWorkload : HeapWorkload
{
    public const string Scratch = "cache-scratch";
    public const string Thrash = "cache-thrash";

    private readonly bool _handOver;
    private readonly int _rounds;
    private readonly int _accesses;

    public CacheLineWorkload(WorkloadParameters parameters)
        : base(parameters, "rounds=4:accesses=64")
    {
        _handOver = parameters.Kind == Scratch;
        _rounds = parameters.Number("rounds", 1000, 1, 1_000_000_000);
        _accesses = parameters.Number("accesses", 200_000, 1, 1_000_000_000);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{(_handOver ? "passive" : "active")} false sharing: a byte is allocated, accessed {_accesses}/N times, " +
        "freed; parameters: " +
        "rounds=PER-THREAD, accesses=PER-ROUND-OF-ALL-THREADS";

    public override int TeamSize(int threads) => threads;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team) =>
        new Run<THeap, TBlock>(this, threads, team);

    protected override HeapWorkload Create(WorkloadParameters parameters) => new CacheLineWorkload(parameters);

    private sealed class Run<THeap, TBlock>(CacheLineWorkload of, int threads, ThreadTeam team) : HeapRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly TBlock[] _handedOver = new TBlock[threads];

        public override long Operations => 2L * threads * (of._rounds + (of._handOver ? 1 : 0));

        public override long LiveBytes => threads;

        public override void Pass()
        {
            if (of._handOver)
                AllocateAll();
            team.Run(Work);
        }

        private void Work(int thread)
        {
            if (of._handOver)
                THeap.Free(_handedOver[thread]);
            int accesses = Share(of._accesses, threads);
            for (int round = 0; round < of._rounds; round++)
                Round(accesses);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void AllocateAll()
        {
            foreach (ref TBlock slot in _handedOver.AsSpan())
            {
                slot = THeap.Alloc(1);
                THeap.At(slot) = 1;
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Round(int accesses)
        {
            TBlock block = THeap.Alloc(1);
            Access(ref THeap.At(block), accesses);
            THeap.Free(block);
        }

        private static void Access(ref byte at, int accesses)
        {
            Volatile.Write(ref at, 0);
            for (int i = 0; i < accesses; i++)
                Volatile.Write(ref at, unchecked((byte)(Volatile.Read(ref at) + 1)));
            if (Volatile.Read(ref at) != unchecked((byte)accesses))
                ThrowCorrupt("false sharing");
        }
    }
}
