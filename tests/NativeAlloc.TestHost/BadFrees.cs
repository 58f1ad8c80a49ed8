using NativeAlloc.Pages;

namespace NativeAlloc.TestHost;

/// <summary>
/// Frees small blocks wrongly, in the ways that can be seen only later: between two frees of a block there is one of
/// another. Prints the pointer that is at fault; if the process reaches its end, nobody has noticed.
/// </summary>
internal static unsafe class BadFrees
{
    internal const string Name = "bad-free";

    /// <summary>The same steps without a mistake.</summary>
    internal const string Clean = "clean";

    /// <summary>Freed twice, found when the thread trims.</summary>
    internal const string TwiceThenTrim = "twice-then-trim";

    /// <summary>Freed twice, found when the thread gives its cache back.</summary>
    internal const string TwiceThenRelease = "twice-then-release";

    /// <summary>Freed twice, found when frees of other blocks push the object out of the thread's magazines.</summary>
    internal const string TwiceThenMoreFrees = "twice-then-more-frees";

    /// <summary>Freed by two threads that are both gone, found when a third one trims.</summary>
    internal const string OnTwoThreads = "on-two-threads";

    /// <summary>
    /// Freed by two threads, found when the second gives its cache back: the slab has gone with the first free, and its
    /// page is another class's.
    /// </summary>
    internal const string OnTwoThreadsThenOtherClass = "on-two-threads-then-other-class";

    /// <summary>As <see cref="OnTwoThreadsThenOtherClass"/>, but the page is a large block now.</summary>
    internal const string OnTwoThreadsThenLarge = "on-two-threads-then-large";

    /// <summary>A pointer into the middle of a block.</summary>
    internal const string Interior = "interior";

    /// <summary>Freed twice, found when frees of live blocks have filled the magazine.</summary>
    internal const string TwiceThenFull = "twice-then-full";

    /// <summary>A pointer into the middle of a block, found when frees have filled the magazine.</summary>
    internal const string InteriorThenFull = "interior-then-full";

    /// <summary>A block that was never allocated, found when frees have filled the magazine.</summary>
    internal const string NeverAllocatedThenFull = "never-allocated-then-full";

    /// <summary>Freed twice, where a handler has been set that allocates.</summary>
    internal const string TwiceWithHandler = "twice-with-handler";

    /// <summary>The steps with a slab cache's object, without a mistake.</summary>
    internal const string CacheClean = "cache-clean";

    /// <summary>A slab cache's object, freed twice, found when the cache shrinks.</summary>
    internal const string CacheTwiceThenShrink = "cache-twice-then-shrink";

    /// <summary>A slab cache's object, freed twice, found when the cache is disposed of.</summary>
    internal const string CacheTwiceThenDispose = "cache-twice-then-dispose";

    /// <summary>A pointer into the middle of a slab cache's object, at a multiple of 16.</summary>
    internal const string CacheInterior = "cache-interior";

    /// <summary>
    /// A page that two threads freed at the same time, found when the thread takes it that does not have it.
    /// </summary>
    internal const string PageTwiceThenTake = "page-twice-then-take";

    /// <summary>The same, found when that thread gives its pages back.</summary>
    internal const string PageTwiceThenDrain = "page-twice-then-drain";

    /// <summary>The same, where the page has gone to its zone before the slower thread put it into its list.</summary>
    internal const string PageTwiceOneDrained = "page-twice-one-drained";

    /// <summary>Bytes of the block; a size class of its own.</summary>
    internal const int BlockBytes = 80;

    internal static int Run(string[] args)
    {
        if (args[0].StartsWith("cache-", StringComparison.Ordinal)) return RunCache(args[0]);
        if (args[0].StartsWith("page-", StringComparison.Ordinal)) return RunPage(args[0]);
        byte* block = (byte*)NativeAllocator.Alloc(BlockBytes);
        byte* wrong = args[0] switch
        {
            Interior or InteriorThenFull => block + 16,
            NeverAllocatedThenFull => block + 500 * BlockBytes, // further than the first refill
            _ => block,
        };
        Console.WriteLine($"0x{(nuint)wrong:x}");
        return RunBlock(args[0], block, wrong);
    }

