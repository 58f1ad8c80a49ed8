using BenchmarkDotNet.Attributes;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>
/// A block is allocated and freed at once, the best case of any allocator. The size is not known to the compiler.
/// </summary>
public unsafe class PairBenchmarks : ArmBenchmarks
{
    [Params(16, 64, 256, 1024, 4096, 32768, 262144, 1048576)]
    public int Size { get; set; }

    private protected override void Run<TAllocator>()
    {
        nuint size = (nuint)Size;
        for (int i = 0; i < Repeats; i++)
            TAllocator.Free(TAllocator.Alloc(size));
    }
}
