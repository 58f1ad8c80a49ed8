using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Fragmentation;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// Blocks of whole pages being allocated and freed by one or more threads, each of which has operations and slots of
/// its own.
/// </summary>
internal sealed unsafe class PreparedPages : IPreparedWorkload
{
    private const int WarmUpRepeats = 64;
    private const int WarmUpMaxOrder = 1;
    private const int WarmUpPages = 8;
    private const int WarmUpAllocations = 64;

    private readonly PageOps[] _ops;
    private readonly PageOps _warmUp = PageOps.Create(0, 0, WarmUpMaxOrder, WarmUpPages, WarmUpAllocations);
    private readonly void**[] _slots;
    private readonly nuint _touchEveryBytes;
    private readonly ThreadTeam _team;

    /// <param name="ops">The operations of each thread.</param>
    /// <param name="touchEveryBytes">The distance between the bytes that are written to in a new block.</param>
    public PreparedPages(PageOps[] ops, nuint touchEveryBytes)
    {
        _ops = ops;
        _touchEveryBytes = touchEveryBytes;
        _slots = new void**[ops.Length];
        for (int i = 0; i < ops.Length; i++)
        {
            int count = Math.Max(ops[i].SlotCount, _warmUp.SlotCount);
            _slots[i] = (void**)MappedPages.Allocate((nuint)count * (nuint)sizeof(void*));
        }

        _team = new ThreadTeam(ops.Length);
    }

    public long Operations => _ops.Sum(ops => ops.Count);

    public long LiveKiB => _ops.Sum(ops => ops.PeakPages) * (PageAllocator.PageSize / 1024);

    public void WarmUp<TAllocator>()
        where TAllocator : struct, IAllocator
    {
        for (int i = 0; i < WarmUpRepeats; i++)
            Run<TAllocator>(_ => (_warmUp, 0, _warmUp.Count));
    }

    public long RunPass<TAllocator>()
        where TAllocator : struct, IAllocator =>
        Run<TAllocator>(thread => (_ops[thread], 0, _ops[thread].Count));

    /// <summary>
    /// What the page allocator can tell of itself: the locks that the operations take, and how the free pages lie
    /// before the last blocks go.
    /// </summary>
    public IReadOnlyDictionary<string, double>? Examine<TAllocator>()
        where TAllocator : struct, IAllocator
    {
        if (typeof(TAllocator) != typeof(NativeAllocAllocator))
            return null;

        long before = LocksTaken();
        long start = LocksTaken();
        long ofStatistics = start - before; // reading them takes locks, too
        Run<TAllocator>(thread => (_ops[thread], 0, _ops[thread].DrainStart));
        long middle = LocksTaken();
        FreeBlockCounts free = FreeBlockCounts.Read();
        long resumed = LocksTaken();
        Run<TAllocator>(thread => (_ops[thread], _ops[thread].DrainStart, _ops[thread].Count));
        long locks = middle - start + (LocksTaken() - resumed) - (2 * ofStatistics);
        return new Dictionary<string, double>
        {
            ["locksPer1000Operations"] = 1000.0 * locks / Operations,
            ["largestFreeOrder"] = free.LargestOrder,
            ["freePages"] = free.Pages,
            ["shareOfFreePagesInOrder5AndUp"] =
                free.Pages == 0 ? 0 : (double)free.PagesFrom(FreeBlockCounts.PageblockOrder) / free.Pages,
        };
    }

    public void Dispose() => _team.Dispose();

    private static long LocksTaken() => NativeAllocator.GetStatistics().LockAcquisitions;

    private long Run<TAllocator>(Func<int, (PageOps Ops, long Start, long End)> part)
        where TAllocator : struct, IAllocator =>
        _team.Run(thread =>
        {
            (PageOps ops, long start, long end) = part(thread);
            PageRunner<TAllocator>.Run(ops.Ops + start, end - start, _slots[thread], _touchEveryBytes);
        });
}
