using System.Diagnostics;
using System.Runtime;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>
/// What the first block of a process costs: processor time of all threads, which the compiler's is part of, memory, and
/// threads. Then the same for a block of each size.
/// </summary>
internal sealed unsafe class StartShape : ShapeWorkload
{
    public const string Kind = "start";

    private readonly int _maxBytes;

    public StartShape(WorkloadParameters parameters)
        : base(parameters, "maxsize=64")
    {
        _maxBytes = parameters.Number("maxsize", 32_768, 16, 1 << 20);
        parameters.RejectOthers();
    }

    public override bool Cold => true;

    public override string Description =>
        $"the first block of a process, and one of each size up to {_maxBytes} B; parameters: maxsize=B";

    public override void Run<TAllocator>(ShapeRun run)
    {
        int threads = ThreadCount();
        Measure(run, "first", () => TAllocator.Free(TAllocator.Alloc(64)), compileOnly: true);
        run.BeginHere();
        Measure(run, "first", () => TAllocator.Free(TAllocator.Alloc(64)), compileOnly: false);
        run.NoteResident("first", 0);
        run.Note("firstThreads", ThreadCount() - threads);
        Measure(run, "allSizes", AllSizes<TAllocator>, compileOnly: false);
        run.NoteResident("allSizes", 0);
        run.CountOperations(2);
    }

    protected override ShapeWorkload Create(WorkloadParameters parameters) => new StartShape(parameters);

    private static int ThreadCount() => Directory.GetDirectories("/proc/self/task").Length;

    /// <summary>The measuring code itself is compiled in a call that leaves the body out.</summary>
    private static void Measure(ShapeRun run, string name, Action body, bool compileOnly)
    {
        TimeSpan cpu = Environment.CpuUsage.TotalTime;
        long compiled = JitInfo.GetCompiledMethodCount();
        long began = Stopwatch.GetTimestamp();
        if (!compileOnly)
            body();
        double elapsed = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        cpu = Environment.CpuUsage.TotalTime - cpu;
        run.Note(name + "Ms", elapsed);
        run.Note(name + "CpuMs", cpu.TotalMilliseconds);
        run.Note(name + "Compiled", JitInfo.GetCompiledMethodCount() - compiled);
    }

    private void AllSizes<TAllocator>()
        where TAllocator : struct, IAllocator
    {
        for (int size = 16; size <= _maxBytes; size += Math.Max(16, size / 8))
        {
            byte* block = (byte*)TAllocator.Alloc((nuint)size);
            *block = 1;
            TAllocator.Free(block);
        }
    }
}
