using BenchmarkDotNet.Attributes;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>
/// A thousand blocks are allocated, then all are freed, in one of three orders. The time is that of one block.
/// </summary>
public unsafe class BatchBenchmarks : ArmBenchmarks
{
    private readonly void** _blocks =
        (void**)System.Runtime.InteropServices.NativeMemory.Alloc(Repeats, (nuint)sizeof(void*));
    private readonly int[] _order = new int[Repeats];

    /// <summary>The order in which blocks are freed.</summary>
    public enum FreeOrder
    {
        Lifo,
        Fifo,
        Shuffled,
    }

    [Params(16, 64, 256, 1024, 16384, 131072, 1048576)]
    public int Size { get; set; }

    [ParamsAllValues]
    public FreeOrder Order { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        for (int i = 0; i < Repeats; i++)
            _order[i] = Order == FreeOrder.Lifo ? Repeats - 1 - i : i;
        if (Order == FreeOrder.Shuffled)
            new Random(1).Shuffle(_order);
    }

    private protected override void Run<TAllocator>()
    {
        nuint size = (nuint)Size;
        for (int i = 0; i < Repeats; i++)
            _blocks[i] = TAllocator.Alloc(size);
        foreach (int i in _order)
            TAllocator.Free(_blocks[i]);
    }
}
