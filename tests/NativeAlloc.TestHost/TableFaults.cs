using System.Globalization;
using NativeAlloc.Os;

namespace NativeAlloc.TestHost;

/// <summary>
/// A system call that fails when the first block needs a table that most programs never have: that of heaps' large
/// blocks (<c>heap</c>), of check mode (<c>check</c>), of the profiler (<c>profiler</c>). Whatever could be made or
/// not, nothing reads what is not there, and afterwards it works.
/// </summary>
internal static unsafe class TableFaults
{
    internal const string Name = "table-faults";

    internal const string Heap = "heap", Check = "check", Profiler = "profiler";

    private const int LargeBytes = 3 << 20;

    /// <summary>
    /// Arguments: which table, kind of call, and number of the first that fails. Prints how many were made to fail, and
    /// how many steps did.
    /// </summary>
    internal static int Run(string[] arguments)
    {
        if (arguments[0] == Check) Environment.SetEnvironmentVariable("NATIVEALLOC_CHECK", "1");
        void* page = PageAllocator.GetFreePage(); // the library has started
        using NativeHeap? heap = arguments[0] == Heap ? new NativeHeap() : null;
        if (arguments[0] == Profiler) AllocationProfiler.Start(1);
        FaultPlan plan = new(Enum.Parse<OsCall>(arguments[1]), int.Parse(arguments[2], CultureInfo.InvariantCulture),
            andAllLater: true);
        int failures = 0;
        plan.Run(() => failures = Use(heap) + Use(heap));
        NativeAllocator.Verify();
        NativeAllocator.Free(page); // is looked for in the tables
        if (Use(heap) != 0) return ProcessLimit.Complain("it is still out of memory");
        NativeAllocator.Verify();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{plan.Injected} {failures}"));
        return 0;
    }

    // How often there was no memory.
    private static int Use(NativeHeap? heap)
    {
        void* block;
        if (heap != null ? !heap.TryAlloc(LargeBytes, out block) : !NativeAllocator.TryAlloc(100, out block))
        {
            int local = 0;
            if (NativeAllocator.Owns(&local)) throw new InvalidOperationException("The stack is no block.");
            return 1;
        }
        NativeAllocator.Verify();
        NativeAllocator.Free(block);
        return 0;
    }
}