    private static int RunBlock(string mistake, byte* block, byte* wrong)
    {
        switch (mistake)
        {
            case Clean:
                NativeAllocator.Free(block);
                NativeAllocator.Trim();
                break;
            case TwiceThenTrim:
                FreeTwice(block);
                NativeAllocator.Trim();
                break;
            case TwiceThenRelease:
                FreeTwice(block);
                NativeAllocator.ReleaseThreadCache();
                break;
            case TwiceThenMoreFrees:
                FreeTwiceThenMore(block);
                break;
            case OnTwoThreads:
                FreeOnNewThread(block);
                FreeOnNewThread(NativeAllocator.Alloc(BlockBytes));
                FreeOnNewThread(block);
                NativeAllocator.Trim();
                break;
            case OnTwoThreadsThenOtherClass:
                FreeOnTwoThreads(block, 5_000);
                break;
            case OnTwoThreadsThenLarge:
                FreeOnTwoThreads(block, 600_000);
                break;
            case TwiceThenFull:
            case InteriorThenFull:
            case NeverAllocatedThenFull:
                FreeThenFill(block, mistake);
                break;
            case TwiceWithHandler:
                NativeAllocator.CorruptionHandler = message =>
                    Console.Error.WriteLine($"handler ({(nuint)NativeAllocator.Alloc(7) != 0}): {message}");
                FreeTwice(block);
                NativeAllocator.Trim();
                break;
            case Interior:
                NativeAllocator.Free(wrong);
                NativeAllocator.Trim();
                break;
            default:
                Console.Error.WriteLine($"no such mistake: {mistake}");
                return 2;
        }
        return 0;
    }

    private static int RunCache(string mistake)
    {
        using SlabCache cache = new("objects", BlockBytes);
        byte* one = (byte*)cache.Alloc();
        byte* other = (byte*)cache.Alloc();
        byte* wrong = mistake == CacheInterior ? one + 16 : one;
        Console.WriteLine($"0x{(nuint)wrong:x}");
        cache.Free(wrong);
        cache.Free(other);
        if (mistake is CacheTwiceThenShrink or CacheTwiceThenDispose) cache.Free(one);
        if (mistake != CacheTwiceThenDispose) cache.Shrink();
        return 0;
    }

    // The steps of two threads, one after the other in the order that does harm.
    private static int RunPage(string mistake)
    {
        ThreadPages one = default, two = default;
        uint page = PageAllocator.AllocPage().Index;
        PageFrame* frame = LinearRegion.Frames + page;
        Console.WriteLine(page);
        if (mistake == PageTwiceOneDrained)
        {
            PageBlocks.TryGiveHot(&two, page);
            PageLayer.Drain(&two);
            frame->SetHot(&one); // it found a block, and was held up here
            one.List(frame->Type)->Add(page);
        }
        else
        {
            PageBlocks.TryGiveHot(&one, page);
            frame->SetState(PageState.Block); // as the other thread found it
            PageBlocks.TryGiveHot(&two, page);
        }
        if (mistake == PageTwiceThenDrain) PageLayer.Drain(&one);
        else PageBlocks.TryTakeHot(&one, out _);
        return 0;
    }

    private static void FreeTwice(void* block)
    {
        void* other = NativeAllocator.Alloc(BlockBytes);
        NativeAllocator.Free(block);
        NativeAllocator.Free(other);
        NativeAllocator.Free(block);
    }

    // More than the magazines of a thread and the depot of the class hold together.
    private static void FreeTwiceThenMore(void* block)
    {
        const int Count = 100_000;
        void** others = (void**)NativeAllocator.Alloc(Count, (nuint)sizeof(void*));
        for (int i = 0; i < Count; i++) others[i] = NativeAllocator.Alloc(BlockBytes);
        FreeTwice(block);
        for (int i = 0; i < Count; i++) NativeAllocator.Free(others[i]);
        for (int i = 0; i < Count; i++) others[i] = NativeAllocator.Alloc(BlockBytes);
        for (int i = 0; i < Count; i++) NativeAllocator.Free(others[i]);
        NativeAllocator.Free(others);
    }

    // As many frees as fill the loaded magazine, and one more, which moves it. Nothing is drained into slabs.
    private static void FreeThenFill(byte* block, string mistake)
    {
        const int Count = 300;
        void** others = (void**)NativeAllocator.Alloc(Count, (nuint)sizeof(void*));
        for (int i = 0; i < Count; i++) others[i] = NativeAllocator.Alloc(BlockBytes);
        if (mistake == TwiceThenFull) FreeTwice(block);
        else NativeAllocator.Free(mistake == InteriorThenFull ? block + 16 : block + 500 * BlockBytes);
        for (int i = 0; i < Count; i++) NativeAllocator.Free(others[i]);
    }

    // The second thread keeps its copy while the first one's goes to the slab, the slab to the page layer, and its page
    // to blocks of another size.
    private static void FreeOnTwoThreads(byte* block, nuint otherBytes)
    {
        NativeAllocator.ReleaseThreadCache(); // the slab's other objects
        using SemaphoreSlim freed = new(0), end = new(0);
        Thread second = new(() =>
        {
            NativeAllocator.Free(block);
            freed.Release();
            end.Wait();
            NativeAllocator.ReleaseThreadCache();
        });
        second.Start();
        freed.Wait();
        NativeAllocator.Free(block);
        NativeAllocator.ReleaseThreadCache();
        const int Most = 1_000;
        for (int i = 0; i < Most && !NativeAllocator.Owns(block); i++) NativeAllocator.Alloc(otherBytes);
        end.Release();
        second.Join();
    }

    private static void FreeOnNewThread(void* block)
    {
        Thread thread = new(() => NativeAllocator.Free(block));
        thread.Start();
        thread.Join();
    }
}
