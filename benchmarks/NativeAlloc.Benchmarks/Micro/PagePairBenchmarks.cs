using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;
using NativeAlloc.Benchmarks.Allocators;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>
/// One page is allocated and freed at once: it comes from the thread's hot pages and goes back to them. Beside it, what
/// the C library takes for the same with 64 bytes.
/// </summary>
[SuppressMessage("Performance", "CA1822", Justification = "BenchmarkDotNet calls instance methods only")]
public unsafe class PagePairBenchmarks
{
    private const int Repeats = ArmBenchmarks.Repeats;
    private const nuint SmallSize = 64;

    [Benchmark(Baseline = true, OperationsPerInvoke = Repeats)]
    public void Page()
    {
        for (int i = 0; i < Repeats; i++)
            PageAllocator.FreePage(PageAllocator.AllocPage());
    }

    [Benchmark(OperationsPerInvoke = Repeats)]
    public void PageByAddress()
    {
        for (int i = 0; i < Repeats; i++)
            PageAllocator.FreePage(PageAllocator.GetFreePage());
    }

    [Benchmark(OperationsPerInvoke = Repeats)]
    public void NativeMemory64Bytes()
    {
        for (int i = 0; i < Repeats; i++)
            NativeMemoryAllocator.Free(NativeMemoryAllocator.Alloc(SmallSize));
    }
}
