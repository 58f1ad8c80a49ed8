using static NativeAlloc.TestHost.ProcessLimit;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process that may write files of so many bytes only: it asks for a high page, for a ring, and then for other
/// memory. It prints what it got.
/// </summary>
internal static unsafe class FileLimit
{
    internal const string Name = "file-limit";

    private const ulong LimitBytes = 1 << 20;

    internal static int Run()
    {
        ulong* limits = stackalloc ulong[] { LimitBytes, LimitBytes };
        if (SetLimit(FileBytes, limits) != 0) return 2;
        Page page = PageAllocator.AllocPage(PageFlags.High);
        Console.WriteLine($"page {page.Zone}");
        PageAllocator.FreePage(page);
        try
        {
            using MirroredBuffer ring = new(1);
            Console.WriteLine("ring");
        }
        catch (OutOfMemoryException error)
        {
            bool isNamed = error.Message.Contains("'ulimit -f'", StringComparison.Ordinal);
            Console.WriteLine(isNamed ? "no ring" : error.Message);
        }
        NativeAllocator.Free(NativeAllocator.Alloc(5 << 20));
        NativeAllocator.Verify();
        return 0;
    }
}
