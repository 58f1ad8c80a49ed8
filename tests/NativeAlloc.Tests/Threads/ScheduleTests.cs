using NativeAlloc.Release;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Threads;

/// <summary>
/// Lets two threads take turns at each lock, system call and change of owner inside the library, and tries the orders
/// one after the other: no order loses or shares memory, and what one of the two must be told, one is told.
/// </summary>
[Trait("Category", "Slow")]
public sealed unsafe partial class ScheduleTests : LeakCheckedTests
{
    private readonly Exception?[] _errors = new Exception?[2];

    public static TheoryData<string> Blocks =>
        ["page", "pages", "dma page", "high page", "large", "area", "zeroed area"];

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Of_two_threads_that_free_the_same_block_one_is_told(string kind)
    {
        (Page Page, nint Address) block = default;
        int orders = RunAll(2, () =>
        {
            block = Allocate(kind);
            return Both(FreeIt, FreeIt);
        }, () =>
        {
            Assert.Single(_errors, error => error == null);
            Assert.Single(_errors, error => error is ArgumentException);
            // Nobody gets it twice.
            (Page Page, nint Address) first = Allocate(kind), second = Allocate(kind);
            Assert.NotEqual(first, second);
            Free(kind, first);
            Free(kind, second);
        });
        Assert.True(orders > 2, "the two could take turns");

        void FreeIt() => Free(kind, block);
    }

    [Theory]
    [InlineData(600 << 10, 900 << 10)]
    [InlineData(900 << 10, 600 << 10)]
    [InlineData(600 << 10, 5 << 20)]
    [InlineData(1 << 20, 3 << 20)]
    [InlineData(6 << 20, 1 << 20)]
    [InlineData(2 << 20, 1000)]
    public void A_block_that_is_freed_while_it_is_resized_is_freed_or_resized(int bytes, int newBytes) =>
        ResizeBesideFree(() => (nint)NativeAllocator.Alloc((nuint)bytes),
            block => (nint)NativeAllocator.Realloc((void*)block, (nuint)newBytes),
            block => NativeAllocator.Free((void*)block));

    [Theory]
    [InlineData(3000)]
    [InlineData(10_000)]
    public void Objects_keep_their_contents_while_the_memory_between_them_goes_back(int bytes)
    {
        const int Count = 120, Kept = 5;
        nint[] objects = new nint[Count];
        nint fresh = 0;
        int orders = RunAll(1, () =>
        {
            for (int i = 0; i < Count; i++) objects[i] = AllocFilled(bytes);
            for (int i = 0; i < Count; i++)
                if (i % Kept > 1) NativeAllocator.Free((void*)objects[i]);
            NativeAllocator.ReleaseThreadCache(); // they are back in their slabs
            return Both(() => Reclaimer.GiveBack(), () =>
            {
                for (int i = 1; i < Count; i += Kept) NativeAllocator.Free((void*)objects[i]);
                NativeAllocator.ReleaseThreadCache();
                fresh = AllocFilled(bytes);
            });
        }, () =>
        {
            Assert.Equal([null, null], _errors);
            FreeFilled(fresh, bytes);
            for (int i = 0; i < Count; i += Kept) FreeFilled(objects[i], bytes);
        });
        Assert.True(orders > 2, "the two could take turns");
    }

    [Fact]
    public void Two_threads_that_give_their_caches_up_and_come_back_have_a_block_each()
    {
        nint[] blocks = new nint[2];
        nint[] objects = new nint[2];
        RunAll(2, () => Both(() => ComeBack(0), () => ComeBack(1)), () =>
        {
            Assert.Equal([null, null], _errors);
            Assert.NotEqual(blocks[0], blocks[1]);
            Assert.NotEqual(objects[0], objects[1]);
            foreach (nint each in objects) FreeFilled(each, 100);
        });

        void ComeBack(int thread)
        {
            NativeAllocator.ReleaseThreadCache();
            objects[thread] = AllocFilled(100);
            blocks[thread] = (nint)NativeAllocator.GetBlock();
        }
    }

