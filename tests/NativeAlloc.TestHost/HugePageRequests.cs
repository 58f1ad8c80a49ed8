using System.Globalization;
using NativeAlloc.Os;

namespace NativeAlloc.TestHost;

/// <summary>A heap that grows far beyond the size from which on it grows by huge pages. Prints how often the system was asked for one; it refuses each.</summary>
internal static unsafe class HugePageRequests
{
    internal const string Name = "huge-page-requests";

    private const int BlockBytes = 4096, Blocks = 80_000; // 312 MiB

    internal static int Run()
    {
        int requests = 0;
        OsFaults.Fails = call => call == OsCall.Collapse && Interlocked.Increment(ref requests) > 0;
        nint[] blocks = new nint[Blocks];
        for (int i = 0; i < Blocks; i++) blocks[i] = (nint)NativeAllocator.Alloc(BlockBytes); // not touched: what counts is what was handed out
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
        Console.WriteLine(requests.ToString(CultureInfo.InvariantCulture));
        return 0;
    }
}
