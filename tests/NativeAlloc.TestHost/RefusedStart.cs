using NativeAlloc.Os;
using static NativeAlloc.TestHost.ProcessLimit;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process to which the system gives no addresses, or no memory for tables, when it uses the library first. Each
/// public member fails, or does what can be done without memory, and sets nothing up. Once the system gives them, all
/// of it works.
/// </summary>
internal static unsafe class RefusedStart
{
    internal const string Name = "refused-start";

    private const ulong RegionBytes = 16UL << 30; // what the page layer reserves at least, where addresses are many

    /// <param name="arguments">The kind of call that the system refuses.</param>
    internal static int Run(string[] arguments)
    {
        FaultPlan plan = new(Enum.Parse<OsCall>(arguments[0]), 0, andAllLater: true);
        string? wrong = null;
        plan.Run(() =>
        {
            foreach ((string name, Action call) in UnsupportedCalls.Calls) wrong ??= Describe(name, call);
            wrong ??= DescribeMembers();
        });
        if (wrong != null) return Complain(wrong);
        if (plan.Injected < UnsupportedCalls.Calls.Length) return Complain($"only {plan.Injected} calls asked");
        void* block = NativeAllocator.Alloc(100);
        void* area = NativeAllocator.Alloc(100_000_000);
        NativeAllocator.Verify();
        if (NativeAllocator.GetStatistics().ReservedBytes < RegionBytes) return Complain("the regions are small");
        NativeAllocator.Free(block);
        NativeAllocator.Free(area);
        return 0;
    }

    // What is wrong with a call; null where it ends as it should.
    private static string? Describe(string name, Action call)
    {
        // Configure succeeds as long as nothing has begun.
        bool needsMemory = name is not ("Owns" or "Trim" or "ReleaseThreadCache" or "GetStatistics" or "Configure");
        try
        {
            call();
        }
        catch (OutOfMemoryException error)
        {
            return error.Message.Contains("cannot begin", StringComparison.Ordinal) && needsMemory
                ? null
                : $"{name}: {error.Message}";
        }
        catch (ArgumentException)
        {
            return null; // a foreign pointer
        }
        return needsMemory && name is not "PageOf" ? $"{name} did not fail" : null;
    }

    private static string? DescribeMembers()
    {
        void* block = null;
        bool any = NativeAllocator.TryAlloc(100, out _) || NativeAllocator.TryAllocZeroed(5000, out _)
            || NativeAllocator.TryAlignedAlloc(100, 4096, out _) || NativeAllocator.TryRealloc(ref block, 100);
        if (any || NativeAllocator.Owns(&any) || NativeAllocator.UsableSize(null) != 0) return "there is memory";
        return NativeAllocator.GetStatistics().ReservedBytes != 0 ? "addresses are reserved" : null;
    }
}
