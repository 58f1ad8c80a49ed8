using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Slabs;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that a second free of a small block is an exception if it follows the first, that any other wrong free of
/// one, which cannot be seen at the call, ends the process with a message that says which, and that the same steps
/// without the mistake do not.
/// </summary>
public sealed unsafe class FatalTests
{
    [Fact]
    public void A_process_that_frees_rightly_ends_well()
    {
        ChildProcess child = ChildProcess.RunHost(BadFrees.Name, BadFrees.Clean).ShouldSucceed();
        Assert.Equal("", child.Errors);
    }

    [Theory]
    [InlineData(BadFrees.TwiceThenTrim)]
    [InlineData(BadFrees.TwiceThenRelease)]
    [InlineData(BadFrees.TwiceThenMoreFrees)]
    [InlineData(BadFrees.OnTwoThreads)]
    public void A_small_block_that_is_freed_twice_ends_the_process(string mistake)
    {
        ChildProcess child = ChildProcess.RunHost(BadFrees.Name, mistake);
        Assert.NotEqual(0, child.ExitCode);
        Assert.Contains("double free", child.Errors, StringComparison.Ordinal);
        ShouldNameThePointer(child);
    }

    [Theory]
    [InlineData(BadFrees.OnTwoThreadsThenOtherClass, "a slab of cache ")]
    [InlineData(BadFrees.OnTwoThreadsThenLarge, "its page is ")]
    public void A_small_block_that_is_freed_twice_and_whose_slab_is_gone_ends_the_process(string mistake, string now)
    {
        ChildProcess child = ChildProcess.RunHost(BadFrees.Name, mistake);
        Assert.NotEqual(0, child.ExitCode);
        Assert.Contains("is gone", child.Errors, StringComparison.Ordinal);
        Assert.Contains(now, child.Errors, StringComparison.Ordinal);
        ShouldNameThePointer(child);
    }

    [Fact]
    public void A_pointer_into_a_small_block_ends_the_process()
    {
        ChildProcess child = ChildProcess.RunHost(BadFrees.Name, BadFrees.Interior);
        Assert.NotEqual(0, child.ExitCode);
        Assert.Contains("not the beginning", child.Errors, StringComparison.Ordinal);
        ShouldNameThePointer(child);
    }

    [Theory]
    [InlineData(BadFrees.TwiceThenFull, "has it twice")]
    [InlineData(BadFrees.InteriorThenFull, "not the beginning")]
    [InlineData(BadFrees.NeverAllocatedThenFull, "or was never allocated")]
    public void A_wrong_free_ends_the_process_when_its_magazine_moves(string mistake, string words)
    {
        ChildProcess child = ChildProcess.RunHost(BadFrees.Name, mistake);
        Assert.NotEqual(0, child.ExitCode);
        Assert.Contains(words, child.Errors, StringComparison.Ordinal);
        ShouldNameThePointer(child);
    }

    [Fact]
    public void A_handler_is_told_before_the_process_ends()
    {
        ChildProcess child = ChildProcess.RunHost(BadFrees.Name, BadFrees.TwiceWithHandler);
        Assert.NotEqual(0, child.ExitCode);
        Assert.Contains("handler (True): NativeAlloc: double free of", child.Errors, StringComparison.Ordinal);
        Assert.Contains("Process terminated", child.Errors, StringComparison.Ordinal);
        ShouldNameThePointer(child);
    }

    [Fact]
    public void A_second_free_right_after_the_first_is_an_exception_wherever_the_magazine_stands()
    {
        const int MoreThanThreeMagazines = 800;
        for (int sizeClass = 1; sizeClass <= SizeClasses.Of(SizeClasses.MagazineBytes); sizeClass++)
        {
            nuint bytes = SizeClasses.BytesOf(sizeClass);
            int count = (int)Math.Clamp((8u << 20) / bytes, 12, MoreThanThreeMagazines);
            nint[] blocks = new nint[count];
            foreach (ref nint block in blocks.AsSpan()) block = (nint)NativeAllocator.Alloc(bytes);
            foreach (nint block in blocks)
            {
                NativeAllocator.Free((void*)block);
                Assert.Throws<ArgumentException>(() => NativeAllocator.Free((void*)block));
            }
        }
        NativeAllocator.Verify();
    }

