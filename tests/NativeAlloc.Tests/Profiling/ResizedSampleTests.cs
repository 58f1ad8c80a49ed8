using System.Runtime.CompilerServices;
using NativeAlloc.Diagnostics;
using NativeAlloc.Os;
using NativeAlloc.Profiling;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Profiling;

/// <summary>
/// Proves that a sampled block whose size changes stays in the profile as what it is then, by whichever member it is
/// resized and freed, and that nothing stays of one that is gone.
/// </summary>
public sealed unsafe class ResizedSampleTests : LeakCheckedTests
{
    private readonly nuint _live = LeakReport.LiveBytes;

    private nuint Live => LeakReport.LiveBytes - _live;

    [Theory]
    [InlineData(4 << 20, 8 << 20)] // pages that move, or room behind them
    [InlineData(8 << 20, 2 << 20)]
    [InlineData(600 << 10, 900 << 10)] // of the page layer, where it stands
    [InlineData(900 << 10, 600 << 10)]
    [InlineData(600 << 10, 3 << 20)] // copied to an area
    [InlineData(300_000, 3 << 20)] // an object
    [InlineData(100, 3 << 20)] // one with neighbours
    public void After_the_end_a_resized_block_goes_on_as_the_sample_that_it_was(int bytes, int newBytes)
    {
        AllocationProfiler.Start(1);
        void* block = Hold((nuint)bytes);
        AllocationProfiler.Stop();
        SampleRecord before = SampleAt(block);
        long blocks = AllocationProfiler.AllocatedBlocks;

        block = NativeAllocator.Realloc(block, (nuint)newBytes);
        SampleRecord after = SampleAt(block);
        Assert.Equal((nuint)newBytes, Live);
        Assert.Equal((before.Stack, before.Milliseconds, before.Weight.BlockPartsCount),
            (after.Stack, after.Milliseconds, after.Weight.BlockPartsCount));
        ProfileStack stack = Assert.Single(Profile.Read().Stacks, stack => stack.Live.Bytes == newBytes);
        Assert.Contains(stack.Frames, frame => frame.Method.EndsWith("." + nameof(Hold), StringComparison.Ordinal));
        Assert.Equal(1, stack.LiveSamples);
        Assert.Equal(blocks, AllocationProfiler.AllocatedBlocks);
        AllocationProfiler.WriteFragmentation(TextWriter.Null, 5); // it looks at what is left of slabs

        NativeAllocator.Free(block);
        Assert.Equal((nuint)0, Live);
    }

    [Fact]
    public void After_the_end_a_block_that_is_copied_goes_on_as_a_sample_if_it_can()
    {
        AllocationProfiler.Start(1);
        nint[] blocks = [(nint)Hold(3 * Sizes.MiB), (nint)Hold(3 * Sizes.MiB)];
        AllocationProfiler.Stop();
        Array.Sort(blocks, (one, other) => nint.TrailingZeroCount(one).CompareTo(nint.TrailingZeroCount(other)));
        void* block = (void*)blocks[0], small = (void*)blocks[1]; // the first is no better aligned than their distance
        nuint alignment = (nuint)2 << (int)nuint.TrailingZeroCount((nuint)block); // one that it does not have
        block = NativeAllocator.AlignedRealloc(block, 2 * Sizes.MiB, alignment);
        using (new InjectedFaults(OsCall.Move)) small = NativeAllocator.Realloc(small, 100 * Sizes.MiB);
        Assert.Equal(102 * Sizes.MiB, Live);
        small = NativeAllocator.Realloc(small, 100); // an object lies among others, whose frees look for no sample
        Assert.Equal(2 * Sizes.MiB, Live);
        NativeAllocator.Free(small);
        NativeAllocator.Free(block);
        Assert.Equal((nuint)0, Live);
    }

