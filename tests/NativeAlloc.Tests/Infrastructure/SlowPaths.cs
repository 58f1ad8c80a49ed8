using NativeAlloc.Os;
using NativeAlloc.TestHost;
using Xunit;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// Work with each public class that goes through its slow paths: growth, exchange with other layers, resizing, giving
/// back, reports. Each piece of work checks what its memory holds, and leaves nothing behind.
/// </summary>
internal static unsafe class SlowPaths
{
    internal static readonly Dictionary<string, Action> All = new()
    {
        ["small blocks"] = () => UseBlocks(60, 700),
        ["blocks of pages"] = () => UseBlocks(40_000, 7),
        ["large blocks"] = () => UseBlocks(700_000, 3),
        ["areas"] = () => UseBlocks(5_000_000, 2),
        ["resized blocks"] = Resize,
        ["vmalloc"] = Map,
        ["pages"] = TakePages,
        ["exact pages"] = () => PageAllocator.FreeExact(PageAllocator.AllocExact(100_000), 100_000),
        ["windows"] = UseWindows,
        ["ring"] = () => new MirroredBuffer(100_000).Dispose(),
        ["cache"] = UseCache,
        ["heap"] = UseHeap,
        ["arena"] = UseArena,
        ["thread cache"] = GiveCacheUp,
        ["trim"] = () => NativeAllocator.Trim(),
        ["shrinker"] = UseShrinker,
        ["statistics"] = () => Assert.NotEmpty(NativeAllocator.GetStatistics().ToString()!),
        ["reports"] = WriteReports,
        ["profiler"] = Profile,
    };

    private static void UseBlocks(int bytes, int count)
    {
        nint[] blocks = new nint[count];
        for (int i = 0; i < count; i++) blocks[i] = Filled(NativeAllocator.Alloc((nuint)bytes), bytes);
        foreach (nint block in blocks)
        {
            Pattern.Check((void*)block, (nuint)bytes, (ulong)block);
            NativeAllocator.Free((void*)block);
        }
        byte* zeroed = (byte*)NativeAllocator.AllocZeroed((nuint)bytes);
        Assert.False(new Span<byte>(zeroed, bytes).ContainsAnyExcept((byte)0));
        NativeAllocator.Free(zeroed);
    }

    private static nint Filled(void* block, int bytes)
    {
        Pattern.Fill(block, (nuint)bytes, (ulong)block);
        return (nint)block;
    }

    // What it held is what it held at its first address.
    private static void Resize()
    {
        const int First = 100;
        void* block = NativeAllocator.Alloc(First);
        ulong key = (ulong)Filled(block, First);
        foreach (int bytes in (int[])[3_000, 50_000, 600_000, 900_000, 6_000_000, 700_000, 2_000])
        {
            block = NativeAllocator.Realloc(block, (nuint)bytes);
            Pattern.Check(block, First, key);
        }
        NativeAllocator.Free(block);
    }

    private static void Map()
    {
        void* area = Vmalloc.Realloc(Vmalloc.AllocZeroed(3_000_000), 9_000_000);
        Vmalloc.Free(area);
        Page[] pages = [PageAllocator.AllocPage(), PageAllocator.AllocPage(PageFlags.High)];
        void* mapped = pages[0].Zone == pages[1].Zone ? null : Vmalloc.Map(pages.AsSpan(1));
        if (mapped != null) Vmalloc.Unmap(mapped);
        foreach (Page page in pages) PageAllocator.FreePage(page);
    }

    private static void TakePages()
    {
        foreach (PageFlags flags in (PageFlags[])[default, PageFlags.Zeroed, PageFlags.High, PageFlags.Movable])
        {
            for (int order = 0; order <= PageAllocator.MaxOrder; order += 3)
                PageAllocator.FreePages(PageAllocator.AllocPages(order, flags), order);
        }
        PageAllocator.FreePages(PageAllocator.GetDmaPages(1), 1);
    }

    private static void UseWindows()
    {
        using HighPages high = new(1);
        *(long*)PersistentMap.Map(high[0]) = 1;
        PersistentMap.Unmap(high[0]);
        *(long*)FixedMap.Set(0, high[0]) = 2;
        FixedMap.Clear(0);
    }

    private static void UseCache()
    {
        const int Count = 300, Bytes = 208;
        using SlabCache cache = new("slow-paths", Bytes);
        nint[] objects = new nint[Count];
        for (int i = 0; i < Count; i++) objects[i] = Filled(cache.Alloc(), Bytes);
        foreach (nint each in objects)
        {
            Pattern.Check((void*)each, Bytes, (ulong)each);
            cache.Free((void*)each);
        }
        cache.Shrink();
    }

    private static void UseHeap()
    {
        using NativeHeap heap = new("slow-paths", 16 << 20);
        foreach (int bytes in (int[])[100, 40_000, 700_000, 5_000_000]) Filled(heap.Alloc((nuint)bytes), bytes);
        heap.Free(heap.Realloc(heap.Alloc(1_000), 900_000));
    }

    private static void UseArena()
    {
        using NativeArena arena = new(1_000, shared: true);
        for (int i = 0; i < 200; i++) Filled(arena.Alloc(1_000), 1_000);
        arena.Reset();
    }

    private static void GiveCacheUp()
    {
        NativeAllocator.Free(NativeAllocator.Alloc(100));
        NativeAllocator.ReleaseThreadCache();
    }

    private static void UseShrinker()
    {
        using (PageAllocator.RegisterShrinker(_ => 0)) UseBlocks(400_000, 1);
    }

    private static void WriteReports()
    {
        AllocatorReport.WriteBuddyInfo(TextWriter.Null);
        AllocatorReport.WritePageTypeInfo(TextWriter.Null);
        AllocatorReport.WriteSlabInfo(TextWriter.Null);
        AllocatorReport.WriteVmallocInfo(TextWriter.Null);
        AllocatorReport.WriteJson(Stream.Null);
        AllocatorReport.WritePrometheus(TextWriter.Null);
    }

    private static void Profile()
    {
        if (AllocationProfiler.IsRunning) return; // one that calls back while it is written
        AllocationProfiler.Start(1_000);
        UseBlocks(3_000, 20);
        AllocationProfiler.WriteTop(TextWriter.Null, 5);
        AllocationProfiler.Stop();
    }
}
