using System.Diagnostics;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// Large areas being allocated, touched, grown and freed by one or more threads, each of which has its own.
/// </summary>
internal sealed unsafe class PreparedAreas : IPreparedWorkload
{
    private const int WarmUpRepeats = 64;
    private const int WarmUpAreas = 4;
    private const nuint WarmUpMinBytes = 64 << 10;
    private const nuint WarmUpMaxBytes = 256 << 10;

    private readonly AreaPlan[] _plans;
    private readonly AreaPlan _warmUp;
    private readonly void**[] _slots;
    private readonly ThreadTeam _team;
    private long _fastestTicks = long.MaxValue;

    /// <param name="plans">What each thread does, all of them in the same phase.</param>
    public PreparedAreas(AreaPlan[] plans)
    {
        _plans = plans;
        _warmUp = new AreaPlan(
            plans[0].Phase,
            plans[0].Phase == AreaPhase.Grow
                ? AreaPlan.Doublings(WarmUpMinBytes, WarmUpMaxBytes)
                : [.. Enumerable.Repeat(WarmUpMinBytes, WarmUpAreas)],
            Math.Min(plans[0].Live, WarmUpAreas));
        _slots = new void**[plans.Length];
        for (int i = 0; i < plans.Length; i++)
            _slots[i] = (void**)MappedPages.Allocate((nuint)plans[i].Live * (nuint)sizeof(void*));
        _team = new ThreadTeam(plans.Length);
    }

    public long Operations => _plans.Sum(plan => plan.Operations);

    public long LiveKiB => _plans.Sum(plan => plan.PeakBytes) / 1024;

    public void WarmUp<TAllocator>()
        where TAllocator : struct, IAllocator
    {
        for (int i = 0; i < WarmUpRepeats; i++)
            Run<TAllocator>(_ => _warmUp);
    }

    public long RunPass<TAllocator>()
        where TAllocator : struct, IAllocator
    {
        long ticks = Run<TAllocator>(thread => _plans[thread]);
        _fastestTicks = Math.Min(_fastestTicks, ticks);
        return ticks;
    }

    /// <summary>How much memory areas got and had touched in a second, in the fastest pass.</summary>
    public IReadOnlyDictionary<string, double> Examine<TAllocator>()
        where TAllocator : struct, IAllocator
    {
        double mib = _plans.Sum(plan => plan.TouchedBytes) / (double)(1 << 20);
        return new Dictionary<string, double> { ["bestMiBPerSecond"] = mib * Stopwatch.Frequency / _fastestTicks };
    }

    public void Dispose() => _team.Dispose();

    private long Run<TAllocator>(Func<int, AreaPlan> planOf)
        where TAllocator : struct, IAllocator
    {
        long ticks = _team.Run(thread => AreaRunner<TAllocator>.Run(planOf(thread), _slots[thread]));
        if (_warmUp.Phase == AreaPhase.First)
        {
            // Whatever is kept beyond this would make the next pass's areas anything but new.
            _team.Run(thread => AreaRunner<TAllocator>.FreeRest(planOf(thread), _slots[thread]));
            TAllocator.Trim();
        }

        return ticks;
    }
}