    [Fact]
    public void While_it_runs_what_grows_is_a_new_block_and_what_shrinks_is_the_same()
    {
        AllocationProfiler.Start(1);
        try
        {
            void* block = Hold(8 * Sizes.MiB);
            SampleRecord first = SampleAt(block);
            (long blocks, long bytes) = (AllocationProfiler.AllocatedBlocks, AllocationProfiler.AllocatedBytes);
            block = NativeAllocator.Realloc(block, 2 * Sizes.MiB);
            Assert.Equal((2 * Sizes.MiB, first.Stack), (Live, SampleAt(block).Stack));
            Assert.Equal((blocks, bytes), (AllocationProfiler.AllocatedBlocks, AllocationProfiler.AllocatedBytes));
            block = NativeAllocator.Realloc(block, 5 * Sizes.MiB);
            Assert.Equal(5 * Sizes.MiB, Live);
            Assert.NotEqual(first.Stack, SampleAt(block).Stack);
            Assert.Equal((blocks + 1, bytes + 5 * (long)Sizes.MiB),
                (AllocationProfiler.AllocatedBlocks, AllocationProfiler.AllocatedBytes));
            NativeAllocator.Free(block);
            Assert.Equal((nuint)0, Live);
        }
        finally
        {
            AllocationProfiler.Stop();
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_block_that_cannot_be_resized_stays_the_sample_that_it_was(bool running)
    {
        AllocationProfiler.Start(1);
        try
        {
            nint[] blocks = [(nint)Hold(300_000), (nint)Hold(600_000), (nint)Hold(4 * Sizes.MiB)];
            if (!running) AllocationProfiler.Stop();
            nuint live = Live;
            foreach (nint block in blocks)
            {
                SampleRecord sample = SampleAt((void*)block);
                FailToResize((void*)block);
                SampleRecord after = SampleAt((void*)block);
                Assert.Equal((sample.Stack, sample.Weight.Bytes, sample.Witness, sample.Milliseconds),
                    (after.Stack, after.Weight.Bytes, after.Witness, after.Milliseconds));
            }
            Assert.Equal(live, Live);
            foreach (nint block in blocks) NativeAllocator.Free((void*)block);
            Assert.Equal((nuint)0, Live);
        }
        finally
        {
            if (AllocationProfiler.IsRunning) AllocationProfiler.Stop();
        }
    }

    private static void FailToResize(void* block)
    {
        void* tried = block;
        foreach (nuint bytes in Sizes.Impossible)
        {
            Assert.Throws<OutOfMemoryException>(() => { NativeAllocator.Realloc(block, bytes); });
            Assert.False(NativeAllocator.TryRealloc(ref tried, bytes));
        }
        using (new InjectedFaults(_ => true)) Assert.False(NativeAllocator.TryRealloc(ref tried, Sizes.GiB));
        Assert.True(tried == block);
    }

    [Fact]
    public void Vmalloc_resizes_and_frees_blocks_that_are_samples()
    {
        AllocationProfiler.Start(1);
        try
        {
            void* grown = NativeAllocator.Realloc(Vmalloc.Alloc(4 * Sizes.MiB), 8 * Sizes.MiB);
            Assert.Equal(8 * Sizes.MiB, Live);
            grown = Vmalloc.Realloc(grown, 20 * Sizes.MiB);
            Assert.Equal(20 * Sizes.MiB, Live);
            using (new InjectedFaults(OsCall.Move)) grown = Vmalloc.Realloc(grown, 150 * Sizes.MiB); // copied
            Assert.Equal(150 * Sizes.MiB, Live);
            foreach (nuint bytes in Sizes.Impossible)
                Assert.Throws<OutOfMemoryException>(() => { Vmalloc.Realloc(grown, bytes); });
            Assert.Equal(150 * Sizes.MiB, Live);
            Vmalloc.Free(grown);
            Assert.Equal((nuint)0, Live);
        }
        finally
        {
            AllocationProfiler.Stop();
        }
    }

    [Fact]
    public void Any_member_that_frees_a_block_ends_its_sample()
    {
        const int Bytes = 600_000;
        using NativeHeap heap = new("sampled");
        AllocationProfiler.Start(1);
        try
        {
            PageAllocator.FreeExact(Hold(Bytes), Bytes);
            PageAllocator.FreeExact(heap.Alloc(Bytes), Bytes);
            Assert.Equal((nuint)0, heap.LiveBytes);
            heap.Free(heap.Alloc(Bytes));
            heap.Free(heap.Realloc(heap.Alloc(Bytes), 3 * Bytes));
            heap.Alloc(3 * Bytes);
            heap.Reset();
            HGlobal.FreeHGlobal((nint)Hold(Bytes));
            NativeCallbacks.Free(Hold(Bytes));
            Assert.Equal((nuint)0, Live);
        }
        finally
        {
            AllocationProfiler.Stop();
        }
    }

    private static SampleRecord SampleAt(void* block)
    {
        SampleRecord[] samples = new SampleRecord[AllocationSampler.CopyAtOnce];
        List<SampleRecord> found = [];
        for (int first = 0, count; (count = AllocationSampler.CopySamples(first, samples)) != 0; first += count)
            found.AddRange(samples.Take(count).Where(sample => sample.Address == (nuint)block));
        return Assert.Single(found);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* Hold(nuint bytes)
    {
        void* block = NativeAllocator.Alloc(bytes);
        Pattern.Fill(block, Math.Min(bytes, 4096), 1);
        return block;
    }
}
