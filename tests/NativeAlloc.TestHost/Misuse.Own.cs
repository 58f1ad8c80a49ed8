namespace NativeAlloc.TestHost;

/// <content>Mistakes with what other allocators do not have.</content>
internal static unsafe partial class Misuse
{
    private static void FreeAfterTrim()
    {
        byte* block = Alloc();
        s_allocator.Free(block);
        NativeAllocator.Trim();
        s_allocator.Free(block);
    }

    private static void FreeMetadata()
    {
        s_allocator.Free(Alloc());
        s_allocator.Free(Pages.LinearRegion.Frames);
    }

    private static void CacheTwice()
    {
        SlabCache cache = new("twice", Bytes);
        void* one = cache.Alloc();
        cache.Free(one);
        cache.Free(one);
        Console.WriteLine(Passed);
        void* first = cache.Alloc(), second = cache.Alloc();
        if (first == second) Console.WriteLine(Missed + "a block has two owners");
        cache.Free(first);
        cache.Free(second);
        cache.Shrink();
    }

    private static void OtherCache()
    {
        SlabCache one = new("one", Bytes), other = new("other", Bytes);
        one.Free(other.Alloc());
    }

    private static void DisposedCache()
    {
        SlabCache cache = new("gone", Bytes);
        void* one = cache.Alloc();
        cache.Free(one);
        cache.Dispose();
        NativeAllocator.Free(one);
    }

    private static void CacheOverflow()
    {
        SlabCache cache = new("overrun", Bytes);
        byte* one = (byte*)cache.Alloc();
        one[Bytes] = 0x11;
        Console.WriteLine(Passed);
        cache.Free(one);
        cache.Shrink();
    }

    private static void FreeOfArena()
    {
        NativeArena arena = new();
        arena.Alloc(Bytes);
        NativeAllocator.Free(arena.Alloc(Bytes));
    }

    private static void PageTwice()
    {
        Page page = PageAllocator.AllocPage();
        PageAllocator.FreePage(page);
        PageAllocator.FreePage(page);
    }
}
