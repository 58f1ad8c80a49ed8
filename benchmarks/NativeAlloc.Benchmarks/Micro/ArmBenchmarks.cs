using BenchmarkDotNet.Attributes;
using NativeAlloc.Benchmarks.Allocators;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>
/// A microbenchmark with a method per arm. What differs between benchmarks is <see cref="Run"/>, which repeats its
/// operation <see cref="Repeats"/> times so that getting there does not count.
/// </summary>
public abstract class ArmBenchmarks
{
    public const int Repeats = 1000;

    [Benchmark(Baseline = true, OperationsPerInvoke = Repeats)]
    public void NativeAlloc() => Run<NativeAllocAllocator>();

    [Benchmark(OperationsPerInvoke = Repeats)]
    public void NativeMemory() => Run<NativeMemoryAllocator>();

    [Benchmark(OperationsPerInvoke = Repeats)]
    public void HGlobal() => Run<HGlobalAllocator>();

    [Benchmark(OperationsPerInvoke = Repeats)]
    public void Mimalloc() => Run<CAllocator<MimallocLibrary>>();

    [Benchmark(OperationsPerInvoke = Repeats)]
    public void Mimalloc3() => Run<CAllocator<Mimalloc3Library>>();

    [Benchmark(OperationsPerInvoke = Repeats)]
    public void Jemalloc() => Run<CAllocator<JemallocLibrary>>();

    [Benchmark(OperationsPerInvoke = Repeats)]
    public void Tcmalloc() => Run<CAllocator<TcmallocLibrary>>();

    private protected abstract void Run<TAllocator>()
        where TAllocator : struct, IAllocator;
}
