using NativeAlloc.Pages;
using static NativeAlloc.TestHost.ProcessLimit;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process that may have 24 MiB of private memory more than it has (<c>ulimit -d</c>): less than a section. Small
/// blocks and one of several MiB are there all the same, also after one that is too large.
/// </summary>
internal static unsafe class FirstBlockLimit
{
    internal const string Name = "first-block-limit";

    private const long MoreBytes = 24 << 20;

    private const nuint SmallBytes = 16, LargeBytes = 900_000;

    private const int LargeBlocks = 8;

    internal static int Run()
    {
        ulong* limits = stackalloc ulong[2]; // the soft one and the hard one
        if (GetLimit(DataBytes, limits) != 0) return Complain("the limit cannot be read");
        limits[0] = (ulong)(ProcessMemory.DataBytes() + MoreBytes);
        if (SetLimit(DataBytes, limits) != 0) return Complain("the limit cannot be set");
        NativeAllocator.Free(NativeAllocator.Alloc(SmallBytes));
        // A block that no part of a section can hold takes none of what is left.
        uint online = LinearRegion.OnlinePages;
        if (Pages.LargeBlocks.Alloc(PageGeometry.SectionBytes, 1, zeroed: false, out _) != null
            || LinearRegion.OnlinePages != online)
            return Complain($"{LinearRegion.OnlinePages - online} pages are lost");
        nint* blocks = stackalloc nint[LargeBlocks];
        for (int i = 0; i < LargeBlocks; i++)
        {
            blocks[i] = (nint)NativeAllocator.Alloc(LargeBytes);
            new Span<byte>((void*)blocks[i], (int)LargeBytes).Fill(1);
        }
        for (int i = 0; i < LargeBlocks; i++) NativeAllocator.Free((void*)blocks[i]);
        return 0;
    }
}
