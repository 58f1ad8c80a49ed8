using System.Globalization;
using System.Runtime.InteropServices;

namespace NativeAlloc.TestHost;

/// <summary>
/// A program that takes memory of every layer, touches all of it, frees half of it, then all, and trims. After each
/// step it prints by how much the allocator's estimate of what is resident has grown since the start, and by how much
/// the process has by the system's account.
/// </summary>
internal static unsafe class ResidentEstimate
{
    internal const string Name = "resident-estimate";

    private const nuint KiB = 1024, MiB = 1024 * KiB, LayerBytes = 48 * MiB;

    private static readonly List<nint> s_blocks = [];

    private static long s_estimateAtStart, s_mappedAtStart;

    internal static int Run()
    {
        // Once in small, so that the runtime has compiled and loaded what it needs before anything is measured.
        Take(MiB);
        Release(fraction: 1);
        NativeAllocator.Trim();
        AllocatorTelemetry.MakeOnce(); // else the decay's thread has it made in the middle
        SpinWait.SpinUntil(() => AllocatorTelemetry.IsMade);
        Read(out _, out _);
        s_blocks.EnsureCapacity(200_000);
        GC.Collect();

        Read(out s_estimateAtStart, out s_mappedAtStart);
        Take(LayerBytes);
        using (HighPages high = new(LayerBytes))
        {
            Print("taken");
            Release(fraction: 2);
            Print("half freed");
        }
        Release(fraction: 1);
        Print("all freed");
        NativeAllocator.Trim();
        Print("trimmed");
        return 0;
    }

    private static void Take(nuint layerBytes)
    {
        Random random = new(1);
        // classes with magazines
        for (nuint taken = 0; taken < layerBytes;) Add((nuint)random.Next(1, 4096), ref taken);
        for (nuint taken = 0; taken < layerBytes;) Add((nuint)random.Next(40, 512) * KiB, ref taken); // and without
        for (nuint taken = 0; taken < layerBytes;) Add((nuint)random.Next(600, 4000) * KiB, ref taken); // whole pages
        for (nuint taken = 0; taken < layerBytes;)
        {
            s_blocks.Add((nint)Touch(PageAllocator.GetFreePages(order: 4), PageAllocator.PageSize << 4));
            taken += PageAllocator.PageSize << 4;
        }
        s_blocks.Add((nint)Touch(NativeAllocator.Alloc(65 * MiB), 65 * MiB)); // a mapping of its own

        static void Add(nuint bytes, ref nuint taken)
        {
            void* block = NativeAllocator.Alloc(bytes);
            bytes = NativeAllocator.UsableSize(block);
            s_blocks.Add((nint)Touch(block, bytes));
            taken += bytes;
        }
    }

    private static void* Touch(void* block, nuint bytes)
    {
        NativeMemory.Fill(block, bytes, 0x5a);
        return block;
    }

    private static void Release(int fraction)
    {
        int from = s_blocks.Count - s_blocks.Count / fraction;
        for (int i = from; i < s_blocks.Count; i++) NativeAllocator.Free((void*)s_blocks[i]);
        s_blocks.RemoveRange(from, s_blocks.Count - from);
    }

    private static void Print(string step)
    {
        Read(out long estimate, out long mapped);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{step},{estimate - s_estimateAtStart},{mapped - s_mappedAtStart}"));
    }

    // Memory may go back by itself at any time: both figures are of one moment only if the estimate is the same before
    // and after the other.
    private static void Read(out long estimate, out long mapped)
    {
        do
        {
            estimate = (long)NativeAllocator.GetStatistics().ResidentEstimateBytes;
            mapped = ProcessMemory.MappedBytes();
        }
        while (estimate != (long)NativeAllocator.GetStatistics().ResidentEstimateBytes);
    }

    /// <summary>
    /// High pages, touched through a window that stays open until they are freed: the system counts them to the process
    /// only while they are mapped.
    /// </summary>
    private sealed class HighPages : IDisposable
    {
        private const int Order = 8;
        private const nuint BlockBytes = (nuint)PageAllocator.PageSize << Order;

        private readonly List<(Page Page, HighWindow Window)> _pages = [];

        internal HighPages(nuint bytes)
        {
            for (nuint taken = 0; taken < bytes; taken += BlockBytes)
            {
                Page page = PageAllocator.AllocPages(Order, PageFlags.High);
                HighWindow window = new(page, BlockBytes);
                Touch(window.Address, BlockBytes);
                _pages.Add((page, window));
            }
        }

        public void Dispose()
        {
            foreach ((Page page, HighWindow window) in _pages)
            {
                window.Dispose();
                PageAllocator.FreePages(page, Order);
            }
            NativeAllocator.Trim(); // without a window nobody is charged with what is behind free high pages
        }
    }
}
