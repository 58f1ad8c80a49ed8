using System.Runtime.InteropServices;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process that may have 24 MiB of private memory more than it has (<c>ulimit -d</c>): less than a section. Small
/// blocks and one of several MiB are there all the same.
/// </summary>
internal static unsafe partial class FirstBlockLimit
{
    internal const string Name = "first-block-limit";

    private const int ResourceData = 2; // RLIMIT_DATA

    private const long MoreBytes = 24 << 20;

    private const nuint SmallBytes = 16, LargeBytes = 900_000;

    private const int LargeBlocks = 8;

    internal static int Run()
    {
        ulong* limits = stackalloc ulong[2]; // the soft one and the hard one
        if (GetResourceLimit(ResourceData, limits) != 0) return Complain("the limit cannot be read");
        limits[0] = (ulong)(ProcessMemory.DataBytes() + MoreBytes);
        if (SetResourceLimit(ResourceData, limits) != 0) return Complain("the limit cannot be set");
        NativeAllocator.Free(NativeAllocator.Alloc(SmallBytes));
        nint* blocks = stackalloc nint[LargeBlocks];
        for (int i = 0; i < LargeBlocks; i++)
        {
            blocks[i] = (nint)NativeAllocator.Alloc(LargeBytes);
            new Span<byte>((void*)blocks[i], (int)LargeBytes).Fill(1);
        }
        for (int i = 0; i < LargeBlocks; i++) NativeAllocator.Free((void*)blocks[i]);
        return 0;
    }

    private static int Complain(string reason)
    {
        Console.Error.WriteLine(reason);
        return 1;
    }

    [LibraryImport("libc", EntryPoint = "getrlimit")]
    private static partial int GetResourceLimit(int resource, ulong* limits);

    [LibraryImport("libc", EntryPoint = "setrlimit")]
    private static partial int SetResourceLimit(int resource, ulong* limits);
}
