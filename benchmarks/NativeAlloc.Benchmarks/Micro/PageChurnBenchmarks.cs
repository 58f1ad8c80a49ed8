using BenchmarkDotNet.Attributes;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>
/// Random blocks of orders 1 to 10 are allocated and freed in a pool that is 90 % full, and not touched. The time is
/// that of one allocation and one free. The sequence was made up before; filling the pool and emptying it again is part
/// of it, and less than a fiftieth.
/// </summary>
public unsafe class PageChurnBenchmarks
{
    private const int Allocations = 20_000;
    private const int PoolPages = 1 << 16;
    private const int OccupancyPercent = 90;

    private PageOps _ops = null!;
    private void** _slots;

    [GlobalSetup]
    public void Setup()
    {
        _ops = PageOps.Create(1, 1, PageAllocator.MaxOrder, PoolPages * OccupancyPercent / 100, Allocations);
        _slots = (void**)System.Runtime.InteropServices.NativeMemory.Alloc((nuint)_ops.SlotCount, (nuint)sizeof(void*));
    }

    /// <summary>Tells what the blocks needed: where they lie badly it is more than the pool.</summary>
    [GlobalCleanup]
    public void Report()
    {
        long online = NativeAllocator.GetStatistics().Zones.Sum(zone => zone.OnlinePages);
        Console.WriteLine(
            $"// {PoolPages} pages in the pool, {_ops.PeakPages} in blocks at the peak, {online} were online");
    }

    [Benchmark(OperationsPerInvoke = Allocations)]
    public void Pages()
    {
        void** slots = _slots;
        PageOp* end = _ops.Ops + _ops.Count;
        for (PageOp* op = _ops.Ops; op < end; op++)
        {
            if (op->IsFree)
                NativeAllocAllocator.FreePages(slots[op->Slot], op->Order);
            else
                slots[op->Slot] = NativeAllocAllocator.AllocPages(op->Order);
        }
    }
}
