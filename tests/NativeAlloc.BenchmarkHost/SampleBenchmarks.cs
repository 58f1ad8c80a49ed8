using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;
using NativeAlloc.BenchmarkDotNet;

namespace NativeAlloc.BenchmarkHost;

/// <summary>Benchmarks of which it is known what an operation allocates and leaves.</summary>
[NativeAllocDiagnoser]
[SuppressMessage("Performance", "CA1822", Justification = "BenchmarkDotNet calls instance methods only")]
public unsafe class SampleBenchmarks
{
    private const int BlocksAtOnce = 50;

    private readonly nint[] _blocks = new nint[BlocksAtOnce];

    private nint _last;

    /// <summary>Nothing.</summary>
    [Benchmark]
    public int Nothing() => Environment.TickCount;

    /// <summary>Three blocks of 100 bytes, which are freed.</summary>
    [Benchmark]
    public void ThreeBlocks()
    {
        void* one = NativeAllocator.Alloc(100), two = NativeAllocator.Alloc(100), three = NativeAllocator.Alloc(100);
        NativeAllocator.Free(two);
        NativeAllocator.Free(one);
        NativeAllocator.Free(three);
    }

    /// <summary>A block that is never freed.</summary>
    [Benchmark]
    public void Leak() => _last = (nint)NativeAllocator.Alloc(100);

    /// <summary>A block in place of the one of the operation before: none is left.</summary>
    [Benchmark]
    public void Exchange()
    {
        NativeAllocator.Free((void*)_last);
        _last = (nint)NativeAllocator.Alloc(24);
    }

    /// <summary>Blocks of other layers: of pages, and of mapped memory.</summary>
    [Benchmark]
    public void LargeBlocks()
    {
        NativeAllocator.Free(NativeAllocator.Alloc(600_000));
        NativeAllocator.Free(NativeAllocator.Alloc(3_000_000));
    }

    /// <summary>Blocks on another thread each time.</summary>
    [Benchmark]
    public void OtherThread()
    {
        Thread thread = new(static () => NativeAllocator.Free(NativeAllocator.Alloc(48)));
        thread.Start();
        thread.Join();
    }

    /// <summary>An operation is a part of an invocation.</summary>
    [Benchmark(OperationsPerInvoke = BlocksAtOnce)]
    public void Many()
    {
        for (int i = 0; i < BlocksAtOnce; i++) _blocks[i] = (nint)NativeAllocator.Alloc(16);
        foreach (nint block in _blocks) NativeAllocator.Free((void*)block);
    }

    /// <summary>The process ends.</summary>
    [Benchmark]
    public void End() => Environment.Exit(0);

    /// <summary>The profiler is in use.</summary>
    [Benchmark]
    public void Profiled()
    {
        if (!AllocationProfiler.IsRunning) AllocationProfiler.Start();
    }
}
