using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;
using NativeAlloc.BenchmarkDotNet;

namespace NativeAlloc.BenchmarkHost;

/// <summary>A benchmark that uses up what its setup has made: there must be a setup for each operation.</summary>
[NativeAllocDiagnoser]
[SuppressMessage("Performance", "CA1822", Justification = "BenchmarkDotNet calls instance methods only")]
public unsafe class SetupBenchmarks
{
    private nint _block;

    /// <summary>Makes the block that the operation frees.</summary>
    [IterationSetup]
    public void Setup() => _block = (nint)NativeAllocator.Alloc(200);

    /// <summary>Frees a block: a leak of less than none.</summary>
    [Benchmark]
    public void Free() => NativeAllocator.Free((void*)_block);
}
