using BenchmarkDotNet.Attributes;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>
/// A block is allocated and freed at once, and every block has another size, small ones being more frequent.
/// </summary>
public unsafe class MixedPairBenchmarks : ArmBenchmarks
{
    private readonly nuint[] _sizes = new nuint[Repeats];

    [Params(1024, 65536, 1048576)]
    public int MaxSize { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        // Evenly spread exponents: as many blocks of 16 to 32 bytes as of 32 to 64, and so on.
        Random random = new(1);
        for (int i = 0; i < Repeats; i++)
            _sizes[i] = (nuint)(16 * Math.Pow(MaxSize / 16.0, random.NextDouble()));
    }

    private protected override void Run<TAllocator>()
    {
        foreach (nuint size in _sizes)
            TAllocator.Free(TAllocator.Alloc(size));
    }
}