    [Fact]
    public void What_a_thread_frees_while_another_reclaims_is_free_once()
    {
        const int Bytes = 700 << 10;
        nint mine = 0, first = 0, second = 0;
        RunAll(1, () =>
        {
            mine = AllocFilled(Bytes);
            return Both(() => NativeAllocator.Trim(), () =>
            {
                NativeAllocator.Free((void*)mine);
                first = AllocFilled(Bytes);
                second = AllocFilled(Bytes / 2);
            });
        }, () =>
        {
            Assert.Equal([null, null], _errors);
            FreeFilled(first, Bytes);
            FreeFilled(second, Bytes / 2);
        });
    }

    [Fact]
    public void Areas_of_other_sizes_are_gathered_while_they_are_freed()
    {
        const int Small = 600 << 10, Large = 5 << 20;
        nint[] small = new nint[4];
        nint large = 0;
        RunAll(2, () =>
        {
            for (int i = 0; i < small.Length; i++) small[i] = AllocFilled(Small);
            NativeAllocator.Free((void*)small[0]);
            NativeAllocator.Free((void*)small[1]);
            return Both(() => large = AllocFilled(Large), () =>
            {
                NativeAllocator.Free((void*)small[2]);
                small[2] = AllocFilled(Small);
            });
        }, () =>
        {
            Assert.Equal([null, null], _errors);
            FreeFilled(large, Large);
            FreeFilled(small[2], Small);
            FreeFilled(small[3], Small);
        });
    }

    [Fact]
    public void A_cache_is_disposed_of_while_another_is_made_and_threads_give_theirs_back()
    {
        SlabCache? old = null, made = null;
        RunAll(1, () =>
        {
            old = new SlabCache("old", 208);
            old.Free(old.Alloc());
            return Both(() => old.Dispose(), () =>
            {
                NativeAllocator.ReleaseThreadCache();
                made = new SlabCache("new", 208);
                nint block = (nint)made.Alloc();
                Reclaimer.GiveBack();
                made.Free((void*)block);
            });
        }, () =>
        {
            Assert.Equal([null, null], _errors);
            made!.Dispose();
        });
    }

    [Fact]
    public void The_pages_of_a_block_that_is_freed_while_they_move_stay_with_one_owner()
    {
        const int Order = 6; // 4 MiB, whose pages move
        nint block = 0, resized = 0, other = 0;
        RunAll(2, () =>
        {
            block = (nint)PageAllocator.GetFreePages(Order);
            resized = other = 0;
            return Both(() => resized = (nint)NativeAllocator.Realloc((void*)block, 9 << 20), () =>
            {
                PageAllocator.FreePages((void*)block, Order);
                other = AllocFilled(3 << 20); // from what was freed
            });
        }, () =>
        {
            Assert.Single(_errors, error => error == null);
            Assert.Single(_errors, error => error is ArgumentException);
            if (_errors[0] == null) NativeAllocator.Free((void*)resized);
            else FreeFilled(other, 3 << 20);
        });
    }

    [Fact]
    public void Two_threads_that_use_one_heap_have_blocks_of_their_own_and_its_figures_are_right()
    {
        const int Small = 200, Large = 40_000;
        NativeHeap? heap = null;
        nint[] kept = new nint[4];
        RunAll(2, () =>
        {
            heap = new NativeHeap("heap");
            kept[0] = Filled((nint)heap.Alloc(Small), Small);
            return Both(() =>
            {
                kept[1] = Filled((nint)heap.Alloc(Small), Small);
                kept[2] = Filled((nint)heap.Alloc(Large), Large);
            }, () =>
            {
                FreeFilled(kept[0], Small);
                kept[3] = Filled((nint)heap.Alloc(Large), Large);
                FreeFilled(kept[3], Large);
            });
        }, () =>
        {
            Assert.Equal([null, null], _errors);
            Assert.InRange(heap!.LiveBytes, (nuint)(Small + Large), (nuint)(Small + Large) * 5 / 4);
            FreeFilled(kept[1], Small);
            FreeFilled(kept[2], Large);
            Assert.Equal((nuint)0, heap.LiveBytes);
            heap.Dispose();
        });
    }

