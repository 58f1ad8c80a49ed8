using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process whose C library keeps free memory between blocks that are in use. It uses a block of this library, rests,
/// and prints how many bytes the blocks took, how many of these are left, and whether the report has the figures of
/// that heap.
/// </summary>
internal static unsafe class NativeHeapGoesBack
{
    internal const string Name = "native-heap-goes-back";

    private const int Blocks = 2_000, BlockBytes = 50_000, OneInUse = 20, PatienceMilliseconds = 60_000;

    internal static int Run()
    {
        nuint before = Machine.AnonymousResidentBytes();
        nint[] blocks = new nint[Blocks];
        for (int i = 0; i < Blocks; i++)
        {
            blocks[i] = (nint)NativeMemory.Alloc(BlockBytes);
            new Span<byte>((void*)blocks[i], BlockBytes).Fill(1);
        }
        nuint grown = Machine.AnonymousResidentBytes() - before;
        for (int i = 0; i < Blocks; i++)
            if (i % OneInUse != 0) NativeMemory.Free((void*)blocks[i]);
        void* block = NativeAllocator.Alloc(4 << 20);
        *(byte*)block = 1;
        NativeAllocator.Free(block);
        long end = Environment.TickCount64 + PatienceMilliseconds;
        nuint left;
        do
        {
            Thread.Sleep(10);
            left = Machine.AnonymousResidentBytes() - before;
        }
        while (left > grown / 2 && Environment.TickCount64 < end && !IsOver());
        using StringWriter page = new();
        AllocatorReport.WriteHtmlReport(page);
        bool isInReport = page.ToString().Contains("glibc\\u0027s heap", StringComparison.Ordinal);
        Console.WriteLine($"{grown} {left} {(isInReport ? 1 : 0)}");
        return 0;
    }

    // Without the option nothing will happen once everything of the library's own is back.
    private static bool IsOver() => !Options.NativeHeap && NativeAlloc.Release.Decay.Ticks > 0
        && !NativeAlloc.Release.Decay.IsArmed;
}
