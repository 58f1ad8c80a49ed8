using BenchmarkDotNet.Attributes;
using NativeAlloc.Benchmarks.Allocators;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>
/// A block of pages is allocated, written to once every 4 KiB, and freed: by the page allocator, which keeps the memory
/// behind it, and by the kernel, which has to find it again each time.
/// </summary>
public unsafe class PageTouchBenchmarks
{
    private const int Repeats = 16;
    private const nuint SystemPageBytes = 4096;

    [Params(0, 2, 5, 10)]
    public int Order { get; set; }

    [Benchmark(Baseline = true, OperationsPerInvoke = Repeats)]
    public void NativeAlloc() => Run<NativeAllocAllocator>();

    [Benchmark(OperationsPerInvoke = Repeats)]
    public void Mmap() => Run<MmapAllocator>();

    private void Run<TAllocator>()
        where TAllocator : struct, IAllocator
    {
        int order = Order;
        nuint bytes = IAllocator.BytesOf(order);
        for (int i = 0; i < Repeats; i++)
        {
            byte* block = (byte*)TAllocator.AllocPages(order);
            for (nuint at = 0; at < bytes; at += SystemPageBytes)
                block[at] = 1;
            TAllocator.FreePages(block, order);
        }
    }
}
