namespace NativeAlloc.TestHost;

/// <summary>
/// Reads or writes where a block of <see cref="Vmalloc"/> ends, or where one was. The process should not survive it.
/// </summary>
internal static unsafe class VmallocAccess
{
    internal const string Name = "vmalloc-access";

    /// <summary>Every step, within bounds.</summary>
    internal const string Inside = "inside";

    /// <summary>A write to the first byte behind a block.</summary>
    internal const string Overrun = "overrun";

    /// <summary>A write to the first byte behind a block that has grown where it stands.</summary>
    internal const string OverrunAfterGrowth = "overrun-after-growth";

    /// <summary>A read of what a block had before it was made smaller.</summary>
    internal const string AfterShrink = "after-shrink";

    /// <summary>A read of a block that was freed and then given back by a trim.</summary>
    internal const string AfterTrim = "after-trim";

    /// <summary>What is printed before the mistake, and after it.</summary>
    internal const string Touching = "touching", Survived = "survived";

    private const int BlockBytes = 3 << 16, GrownBytes = 5 << 16;

    internal static int Run(string[] args)
    {
        byte* block = (byte*)Vmalloc.Alloc(BlockBytes);
        byte* next = (byte*)Vmalloc.Alloc(BlockBytes); // an overrun without a guard would end up there
        block[0] = block[BlockBytes - 1] = next[0] = next[BlockBytes - 1] = 1;
        Console.WriteLine(Touching);
        switch (args[0])
        {
            case Inside:
                next = (byte*)Vmalloc.Realloc(next, GrownBytes);
                next[GrownBytes - 1] = block[BlockBytes - 1];
                break;
            case Overrun:
                block[BlockBytes] = 1;
                break;
            case OverrunAfterGrowth:
                next = (byte*)Vmalloc.Realloc(next, GrownBytes);
                next[GrownBytes] = 1;
                break;
            case AfterShrink:
                block = (byte*)Vmalloc.Realloc(block, 1);
                Console.WriteLine(block[BlockBytes - 1]);
                break;
            case AfterTrim:
                Vmalloc.Free(block);
                NativeAllocator.Trim();
                Console.WriteLine(block[0]);
                break;
            default:
                Console.Error.WriteLine($"no such mistake: {args[0]}");
                return 2;
        }
        Console.WriteLine(Survived);
        return 0;
    }
}
