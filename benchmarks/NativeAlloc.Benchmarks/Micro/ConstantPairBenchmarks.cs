namespace NativeAlloc.Benchmarks.Micro;

/// <summary>
/// A block of a size that the compiler knows is allocated and freed at once: an allocator that is inlined can then work
/// out its size class at compile time, which one behind a call cannot.
/// </summary>
public unsafe class ConstantPairBenchmarks : ArmBenchmarks
{
    private const nuint Size = 48;

    private protected override void Run<TAllocator>()
    {
        for (int i = 0; i < Repeats; i++)
            TAllocator.Free(TAllocator.Alloc(Size));
    }
}
