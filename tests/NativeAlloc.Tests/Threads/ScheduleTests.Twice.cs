using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Threads;

/// <content>Two threads that do the same thing to the same thing.</content>
public sealed unsafe partial class ScheduleTests
{
    [Theory]
    [InlineData(600 << 10, 900 << 10, 700 << 10)]
    [InlineData(600 << 10, 5 << 20, 3 << 20)]
    [InlineData(4 << 20, 9 << 20, 6 << 20)]
    [InlineData(9 << 20, 2 << 20, 12 << 20)]
    public void Of_two_threads_that_resize_the_same_block_one_has_it(int bytes, int first, int second)
    {
        nint block = 0;
        nint[] resized = new nint[2];
        RunAll(2, () =>
        {
            block = (nint)NativeAllocator.Alloc((nuint)bytes);
            Array.Clear(resized);
            return Both(() => resized[0] = (nint)NativeAllocator.Realloc((void*)block, (nuint)first),
                () => resized[1] = (nint)NativeAllocator.Realloc((void*)block, (nuint)second));
        }, () =>
        {
            Assert.False(_errors[0] != null && _errors[1] != null, "one of them did what it was to do");
            Assert.All(_errors, error => Assert.True(error is null or ArgumentException, error?.ToString()));
            // Where both did it, the one that was first left the block where it was.
            if (_errors[0] == null && _errors[1] == null) Assert.Contains(block, resized);
            nint last = _errors[1] != null || resized[1] == block ? resized[0] : resized[1];
            if (_errors[0] != null) last = resized[1];
            NativeAllocator.Free((void*)last);
        });
    }

    [Theory]
    [InlineData(1 << 20, 3 << 20)]
    [InlineData(3 << 20, 1 << 20)]
    public void An_area_that_is_freed_while_it_is_resized_is_freed_or_resized(int bytes, int newBytes) =>
        ResizeBesideFree(() => (nint)Vmalloc.Alloc((nuint)bytes),
            block => (nint)Vmalloc.Realloc((void*)block, (nuint)newBytes), block => Vmalloc.Free((void*)block));

    [Theory]
    [InlineData(72 << 10, 2 << 20)] // an object, of a slab of four
    [InlineData(1 << 20, 2 << 20)] // of the page layer, and a whole block of it: no tail that others may take
    public void A_block_that_is_resized_ends_no_sample_of_another_thread_at_its_old_address(int bytes, int newBytes)
    {
        List<nint> blocks = [];
        nint block = 0, resized = 0, other = 0;
        int reused = 0;
        nuint live = LeakReport.LiveBytes;
        AllocationProfiler.Start(1);
        try
        {
            RunAll(1, () =>
            {
                NativeAllocator.Trim(); // so that what is freed is what is taken next
                blocks.Clear();
                do blocks.Add((nint)NativeAllocator.Alloc((nuint)bytes));
                while (!TryFindBetween(blocks, bytes, out block));
                return Both(() => resized = (nint)NativeAllocator.Realloc((void*)block, (nuint)newBytes),
                    () => other = (nint)NativeAllocator.Alloc((nuint)bytes));
            }, () =>
            {
                Assert.Equal([null, null], _errors);
                if (other == block) reused++;
                Assert.Equal(live + (nuint)(blocks.Count * bytes + newBytes), LeakReport.LiveBytes);
                blocks.Remove(block);
                foreach (nint each in (nint[])[.. blocks, resized, other]) NativeAllocator.Free((void*)each);
                Assert.Equal(live, LeakReport.LiveBytes);
            });
        }
        finally
        {
            AllocationProfiler.Stop();
        }
        Assert.NotEqual(0, reused);
    }

    // A block that cannot grow where it stands, and that is the first to be taken again when it is free: no other
    // object of its cache is, or it merges with none, as its buddy is held.
    private static bool TryFindBetween(List<nint> blocks, int bytes, out nint block)
    {
        block = blocks[^1];
        ObjectCache* cache = CacheTable.UserCacheOfPage(LinearRegion.PageIndexOf((void*)block));
        if (cache != null) return cache->Node(0)->Slabs.FreeObjects == 0;
        block = blocks.Find(each => (each & bytes) == 0 && blocks.Contains(each + bytes));
        return block != 0;
    }

    [Fact]
    public void Of_two_threads_that_free_a_block_of_exact_pages_one_is_told()
    {
        const int Bytes = 300_000;
        nint block = 0;
        RunAll(2, () =>
        {
            block = (nint)PageAllocator.AllocExact(Bytes);
            return Both(() => PageAllocator.FreeExact((void*)block, Bytes), () => NativeAllocator.Free((void*)block));
        }, () =>
        {
            Assert.Single(_errors, error => error == null);
            Assert.Single(_errors, error => error is ArgumentException);
        });
    }

    [Fact]
    public void What_two_threads_dispose_of_goes_once()
    {
        IDisposable[] all = [];
        RunAll(1, () =>
        {
            NativeHeap heap = new("twice");
            heap.Alloc(100);
            heap.Alloc(700_000);
            NativeArena arena = new();
            arena.Alloc(1000);
            SlabCache cache = new("twice", 208);
            cache.Free(cache.Alloc());
            all = [heap, arena, cache, new MirroredBuffer(100_000), PageAllocator.RegisterShrinker(_ => 0)];
            return Both(DisposeAll, DisposeAll);
        }, () => Assert.Equal([null, null], _errors));

        void DisposeAll()
        {
            foreach (IDisposable each in all) each.Dispose();
        }
    }

    [Fact]
    public void Sections_that_one_thread_takes_offline_are_there_for_another_that_needs_them()
    {
        const int Bytes = 60 << 20, PartBytes = 1 << 20; // nearly a section
        nint block = 0;
        RunAll(1, () =>
        {
            NativeAllocator.Free(NativeAllocator.Alloc(Bytes));
            return Both(() => NativeAllocator.Trim(),
                () => block = (nint)PageAllocator.GetFreePages(PageAllocator.MaxOrder));
        }, () =>
        {
            Assert.Equal([null, null], _errors);
            nint[] parts = [block, block + Bytes - PartBytes];
            foreach (nint part in parts) Pattern.Fill((void*)part, PartBytes, (ulong)part);
            foreach (nint part in parts) Pattern.Check((void*)part, PartBytes, (ulong)part);
            PageAllocator.FreePages((void*)block, PageAllocator.MaxOrder);
        });
    }

    [Fact]
    public void Two_threads_that_give_everything_back_give_it_once()
    {
        nint kept = 0;
        RunAll(1, () =>
        {
            nint[] blocks = [.. Enumerable.Range(0, 12).Select(i => AllocFilled(100 + i * 9000))];
            kept = blocks[7];
            foreach (nint each in blocks) if (each != kept) NativeAllocator.Free((void*)each);
            return Both(() => Reclaimer.GiveBack(), () => Reclaimer.GiveBack());
        }, () =>
        {
            Assert.Equal([null, null], _errors);
            FreeFilled(kept, 100 + 7 * 9000);
        });
    }
}
