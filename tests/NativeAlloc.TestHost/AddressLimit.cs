using System.Globalization;
using static NativeAlloc.TestHost.ProcessLimit;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process that may have so many MiB of addresses more than it has (<c>ulimit -v</c>). The library works there, and
/// takes no more than half of them.
/// </summary>
internal static unsafe class AddressLimit
{
    internal const string Name = "address-limit";

    private const nuint SmallBytes = 16, MediumBytes = 100_000, AreaBytes = 2 << 20, LargeBytes = 1 << 20;

    /// <summary>What has a table of its own: large blocks of heaps, check mode, the profiler.</summary>
    internal const string Heap = "heap", Check = "check", Profiler = "profiler";

    /// <param name="arguments">MiB of addresses, and what else is to work; check mode is switched on from
    /// outside.</param>
    internal static int Run(string[] arguments)
    {
        long more = long.Parse(arguments[0], CultureInfo.InvariantCulture) << 20;
        long before = ProcessMemory.AddressBytes();
        ulong* limits = stackalloc ulong[2]; // the soft one and the hard one
        if (GetLimit(AddressBytes, limits) != 0) return Complain("the limit cannot be read");
        limits[0] = (ulong)(before + more);
        if (SetLimit(AddressBytes, limits) != 0) return Complain("the limit cannot be set");
        foreach (nuint bytes in (ReadOnlySpan<nuint>)[SmallBytes, MediumBytes, AreaBytes])
        {
            byte* block = (byte*)NativeAllocator.Alloc(bytes);
            new Span<byte>(block, (int)bytes).Fill(1);
            NativeAllocator.Free(block);
        }
        long taken = ProcessMemory.AddressBytes() - before;
        if (taken > more / 2) return Complain($"{taken >> 20} of {more >> 20} MiB are taken");
        bool isServed = arguments.Length == 1 || TryTables(arguments[1]);
        return isServed ? 0 : Complain($"there is no place for {arguments[1]}");
    }

    private static bool TryTables(string user)
    {
        if (user == Check) return true; // each block was checked
        if (user == Profiler)
        {
            AllocationProfiler.Start(1);
            NativeAllocator.Free(NativeAllocator.Alloc(MediumBytes));
            AllocationProfiler.Stop();
            return AllocationProfiler.AllocatedBlocks != 0;
        }
        using NativeHeap heap = new(user);
        *(byte*)heap.Alloc(LargeBytes) = 1;
        return heap.LiveBytes != 0;
    }
}
