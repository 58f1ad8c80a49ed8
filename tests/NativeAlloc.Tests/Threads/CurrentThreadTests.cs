using NativeAlloc.TestHost;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Threads;

/// <summary>
/// Shows that a thread's block is its own, comes with its first slow path and goes with the release of its cache.
/// </summary>
public sealed unsafe class CurrentThreadTests
{
    [Fact]
    public void A_thread_has_no_block_before_its_first_allocation_and_after_the_release_of_its_cache()
    {
        nint atFirst = -1, afterAlloc = 0, afterRelease = -1;
        TestThread.RunOnNew(() =>
        {
            atFirst = (nint)CurrentThread.t_block;
            NativeAllocator.Free(NativeAllocator.Alloc(100));
            afterAlloc = (nint)CurrentThread.t_block;
            NativeAllocator.ReleaseThreadCache();
            afterRelease = (nint)CurrentThread.t_block;
        });
        Assert.Equal(0, atFirst);
        Assert.NotEqual(0, afterAlloc);
        Assert.Equal(0, afterRelease);
        Assert.Equal(ThreadBlockState.Unused, ThreadBlock.HeaderOf((byte*)afterAlloc)->State);
    }

    [Fact]
    public void Two_threads_have_two_blocks_and_each_block_is_the_registrys()
    {
        nint[] blocks = new nint[2];
        using Barrier together = new(2);
        TestThread.RunTogether(2, number =>
        {
            NativeAllocator.Free(NativeAllocator.Alloc(100));
            blocks[number] = (nint)CurrentThread.t_block;
            together.SignalAndWait();
        });
        Assert.NotEqual(blocks[0], blocks[1]);
        HashSet<nint> all = [];
        for (int i = 0; i < ThreadRegistry.Count; i++) all.Add((nint)ThreadRegistry.At(i));
        Assert.Superset(blocks.ToHashSet(), all);
    }
}