    [Theory]
    [InlineData(600 << 10, 900 << 10)]
    [InlineData(900 << 10, 600 << 10)]
    [InlineData(600 << 10, 5 << 20)]
    [InlineData(4 << 20, 9 << 20)]
    [InlineData(9 << 20, 2 << 20)]
    [InlineData(2 << 20, 1000)]
    public void A_heaps_block_that_is_freed_while_it_is_resized_is_counted_once(int bytes, int newBytes)
    {
        NativeHeap? heap = null;
        ResizeBesideFree(() =>
        {
            heap = new NativeHeap("heap");
            return (nint)heap.Alloc((nuint)bytes);
        }, block => (nint)heap!.Realloc((void*)block, (nuint)newBytes),
        block => NativeAllocator.Free((void*)block), () =>
        {
            Assert.Equal((nuint)0, heap!.LiveBytes);
            heap.Dispose();
        });
    }

    [Fact]
    public void A_heap_refuses_nobody_for_what_another_does_not_get()
    {
        const int Small = 400_000, Large = 900_000, Limit = 1_500_000;
        NativeHeap? heap = null;
        void* large = null, small = null;
        RunAll(2, () =>
        {
            heap = new NativeHeap("heap", Limit);
            heap.Alloc(Large);
            return Both(() => Assert.False(heap.TryAlloc(Large, out large)),
                () => Assert.True(heap.TryAlloc(Small, out small)));
        }, () =>
        {
            Assert.Equal([null, null], _errors);
            heap!.Dispose();
        });
    }

    [Fact]
    public void Two_threads_that_fill_one_arena_have_blocks_of_their_own()
    {
        const int Count = 6, Bytes = 20_000;
        nint[] blocks = new nint[2 * Count];
        NativeArena? arena = null;
        RunAll(2, () =>
        {
            arena = new NativeArena(0, shared: true);
            return Both(() => FillFrom(0), () => FillFrom(Count));
        }, () =>
        {
            Assert.Equal([null, null], _errors);
            foreach (nint block in blocks) Pattern.Check((void*)block, Bytes, (ulong)block);
            arena!.Dispose();
        });

        void FillFrom(int first)
        {
            for (int i = first; i < first + Count; i++) blocks[i] = Filled((nint)arena!.Alloc(Bytes), Bytes);
        }
    }

    [Fact]
    public void Of_two_threads_that_unmap_the_same_pages_one_is_told()
    {
        Page[] pages = new Page[3];
        nint map = 0;
        RunAll(2, () =>
        {
            for (int i = 0; i < pages.Length; i++) pages[i] = PageAllocator.AllocPage(PageFlags.High);
            map = (nint)Vmalloc.Map(pages);
            return Both(() => Vmalloc.Unmap((void*)map), () => Vmalloc.Unmap((void*)map));
        }, () =>
        {
            Assert.Single(_errors, error => error == null);
            Assert.Single(_errors, error => error is ArgumentException);
            foreach (Page page in pages) PageAllocator.FreePage(page);
        });
    }

    [Fact]
    public void Objects_of_one_slab_that_two_threads_free_and_take_have_one_owner_each()
    {
        const int Bytes = 1500, Count = 24;
        nint[] objects = new nint[Count], taken = new nint[Count];
        RunAll(1, () =>
        {
            for (int i = 0; i < Count; i++) objects[i] = AllocFilled(Bytes);
            return Both(() => Exchange(0), () => Exchange(1));
        }, () =>
        {
            Assert.Equal([null, null], _errors);
            Assert.Equal(Count, taken.Distinct().Count());
            foreach (nint each in taken) FreeFilled(each, Bytes);
        });

        void Exchange(int thread)
        {
            for (int i = thread; i < Count; i += 2) FreeFilled(objects[i], Bytes);
            NativeAllocator.ReleaseThreadCache();
            for (int i = thread; i < Count; i += 2) taken[i] = AllocFilled(Bytes);
        }
    }

