using System.Diagnostics;
using System.Globalization;

namespace NativeAlloc.TestHost;

/// <summary>
/// Draws a heap of as many GiB as are asked for, in blocks of up to 1 MiB, after a quarter of the blocks has been freed
/// here and there, and prints how long that took and how large the file is.
/// </summary>
internal static unsafe class MappedHeap
{
    internal const string Name = "heap-map";

    private const int Seed = 1, SystemPage = 4096;

    internal static int Run(string[] arguments)
    {
        double wanted = double.Parse(arguments[0], CultureInfo.InvariantCulture) * (1L << 30);
        Random random = new(Seed);
        List<nint> blocks = [];
        for (double bytes = 0; bytes < wanted;)
        {
            int size = random.Next(4) == 0 ? random.Next(16, 60_000) : random.Next(60_000, 1 << 20);
            byte* block = (byte*)NativeAllocator.Alloc((nuint)size);
            for (int at = 0; at < size; at += SystemPage) block[at] = 1;
            blocks.Add((nint)block);
            bytes += size;
        }
        foreach (nint block in blocks)
            if (random.Next(4) == 0) NativeAllocator.Free((void*)block);
        long start = Stopwatch.GetTimestamp();
        using (StreamWriter writer = File.CreateText(arguments[1])) AllocatorReport.WriteHeapMap(writer);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{new FileInfo(arguments[1]).Length >> 10} KiB in {Stopwatch.GetElapsedTime(start).TotalSeconds:F2} s"));
        return 0;
    }
}
