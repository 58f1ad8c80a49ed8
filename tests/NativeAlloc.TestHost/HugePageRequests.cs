using System.Globalization;
using NativeAlloc.Os;

namespace NativeAlloc.TestHost;

/// <summary>An area of many huge pages. Prints how often the system was asked for them; it refuses each.</summary>
internal static unsafe class HugePageRequests
{
    internal const string Name = "huge-page-requests";

    private const nuint Bytes = 256 << 20;

    internal static int Run()
    {
        int requests = 0;
        OsFaults.Fails = call => call == OsCall.AdviseHuge && Interlocked.Increment(ref requests) > 0;
        Vmalloc.Free(Vmalloc.Alloc(Bytes)); // not touched: what counts is what was handed out
        Console.WriteLine(requests.ToString(CultureInfo.InvariantCulture));
        return 0;
    }
}
