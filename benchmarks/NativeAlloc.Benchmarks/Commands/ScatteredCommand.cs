using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>
/// What an area of 64 MiB costs where a limit leaves nothing but scattered single pages to make it of, beside one from
/// the system by faults of 4 KiB. Both are touched every 4 KiB; passes alternate.
/// </summary>
internal static unsafe class ScatteredCommand
{
    private const nuint AreaBytes = 64 << 20, SystemPageBytes = 4096;
    private const int AreaPages = (int)(AreaBytes / PageAllocator.PageSize), SparePages = 64, Passes = 9;

    public static Command Create()
    {
        Command command = new(
            "scattered", "64 MiB from single free pages under a resident limit, against as much from the system.");
        command.SetAction(_ => Run());
        return command;
    }

    private static int Run()
    {
        const int Taken = 2 * (AreaPages + SparePages);
        NativeAllocator.Configure(new NativeAllocatorOptions
        {
            ResidentLimitBytes = (nuint)(Taken + 8) * PageAllocator.PageSize, // nothing fresh but a few slabs
            DecayMilliseconds = -1, // nothing goes back in between
        });
        List<double> scattered = [], fresh = [];
        double movedMiB = 0;
        for (int pass = 0; pass < Passes; pass++)
        {
            scattered.Add(Scattered(Taken, out movedMiB));
            fresh.Add(Milliseconds(
                () => (nint)MmapAllocator.AllocLarge(AreaBytes),
                area => MmapAllocator.FreeLarge((void*)area, AreaBytes)));
        }

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"64 MiB, allocated and touched, in ms: from single free pages {Statistics.Median(scattered):f1} " +
            $"(best {scattered.Min():f1}; {movedMiB:f0} MiB moved), from the system by 4 KiB faults " +
            $"{Statistics.Median(fresh):f1} (best {fresh.Min():f1})"));
        return movedMiB >= AreaBytes >> 20 ? 0 : 1;
    }

    private static double Scattered(int pages, out double movedMiB)
    {
        nint[] all = new nint[pages];
        for (int i = 0; i < pages; i++)
        {
            all[i] = (nint)PageAllocator.GetFreePage();
            Touch(all[i], PageAllocator.PageSize);
        }

        Array.Sort(all); // every second one: no two free pages side by side
        for (int i = 1; i < pages; i += 2)
            PageAllocator.FreePage((void*)all[i]);
        NativeAllocator.ReleaseThreadCache();
        nuint moved = NativeAllocator.GetStatistics().MovedBytes;
        double milliseconds = Milliseconds(() => (nint)Vmalloc.Alloc(AreaBytes), area => Vmalloc.Free((void*)area));
        movedMiB = (NativeAllocator.GetStatistics().MovedBytes - moved) / (double)(1 << 20);
        for (int i = 0; i < pages; i += 2)
            PageAllocator.FreePage((void*)all[i]);
        NativeAllocator.Trim();
        return milliseconds;
    }

    private static double Milliseconds(Func<nint> allocate, Action<nint> free)
    {
        long start = Stopwatch.GetTimestamp();
        nint area = allocate();
        Touch(area, AreaBytes);
        double milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        free(area);
        return milliseconds;
    }

    private static void Touch(nint address, nuint bytes)
    {
        for (nuint at = 0; at < bytes; at += SystemPageBytes)
            *((byte*)address + at) = 1;
    }
}
