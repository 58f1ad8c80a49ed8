using System.Globalization;
using NativeAlloc.Pages;
using NativeAlloc.Release;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process that gave memory back is read from end to end, as by a dump: all that can be read of its private memory.
/// Prints how many KiB that brought into the linear region, and how many are left there after a trim. One page of a
/// section is in use meanwhile.
/// </summary>
internal static unsafe class DumpedProcess
{
    internal const string Name = "dumped";

    /// <summary>What the blocks take together, and so what a dump could bring back: four sections.</summary>
    internal const int VolumeKiB = 4 * 64 * 1024;

    private const int BlockBytes = 64 << 10;

    internal static int Run()
    {
        Decay.Configure(Decay.Never, PageLayer.CapPages);
        nint[] blocks = new nint[VolumeKiB / (BlockBytes / 1024)];
        for (int i = 0; i < blocks.Length; i++) *(byte*)(blocks[i] = (nint)PageAllocator.GetFreePage()) = 1;
        foreach (nint block in blocks[1..]) PageAllocator.FreePage((void*)block);
        NativeAllocator.Trim();
        NativeAllocator.Verify();
        long before = ResidentKiB();
        ReadAll();
        long read = ResidentKiB();
        NativeAllocator.Trim();
        long after = ResidentKiB();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{read - before} {after - before}"));
        if (*(byte*)blocks[0] != 1) return 1;
        // All of it can be used again.
        for (int i = 1; i < blocks.Length; i++) Pattern.Fill(NewZeroed(out blocks[i]), BlockBytes, (ulong)i);
        for (int i = 1; i < blocks.Length; i++) Pattern.Check((void*)blocks[i], BlockBytes, (ulong)i);
        foreach (nint block in blocks) PageAllocator.FreePage((void*)block);
        NativeAllocator.Verify();
        return 0;
    }

    private static void* NewZeroed(out nint block)
    {
        block = (nint)PageAllocator.GetZeroedPage();
        Pattern.CheckZero((void*)block, BlockBytes);
        return (void*)block;
    }

    // What of the region has memory. Pages that cannot be touched have none.
    private static long ResidentKiB()
    {
        long pages = 0;
        for (uint page = 0; page < LinearRegion.OnlinePages; page++)
            pages += ProcessMemory.CountResident((void*)LinearRegion.AddressOf(page), BlockBytes);
        return pages * Environment.SystemPageSize / 1024;
    }

    private static void ReadAll()
    {
        using Microsoft.Win32.SafeHandles.SafeFileHandle memory = File.OpenHandle("/proc/self/mem");
        byte[] contents = new byte[BlockBytes];
        foreach (string mapping in File.ReadAllLines("/proc/self/maps"))
        {
            string[] parts = mapping.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            bool isAnonymous = parts.Length == 5; // no file, and none of the system's own
            if (parts[1][0] != 'r' || !isAnonymous) continue;
            long[] ends = [.. parts[0].Split('-').Select(static end => Convert.ToInt64(end, 16))];
            for (long at = ends[0]; at < ends[1];)
            {
                int bytes = RandomAccess.Read(memory, contents.AsSpan(0, (int)Math.Min(BlockBytes, ends[1] - at)), at);
                if (bytes == 0) break;
                at += bytes;
            }
        }
    }
}
