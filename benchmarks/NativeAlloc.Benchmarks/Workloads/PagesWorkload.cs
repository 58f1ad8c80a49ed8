using NativeAlloc.Benchmarks.Commands;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// Whole pages: blocks of random orders are allocated, and random ones freed, such that they fill a pool to a given
/// part. Every block is written to after it was allocated, once every 4 KiB, as the program that asked for it would do.
/// <para>
/// On several threads each has its own share of the pool and of the allocations.
/// </para>
/// </summary>
internal sealed class PagesWorkload : IWorkload
{
    public const string Kind = "pages";

    private const int SystemPageBytes = 4096;

    // Fill the pool several times with orders up to the largest; of smaller blocks it takes as many more.
    private const int FewestAllocations = 256;

    private const long PagesPerMiB = (1 << 20) / PageAllocator.PageSize;

    private readonly int _poolMiB;
    private readonly int _occupancyPercent;
    private readonly int _maxOrder;
    private readonly int _allocations;
    private readonly int _touchEveryBytes;
    private readonly int _seed;

    /// <exception cref="UsageException">It does not have these parameters.</exception>
    public PagesWorkload(WorkloadParameters parameters)
    {
        Name = parameters.Text;
        _poolMiB = parameters.Number("pool", 1024, 1, 1 << 20);
        _occupancyPercent = parameters.Number("occupancy", 80, 1, 100);
        _maxOrder = parameters.Number("maxorder", PageAllocator.MaxOrder, 0, PageAllocator.MaxOrder);
        _allocations =
            parameters.Number("allocations", FewestAllocations << (PageAllocator.MaxOrder - _maxOrder), 1, 100_000_000);
        _touchEveryBytes = parameters.Choice("touch", "all", "first") == "all" ? SystemPageBytes : int.MaxValue;
        _seed = parameters.Number("seed", 1, 0, int.MaxValue / 2);
        parameters.RejectOthers();
    }

    public string Name { get; }

    public string Description =>
        $"blocks of 2^0 to 2^{_maxOrder} pages of 64 KiB fill {_occupancyPercent} % of {_poolMiB} MiB; parameters: " +
        "pool=MIB, " +
        "occupancy=PERCENT, maxorder=0..10, allocations=PER-PASS, touch=all|first, seed=N";

    public bool WholePages => true;

    public string? Stage(string folder) => null;

    /// <exception cref="UsageException">A thread's share of the pool is too small for the largest block.</exception>
    public IPreparedWorkload Prepare(string? stagedFile, int threads)
    {
        long pages = _poolMiB * PagesPerMiB * _occupancyPercent / 100 / threads;
        if (pages < 1 << _maxOrder)
        {
            throw new UsageException(
                $"'{Name}': a thread's share of the pool, {pages} pages, has no room for a block of order {_maxOrder}");
        }

        int allocations = Math.Max(1, _allocations / threads);
        PageOps[] ops = new PageOps[threads];
        for (int thread = 0; thread < threads; thread++)
            ops[thread] = PageOps.Create(_seed + thread, 0, _maxOrder, pages, allocations);
        return new PreparedPages(ops, (nuint)_touchEveryBytes);
    }
}