    [Fact]
    public void The_profiler_is_switched_while_another_thread_allocates()
    {
        const int Count = 40;
        nint[] objects = new nint[Count];
        RunAll(1, () => Both(() =>
        {
            AllocationProfiler.Start(64);
            AllocationProfiler.Stop();
        }, () =>
        {
            for (int i = 0; i < Count; i++) objects[i] = AllocFilled(64 + i * 16);
            for (int i = 0; i < Count; i += 2) FreeFilled(objects[i], 64 + i * 16);
        }), () =>
        {
            Assert.Equal([null, null], _errors);
            for (int i = 1; i < Count; i += 2) FreeFilled(objects[i], 64 + i * 16);
        });
    }

    // Runs two actions in all orders with so many preemptions, checks after each, and returns how many there were.
    private int RunAll(int preemptions, Func<(Action First, Action Second)> setUp, Action check)
    {
        using Interleaving interleaving = new() { MostPreemptions = preemptions, UsesSchedulePoints = true };
        LeakCheck? leaks = null;
        return interleaving.RunAll(() =>
        {
            Array.Clear(_errors);
            leaks = new LeakCheck();
            (Action first, Action second) = setUp();
            return Both(() => _errors[0] = Record.Exception(first), () => _errors[1] = Record.Exception(second));
        }, () =>
        {
            check();
            leaks!.Finish();
        });
    }

    // One thread resizes a block, the other frees it. Both did, and the block stayed in its place, or one is told.
    private void ResizeBesideFree(Func<nint> alloc, Func<nint, nint> resize, Action<nint> free, Action? check = null)
    {
        nint block = 0, resized = 0;
        int orders = RunAll(2, () =>
        {
            block = alloc();
            resized = 0;
            return Both(() => resized = resize(block), () => free(block));
        }, () =>
        {
            Assert.All(_errors, error => Assert.True(error is null or ArgumentException, error?.ToString()));
            Assert.False(_errors[0] != null && _errors[1] != null, "one of them did what it was to do");
            if (_errors[0] == null && _errors[1] == null) Assert.Equal(block, resized);
            if (_errors[1] != null) free(resized);
            check?.Invoke();
        });
        Assert.True(orders > 2, "the two could take turns");
    }

    private static (Action First, Action Second) Both(Action first, Action second) => (first, second);

    private static (Page Page, nint Address) Allocate(string kind) => kind switch
    {
        "page" => (PageAllocator.AllocPage(), 0),
        "pages" => (PageAllocator.AllocPages(3, PageFlags.Movable), 0),
        "dma page" => (PageAllocator.AllocPage(PageFlags.Dma), 0),
        "high page" => (PageAllocator.AllocPage(PageFlags.High), 0),
        "large" => (default, (nint)NativeAllocator.Alloc(700 << 10)),
        "area" => (default, (nint)Vmalloc.Alloc(3 << 20)),
        _ => (default, (nint)Vmalloc.AllocZeroed(1 << 20)),
    };

    private static void Free(string kind, (Page Page, nint Address) block)
    {
        if (block.Address == 0) PageAllocator.FreePages(block.Page, kind == "pages" ? 3 : 0);
        else if (kind == "large") NativeAllocator.Free((void*)block.Address);
        else Vmalloc.Free((void*)block.Address);
    }

    private static nint AllocFilled(int bytes) => Filled((nint)NativeAllocator.Alloc((nuint)bytes), bytes);

    private static nint Filled(nint block, int bytes)
    {
        Pattern.Fill((void*)block, (nuint)bytes, (ulong)block);
        return block;
    }

    private static void FreeFilled(nint block, int bytes)
    {
        Pattern.Check((void*)block, (nuint)bytes, (ulong)block);
        NativeAllocator.Free((void*)block);
    }
}
