using BenchmarkDotNet.Attributes;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>A block on a cache line boundary is allocated and freed at once.</summary>
public unsafe class AlignedBenchmarks : ArmBenchmarks
{
    private const nuint Alignment = 64;

    [Params(16, 64, 256, 1024, 16384, 1048576)]
    public int Size { get; set; }

    private protected override void Run<TAllocator>()
    {
        nuint size = (nuint)Size;
        for (int i = 0; i < Repeats; i++)
            TAllocator.AlignedFree(TAllocator.AlignedAlloc(size, Alignment));
    }
}
