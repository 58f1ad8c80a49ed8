using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// Vectors among small objects: most steps replace a small object, and some double a vector, from 64 B up to a limit,
/// where it is freed and a new one begins. What a vector held must still be there when it has grown.
/// </summary>
internal sealed class GrowthWorkload : HeapWorkload
{
    public const string Kind = "growth";

    private const uint FirstBytes = 64;
    private const uint MinSmallBytes = 16, MaxSmallBytes = 512;

    private readonly int _vectors;
    private readonly int _objects;
    private readonly int _steps;
    private readonly uint _maxBytes;
    private readonly uint _oneIn;
    private readonly int _seed;

    public GrowthWorkload(WorkloadParameters parameters)
        : base(parameters, "vectors=2:objects=16:steps=64:max=1:onein=4")
    {
        _vectors = parameters.Number("vectors", 16, 1, 100_000);
        _objects = parameters.Number("objects", 20_000, 1, 10_000_000);
        _steps = parameters.Number("steps", 200_000, 1, 100_000_000);
        _maxBytes = (uint)parameters.Number("max", 4096, 1, 1 << 20) << 10;
        _oneIn = (uint)parameters.Number("onein", 256, 1, 1_000_000);
        _seed = parameters.Number("seed", 1, 0, int.MaxValue);
        parameters.RejectOthers();
    }

    public override string Description =>
        $"{_vectors} vectors per thread that double from {FirstBytes} B to {_maxBytes >> 10} KiB, one " +
        $"step in {_oneIn}; the others replace " +
        "small objects; parameters: vectors=PER-THREAD, objects=IN-ALL, steps=IN-ALL, max=KIB, onein=N, seed=N";

    public override int TeamSize(int threads) => threads;

    public override HeapRun Bind<THeap, TBlock>(int threads, ThreadTeam team) =>
        new Run<THeap, TBlock>(this, threads, team);

    protected override HeapWorkload Create(WorkloadParameters parameters) => new GrowthWorkload(parameters);

    private struct Vector<TBlock>
    {
        public TBlock Block;

        /// <summary>0 if there is none yet.</summary>
        public uint Size;
    }

    private sealed class Run<THeap, TBlock> : HeapRun
        where THeap : struct, IHeap<TBlock>
        where TBlock : struct
    {
        private readonly GrowthWorkload _of;
        private readonly ThreadTeam _team;
        private readonly Vector<TBlock>[][] _vectors;
        private readonly TBlock[][] _objects;
        private readonly int _steps;

        public Run(GrowthWorkload of, int threads, ThreadTeam team)
        {
            _of = of;
            _team = team;
            _steps = Share(of._steps, threads);
            _vectors = [.. Enumerable.Range(0, threads).Select(_ => MakeResident<Vector<TBlock>>(of._vectors))];
            _objects = [.. Enumerable.Range(0, threads).Select(_ => MakeResident<TBlock>(Share(of._objects, threads)))];
            (Operations, LiveBytes) = CountOperations();
        }

        public override long Operations { get; }

        public override long LiveBytes { get; }

        public override void Pass() => _team.Run(Work);

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Work(int thread)
        {
            Dice dice = new(_of._seed, thread);
            TBlock[] objects = _objects[thread];
            for (int i = 0; i < objects.Length; i++)
                objects[i] = MakeObject(ref dice);
            Step(objects, _vectors[thread], ref dice);
            foreach (TBlock small in objects)
                THeap.Free(small);
            foreach (ref Vector<TBlock> vector in _vectors[thread].AsSpan())
            {
                if (vector.Size != 0)
                    THeap.Free(vector.Block);
                vector = default;
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Step(TBlock[] objects, Vector<TBlock>[] vectors, ref Dice dice)
        {
            for (int step = 0; step < _steps; step++)
            {
                if (dice.Below(_of._oneIn) == 0)
                {
                    Grow(ref vectors[dice.Below((uint)vectors.Length)]);
                    continue;
                }

                ref TBlock small = ref objects[dice.Below((uint)objects.Length)];
                THeap.Free(small);
                small = MakeObject(ref dice);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static TBlock MakeObject(ref Dice dice)
        {
            uint size = dice.Between(MinSmallBytes, MaxSmallBytes);
            TBlock small = THeap.Alloc(size);
            BlockBytes.TouchEnds(ref THeap.At(small), size);
            return small;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Grow(ref Vector<TBlock> vector)
        {
            uint size = vector.Size, next = Next(size);
            if (next == FirstBytes)
            {
                if (size != 0)
                    THeap.Free(vector.Block);
                vector.Block = THeap.Alloc(next);
                size = 0;
            }
            else
            {
                vector.Block = THeap.Realloc(vector.Block, next);
                ref byte old = ref THeap.At(vector.Block);
                if (old != 1 || Unsafe.Add(ref old, size - 1) != 1)
                    ThrowCorrupt(Kind);
            }

            vector.Size = next;
            ref byte block = ref THeap.At(vector.Block);
            BlockBytes.TouchPages(ref block, next, size);
            BlockBytes.TouchEnds(ref block, next);
        }

        /// <summary>The size after the next step: twice as much, or the first again.</summary>
        private uint Next(uint size) => size == 0 || 2 * size > _of._maxBytes ? FirstBytes : 2 * size;

        /// <summary>
        /// Draws what the threads will draw, with sizes alone. The objects' bytes are those of their mean size.
        /// </summary>
        private (long Operations, long LiveBytes) CountOperations()
        {
            long operations = 0, peaks = 0;
            for (int thread = 0; thread < _vectors.Length; thread++)
            {
                Dice dice = new(_of._seed, thread);
                uint[] sizes = new uint[_of._vectors];
                int objects = _objects[thread].Length;
                long live = 0, peak = 0;
                for (int i = 0; i < objects; i++)
                    dice.Between(MinSmallBytes, MaxSmallBytes);
                operations += 2L * objects;
                for (int step = 0; step < _steps; step++)
                {
                    if (dice.Below(_of._oneIn) != 0)
                    {
                        dice.Below((uint)objects);
                        dice.Between(MinSmallBytes, MaxSmallBytes);
                        operations += 2;
                        continue;
                    }

                    ref uint size = ref sizes[dice.Below((uint)sizes.Length)];
                    uint next = Next(size);
                    operations += next == FirstBytes && size != 0 ? 2 : 1;
                    live += (long)next - size;
                    size = next;
                    peak = Math.Max(peak, live);
                }

                operations += sizes.Count(size => size != 0);
                peaks += peak + ((long)objects * (MinSmallBytes + MaxSmallBytes) / 2);
            }

            return (operations, peaks);
        }
    }
}
