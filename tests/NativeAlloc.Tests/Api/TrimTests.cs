using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>Proves that <c>Trim</c> gives free memory back to the system, all of it, and nothing that is in use.</summary>
public sealed unsafe class TrimTests : LeakCheckedTests
{
    private const nuint Volume = 128 * Sizes.MiB;

    [Theory]
    [InlineData(100)]
    [InlineData(3000)]
    [InlineData(40_000)]
    [InlineData(1_000_000)]
    [InlineData(20_000_000)]
    public void Freed_memory_goes_back_to_the_system(int blockBytes)
    {
        NativeAllocator.Trim();
        Touch((nuint)blockBytes);
        long before = ProcessMemory.ResidentBytes();
        nuint purgedBefore = NativeAllocator.GetStatistics().PurgedBytes;
        nuint returned = NativeAllocator.Trim();
        long fell = before - ProcessMemory.ResidentBytes();
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        Assert.True(returned >= Volume, $"{returned} of {Volume} bytes were returned");
        Assert.Equal(purgedBefore + returned, after.PurgedBytes);
        // Pages that were never touched count as returned, and the process may need some for itself meanwhile.
        Assert.True(fell >= (long)(Volume - Volume / 8), $"resident memory fell by {fell} of {Volume} bytes");
        Assert.Equal((nuint)0, NativeAllocator.Trim());
    }

    [Fact]
    public void Live_blocks_keep_their_contents()
    {
        nint[] blocks = new nint[Sizes.AcrossLayers.Length];
        for (int i = 0; i < blocks.Length; i++)
        {
            blocks[i] = (nint)NativeAllocator.Alloc(Sizes.AcrossLayers[i]);
            Pattern.Fill((void*)blocks[i], Sizes.AcrossLayers[i], (ulong)i);
        }
        Touch(2000);
        Assert.True(NativeAllocator.Trim() > 0);
        for (int i = 0; i < blocks.Length; i++)
        {
            Pattern.Check((void*)blocks[i], Sizes.AcrossLayers[i], (ulong)i);
            NativeAllocator.Free((void*)blocks[i]);
        }
    }

    [Fact]
    public void The_caches_of_a_thread_that_has_ended_are_emptied()
    {
        NativeAllocator.Trim();
        nuint ofOthers = NativeAllocator.GetStatistics().CachedBytes; // of the runner's threads, which live
        TestThread.RunOnNew(() => Touch(500));
        Assert.True(NativeAllocator.GetStatistics().CachedBytes > ofOthers);
        NativeAllocator.Trim();
        Assert.Equal(ofOthers, NativeAllocator.GetStatistics().CachedBytes);
    }

    [Fact]
    public void Nothing_is_cached_or_dirty_afterwards_but_what_is_live()
    {
        NativeAllocator.Trim();
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        Touch(700);
        Touch(2_000_000);
        NativeAllocator.Trim();
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        Assert.Equal(before.CachedBytes, after.CachedBytes);
        Assert.Equal(before.SlabFreeBytes, after.SlabFreeBytes);
        Assert.Equal(before.ResidentEstimateBytes, after.ResidentEstimateBytes);
    }

    private static void Touch(nuint blockBytes)
    {
        nint[] blocks = new nint[(int)(Volume / blockBytes) + 1];
        for (int i = 0; i < blocks.Length; i++)
        {
            blocks[i] = (nint)NativeAllocator.Alloc(blockBytes);
            new Span<byte>((void*)blocks[i], (int)blockBytes).Fill(1);
        }
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
    }
}
