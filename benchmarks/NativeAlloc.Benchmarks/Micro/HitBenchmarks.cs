using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;
using SystemMemory = System.Runtime.InteropServices.NativeMemory;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>
/// Members that mostly have nothing to do: what a block can hold, a reallocation that stays in place, an allocation
/// that answers by a bool, and one that fails.
/// </summary>
[SuppressMessage("Performance", "CA1822", Justification = "BenchmarkDotNet calls instance methods only")]
public unsafe class HitBenchmarks
{
    private const int Repeats = ArmBenchmarks.Repeats, Failures = 10;

    private readonly void* _block = NativeAllocator.Alloc(Size);
    private readonly void* _systemBlock = SystemMemory.Alloc(Size);

    // More than any machine has, and less than the addresses that a process can have.
    private static nuint TooManyBytes => (nuint)1 << 46;

    // Not known to the compiler.
    private static nuint Size => (nuint)(Environment.ProcessorCount % 8 + 100);

    [Benchmark(Baseline = true, OperationsPerInvoke = Repeats)]
    public nuint UsableSize()
    {
        nuint sum = 0;
        for (int i = 0; i < Repeats; i++)
            sum += NativeAllocator.UsableSize(_block);
        return sum;
    }

    [Benchmark(OperationsPerInvoke = Repeats)]
    public nuint ReallocInPlace()
    {
        nuint size = Size, sum = 0;
        for (int i = 0; i < Repeats; i++)
            sum += (nuint)NativeAllocator.Realloc(_block, size);
        return sum;
    }

    [Benchmark(OperationsPerInvoke = Repeats)]
    public nuint NativeMemoryReallocInPlace()
    {
        nuint size = Size, sum = 0;
        for (int i = 0; i < Repeats; i++)
            sum += (nuint)SystemMemory.Realloc(_systemBlock, size);
        return sum;
    }

    [Benchmark(OperationsPerInvoke = Repeats)]
    public void PairByTry()
    {
        nuint size = Size;
        for (int i = 0; i < Repeats; i++)
            if (NativeAllocator.TryAlloc(size, out void* block)) NativeAllocator.Free(block);
    }

    [Benchmark(OperationsPerInvoke = Repeats)]
    public void ZeroedPairByTry()
    {
        nuint size = Size;
        for (int i = 0; i < Repeats; i++)
            if (NativeAllocator.TryAllocZeroed(size, out void* block)) NativeAllocator.Free(block);
    }

    [Benchmark(OperationsPerInvoke = Failures)]
    public void FailureByTry()
    {
        for (int i = 0; i < Failures; i++)
            if (NativeAllocator.TryAlloc(TooManyBytes, out void* block)) NativeAllocator.Free(block);
    }

    [Benchmark(OperationsPerInvoke = Failures)]
    public void AllocFails()
    {
        for (int i = 0; i < Failures; i++)
            Catch(static () => NativeAllocator.Free(NativeAllocator.Alloc(TooManyBytes)));
    }

    [Benchmark(OperationsPerInvoke = Failures)]
    public void NativeMemoryAllocFails()
    {
        for (int i = 0; i < Failures; i++) Catch(static () => SystemMemory.Free(SystemMemory.Alloc(TooManyBytes)));
    }

    private static void Catch(Action allocate)
    {
        try
        {
            allocate();
        }
        catch (OutOfMemoryException)
        {
            // What is measured.
        }
    }
}