    [Fact]
    public void A_second_free_of_an_object_right_after_the_first_is_an_exception()
    {
        const int Count = 800;
        using SlabCache cache = new("objects", BadFrees.BlockBytes);
        nint[] objects = new nint[Count];
        foreach (ref nint one in objects.AsSpan()) one = (nint)cache.Alloc();
        foreach (nint one in objects)
        {
            cache.Free((void*)one);
            Assert.Throws<ArgumentException>(() => cache.Free((void*)one));
        }
    }

    // Where no magazine has it after the first free, as sizes and caches without magazines, and the second comes by
    // the slow path.
    [Theory]
    [InlineData("40 KiB")]
    [InlineData("heap")]
    [InlineData("wide cache")]
    [InlineData("sampled")]
    public void A_second_free_of_what_is_back_in_its_slab_is_an_exception(string kind)
    {
        List<IDisposable> owners = [];
        Func<nint> alloc;
        Action<nint> free = block => NativeAllocator.Free((void*)block);
        switch (kind)
        {
            case "heap":
                NativeHeap heap = new("freed-twice");
                owners.Add(heap);
                (alloc, free) = (() => (nint)heap.Alloc(100), block => heap.Free((void*)block));
                break;
            case "wide cache":
                SlabCache cache = MakeWide(owners);
                (alloc, free) = (() => (nint)cache.Alloc(), block => cache.Free((void*)block));
                break;
            case "sampled":
                AllocationProfiler.Start(1);
                alloc = () => (nint)NativeAllocator.Alloc(100);
                break;
            default:
                alloc = () => (nint)NativeAllocator.Alloc(40 << 10);
                break;
        }
        nint first = alloc(), second = alloc();
        free(first);
        Assert.Throws<ArgumentException>(() => free(first));
        free(second);
        if (kind == "sampled") AllocationProfiler.Stop();
        foreach (IDisposable owner in owners) owner.Dispose();
    }

    private static SlabCache MakeWide(List<IDisposable> caches)
    {
        while (true)
        {
            SlabCache cache = new("wide-twice", 100);
            caches.Add(cache);
            void* block = cache.Alloc();
            bool isWide = LinearRegion.ClassOf(LinearRegion.PageIndexOf(block)) == CacheTable.WideClass;
            cache.Free(block);
            if (isWide) return cache;
        }
    }

    [Fact]
    public void A_second_free_is_an_exception_also_where_the_thread_goes_around_its_magazines()
    {
        int index = SizeClasses.Of(3000);
        using LooseThreadBlock thread = new();
        nint first = thread.Alloc(index), second = thread.Alloc(index);
        thread.Magazines->Claim.Claim();
        MagazineExchange.FreeMiss(thread.Block, index, (void*)first);
        Assert.Throws<ArgumentException>(() => MagazineExchange.FreeMiss(thread.Block, index, (void*)first));
        MagazineExchange.FreeMiss(thread.Block, index, (void*)second);
        thread.Magazines->Claim.EndClaim();
    }

    [Fact]
    public void A_freed_block_cannot_be_made_larger()
    {
        foreach (nuint bytes in new nuint[] { 64, 3000, 40_000 })
        {
            void* block = NativeAllocator.Alloc(bytes), other = NativeAllocator.Alloc(bytes);
            NativeAllocator.Free(block);
            Assert.Throws<ArgumentException>(() => { NativeAllocator.Realloc(block, bytes * 2); });
            void* again = block;
            Assert.Throws<ArgumentException>(() => { NativeAllocator.TryRealloc(ref again, bytes * 2); });
            NativeAllocator.Free(other);
        }
    }

    private static void ShouldNameThePointer(ChildProcess child)
    {
        string pointer = child.Output.Trim();
        Assert.StartsWith("0x", pointer, StringComparison.Ordinal);
        Assert.Contains($" {pointer} ", child.Errors, StringComparison.Ordinal);
        Assert.Contains($"size class {BadFrees.BlockBytes} B", child.Errors, StringComparison.Ordinal);
    }
}
