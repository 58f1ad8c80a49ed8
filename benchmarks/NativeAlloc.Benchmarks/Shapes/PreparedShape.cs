using System.Diagnostics;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>A shape inside the process that measures it.</summary>
internal sealed class PreparedShape(ShapeWorkload shape) : IPreparedWorkload
{
    private const int WarmUpRepeats = 4;

    private ShapeRun? _last;

    public bool Once => true;

    /// <summary>
    /// Not where the process is to be cold: timing brings code of its own that would have to be compiled.
    /// </summary>
    public bool TimesCalls => !shape.Cold;

    public bool Cold => shape.Cold;

    public long Operations => Math.Max(1, _last?.Operations ?? 0);

    public long LiveKiB => (_last?.LiveBytes ?? 0) / 1024;

    public void WarmUp<TAllocator>()
        where TAllocator : struct, IAllocator
    {
        for (int i = 0; i < WarmUpRepeats; i++)
            shape.Small.Run<TAllocator>(new ShapeRun());
        FinaliseRemains();
    }

    public long RunPass<TAllocator>()
        where TAllocator : struct, IAllocator
    {
        FinaliseRemains();
        _last = new ShapeRun();
        long before = Stopwatch.GetTimestamp();
        shape.Run<TAllocator>(_last);
        return Stopwatch.GetTimestamp() - before - _last.IdleTicks;
    }

    public IReadOnlyDictionary<string, double>? Examine<TAllocator>()
        where TAllocator : struct, IAllocator => _last?.Figures;

    public void Dispose()
    {
    }

    /// <summary>Threads of the warm-up are dead, but until they are finalised they hold memory.</summary>
    private static void FinaliseRemains()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }
}
