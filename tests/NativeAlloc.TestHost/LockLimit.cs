using System.Globalization;
using System.Runtime.InteropServices;
using static NativeAlloc.TestHost.ProcessLimit;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process that may lock only so much into memory: it takes DMA pages until it is told that there are no more, frees
/// one, takes one, and frees them all. It prints the bytes that it held, what it was told, and the bytes that are
/// locked in the end.
/// </summary>
internal static unsafe partial class LockLimit
{
    internal const string Name = "lock-limit";

    private const uint CapabilityVersion = 0x2008_0522; // linux/capability.h, version 3: two words of each set

    internal static int Run(string[] args)
    {
        ulong limit = ulong.Parse(args[0], CultureInfo.InvariantCulture);
        ulong* limits = stackalloc ulong[] { limit, limit };
        if (SetLimit(LockedBytes, limits) != 0) return Complain("the limit cannot be set");
        // The limit does not hold for a thread that may do anything; this one shall not.
        uint* header = stackalloc uint[] { CapabilityVersion, 0 };
        uint* sets = stackalloc uint[6];
        new Span<uint>(sets, 6).Clear();
        if (SetCapabilities(header, sets) != 0) return Complain("the capabilities cannot be dropped");

        List<Page> held = [];
        string? told = null;
        while (told == null && (ulong)held.Count * PageAllocator.PageSize <= limit)
        {
            try
            {
                held.Add(PageAllocator.AllocPage(PageFlags.Dma));
                PagePattern.Fill(held[^1].Address, PageAllocator.PageSize, held[^1].Index);
            }
            catch (OutOfMemoryException error)
            {
                told = error.Message;
            }
        }
        Console.WriteLine(((long)held.Count * PageAllocator.PageSize).ToString(CultureInfo.InvariantCulture));
        Console.WriteLine(told ?? "nothing");
        NativeAllocator.Verify();

        PageAllocator.FreePage(held[0]);
        held[0] = PageAllocator.AllocPage(PageFlags.Dma);
        PagePattern.Fill(held[0].Address, PageAllocator.PageSize, held[0].Index);
        foreach (Page page in held)
        {
            PagePattern.Check(page.Address, PageAllocator.PageSize, page.Index);
            PageAllocator.FreePage(page);
        }
        NativeAllocator.Verify();
        Console.WriteLine(ProcessMemory.LockedBytes().ToString(CultureInfo.InvariantCulture));
        return 0;
    }
    [LibraryImport("libc", EntryPoint = "capset")] private static partial int SetCapabilities(uint* header, uint* sets);
}
