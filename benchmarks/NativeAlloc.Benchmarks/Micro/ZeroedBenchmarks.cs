using BenchmarkDotNet.Attributes;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>A zeroed block is allocated and freed at once.</summary>
public unsafe class ZeroedBenchmarks : ArmBenchmarks
{
    [Params(16, 64, 256, 1024, 16384, 131072, 1048576)]
    public int Size { get; set; }

    private protected override void Run<TAllocator>()
    {
        nuint size = (nuint)Size;
        for (int i = 0; i < Repeats; i++)
            TAllocator.Free(TAllocator.AllocZeroed(size));
    }
}
