using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that a heap's blocks are whole, that any way to free one keeps the heap's count right, that all of them go at
/// once, and that its limit holds.
/// </summary>
public sealed unsafe class NativeHeapTests : LeakCheckedTests
{
    private enum Step
    {
        Alloc, AllocZeroed, AlignedAlloc, Realloc, Free, FreeElsewhere, ReallocElsewhere, Reset, Trim,
    }

    [Fact]
    public void Any_steps_leave_whole_blocks_and_the_right_count() =>
        Properties.ForAllSequences(
            Values.Pairs(Values.OneOf(Enum.GetValues<Step>()), Values.Between(0, 1 << 30)), 120, steps =>
        {
            using NativeHeap heap = new("model");
            List<(nint Block, nuint Bytes, ulong Id)> blocks = [];
            List<(nint Block, nuint Bytes, ulong Id)> outside = [];
            ulong id = 0;
            foreach ((Step step, int random) in steps) Run(heap, step, random, blocks, outside, ref id);
            foreach ((nint block, nuint bytes, ulong number) in blocks) Pattern.Check((void*)block, bytes, number);
            foreach ((nint block, nuint bytes, ulong number) in outside)
            {
                Pattern.Check((void*)block, bytes, number);
                if (NativeAllocator.Owns((void*)block)) NativeAllocator.Free((void*)block);
            }
            heap.Verify();
            if (blocks.Count == 0 && outside.Count == 0) Assert.Equal((nuint)0, heap.LiveBytes);
        }, runs: 60);

    private static nuint SizeOf(int random) => (nuint)((random & 7) switch
    {
        0 => random >> 3 & 63,
        < 5 => random >> 3 & 1023,
        5 => random >> 3 & 0xFFFF,
        6 => random >> 3 & 0x7FFFF,
        _ => random >> 3 & 0x3FFFFF,
    });

    private static void Run(NativeHeap heap, Step step, int random, List<(nint Block, nuint Bytes, ulong Id)> blocks,
        List<(nint Block, nuint Bytes, ulong Id)> outside, ref ulong id)
    {
        nuint bytes = SizeOf(random);
        int index = blocks.Count == 0 ? -1 : random % blocks.Count;
        switch (step)
        {
            case Step.Alloc:
                Add(heap.Alloc(bytes), ref id);
                break;
            case Step.AllocZeroed:
                void* zeroed = heap.AllocZeroed(bytes);
                Pattern.CheckZero(zeroed, bytes);
                Add(zeroed, ref id);
                break;
            case Step.AlignedAlloc:
                nuint alignment = (nuint)1 << (random % 18);
                void* aligned = heap.AlignedAlloc(bytes, alignment);
                Assert.Equal((nuint)0, (nuint)aligned % alignment);
                Add(aligned, ref id);
                break;
            case Step.Realloc when index >= 0:
                (nint old, nuint oldBytes, ulong oldId) = blocks[index];
                void* moved = heap.Realloc((void*)old, bytes);
                Pattern.Check(moved, Math.Min(oldBytes, bytes), oldId);
                Pattern.Fill(moved, bytes, oldId);
                blocks[index] = ((nint)moved, bytes, oldId);
                break;
            case Step.Free or Step.FreeElsewhere when index >= 0:
                (nint block, nuint size, ulong number) = blocks[index];
                Pattern.Check((void*)block, size, number);
                blocks.RemoveAt(index);
                if (step == Step.Free) heap.Free((void*)block);
                else NativeAllocator.Free((void*)block);
                break;
            case Step.ReallocElsewhere when index >= 0:
                (block, size, number) = blocks[index];
                blocks.RemoveAt(index);
                void* there = NativeAllocator.Realloc((void*)block, Math.Max(bytes, 1));
                Pattern.Check(there, Math.Min(size, bytes), number);
                Pattern.Fill(there, bytes, number);
                // It may have stayed in the heap; it is freed before the heap ends.
                NativeAllocator.Free(there);
                break;
            case Step.Reset:
                heap.Reset();
                blocks.Clear();
                Assert.Equal((nuint)0, heap.LiveBytes);
                break;
            case Step.Trim when random % 8 == 0:
                NativeAllocator.Trim();
                break;
            default:
                break;
        }
        heap.Verify();

        void Add(void* block, ref ulong id)
        {
            Assert.Equal((nuint)0, (nuint)block % 16);
            Assert.True(NativeAllocator.UsableSize(block) >= bytes);
            Pattern.Fill(block, bytes, ++id);
            blocks.Add(((nint)block, bytes, id));
        }
    }

    [Fact]
    public void Everything_goes_at_once_with_the_heap()
    {
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        NativeHeap heap = new("all-at-once");
        for (int i = 0; i < 50_000; i++) heap.Alloc((nuint)(i % 700));
        heap.Alloc(3 * Sizes.MiB);
        heap.Alloc(600 * Sizes.KiB);
        Assert.True(heap.LiveBytes > 50_000 * 300);
        heap.Dispose();
        heap.Dispose();
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        Assert.Equal((before.LiveBytes, before.LiveBlocks), (after.LiveBytes, after.LiveBlocks));
        Assert.Throws<ObjectDisposedException>(() => { heap.Alloc(1); });
        Assert.Throws<ObjectDisposedException>(() => heap.TryAlloc(1, out _));
        Assert.Throws<ObjectDisposedException>(() => heap.Free(null));
        Assert.Throws<ObjectDisposedException>(() => { heap.Realloc(null, 1); });
        Assert.Throws<ObjectDisposedException>(heap.Reset);
        Assert.Throws<ObjectDisposedException>(() => heap.LiveBytes);
    }

    [Fact]
    public void A_reset_heap_goes_on_with_its_caches()
    {
        using NativeHeap heap = new();
        for (int round = 0; round < 20; round++)
        {
            for (int i = 0; i < 2000; i++) Pattern.Fill(heap.Alloc((nuint)(i % 300 + 1)), (nuint)(i % 300 + 1), 1);
            heap.Reset();
            Assert.Equal((nuint)0, heap.LiveBytes);
            heap.Verify();
        }
    }

    [Fact]
    public void Any_free_is_taken_off_the_count()
    {
        using NativeHeap heap = new();
        foreach (nuint bytes in Sizes.AcrossLayers.Where(bytes => bytes < 10 * Sizes.MiB))
        {
            void* one = heap.Alloc(bytes), two = heap.Alloc(bytes);
            nuint live = heap.LiveBytes;
            Assert.True(live >= 2 * bytes);
            NativeAllocator.Free(one);
            Assert.Equal(live / 2, heap.LiveBytes);
            nint other = (nint)two;
            Thread thread = new(() => heap.Free((void*)other));
            thread.Start();
            thread.Join();
            Assert.Equal((nuint)0, heap.LiveBytes);
        }
        void* area = heap.Alloc(5 * Sizes.MiB);
        Vmalloc.Free(area);
        Assert.Equal((nuint)0, heap.LiveBytes);
        area = Vmalloc.Realloc(heap.Alloc(5 * Sizes.MiB), 50 * Sizes.MiB);
        Assert.Equal(50 * Sizes.MiB, heap.LiveBytes);
        heap.Free(area);
        Assert.Equal((nuint)0, heap.LiveBytes);
    }

    [Fact]
    public void A_limit_holds_and_a_free_makes_room()
    {
        using NativeHeap heap = new("limited", 10_000);
        Assert.Equal((nuint)10_000, heap.LimitBytes);
        List<nint> blocks = [];
        while (heap.TryAlloc(100, out void* block)) blocks.Add((nint)block);
        Assert.InRange(heap.LiveBytes, 9_800u, 10_000u);
        OutOfMemoryException error = Assert.Throws<OutOfMemoryException>(() => { heap.Alloc(1000); });
        Assert.Contains("'limited'", error.Message, StringComparison.Ordinal);
        Assert.Contains(" 10000 bytes", error.Message, StringComparison.Ordinal);
        Assert.Throws<OutOfMemoryException>(() => { heap.Realloc((void*)blocks[0], 5000); });
        Assert.Throws<OutOfMemoryException>(() => { heap.Alloc(100 * Sizes.MiB); });
        heap.Free((void*)blocks[0]);
        Assert.True(heap.TryAlloc(100, out _));
        heap.Reset();
        Assert.True(heap.TryAlloc(9000, out _));
    }

    [Fact]
    public void At_the_limit_a_block_can_be_made_smaller()
    {
        using NativeHeap heap = new(null, 1_380_000);
        void* block = heap.Alloc(1_300_000);
        ((byte*)block)[50_000 - 1] = 7;
        block = heap.Realloc(block, 50_000);
        Assert.Equal(7, ((byte*)block)[50_000 - 1]);
        Assert.InRange(heap.LiveBytes, 50_000u, 57_344u);
        heap.Alloc(1_250_000);
        Assert.Throws<OutOfMemoryException>(() => { heap.Realloc(block, 60_000); });
        Assert.Equal((nint)block, (nint)heap.Realloc(block, 20_000)); // there is no room for a second one
        heap.Free(block);
        heap.Verify();
    }

    [Fact]
    public void What_no_system_has_is_out_of_memory_and_the_heap_goes_on()
    {
        using NativeHeap heap = new(), limited = new(null, 1 << 20);
        foreach (nuint bytes in Sizes.Impossible)
        {
            Assert.Throws<OutOfMemoryException>(() => { heap.Alloc(bytes); });
            Assert.Throws<OutOfMemoryException>(() => { limited.Alloc(bytes); });
            Assert.Throws<OutOfMemoryException>(() => { heap.AllocZeroed(bytes); });
            Assert.Throws<OutOfMemoryException>(() => { heap.AlignedAlloc(bytes, 4096); });
            Assert.False(heap.TryAlloc(bytes, out void* none));
            Assert.True(none == null);
            void* large = heap.Alloc(2 * Sizes.MiB);
            Assert.Throws<OutOfMemoryException>(() => { heap.Realloc(large, bytes); });
            Assert.Equal(2 * Sizes.MiB, heap.LiveBytes);
            heap.Free(large);
        }
        Assert.Throws<OutOfMemoryException>(() => { heap.Alloc<long>(nuint.MaxValue / 4); });
        Assert.Equal((nuint)0, heap.LiveBytes);
        heap.Verify();
        Assert.True(heap.Alloc<long>(3) != null);
    }

    [Fact]
    public void Pointers_that_are_not_its_own_are_refused_with_a_reason()
    {
        using NativeHeap heap = new("mine"), other = new("other");
        void* foreign = NativeAllocator.Alloc(100), theirs = other.Alloc(100), theirLarge = other.Alloc(2 * Sizes.MiB);
        byte* own = (byte*)heap.Alloc(100);
        int onStack = 0;
        foreach (nint pointer in (nint[])[(nint)foreign, (nint)theirs, (nint)theirLarge, (nint)(&onStack)])
        {
            ArgumentException error = Assert.Throws<ArgumentException>(() => heap.Free((void*)pointer));
            Assert.Contains("'mine'", error.Message, StringComparison.Ordinal);
            Assert.Equal("ptr", error.ParamName);
            Assert.Throws<ArgumentException>(() => { heap.Realloc((void*)pointer, 10_000_000); });
        }
        Assert.Contains("16 bytes inside",
            Assert.Throws<ArgumentException>(() => heap.Free(own + 16)).Message, StringComparison.Ordinal);
        heap.Free(own);
        void* large = heap.Alloc(2 * Sizes.MiB);
        heap.Free(large);
        Assert.Throws<ArgumentException>(() => heap.Free(large));
        NativeAllocator.Free(foreign);
        Assert.Throws<ArgumentException>(() => new NativeHeap("a name"));
        Assert.Throws<ArgumentException>(() => new NativeHeap(""));
        Assert.Throws<ArgumentException>(() => { heap.AlignedAlloc(10, 3); });
    }

    [Fact]
    public void A_block_of_another_owner_cannot_be_resized_and_stays_what_it_was()
    {
        using NativeHeap heap = new("mine"), other = new("other");
        (nint Block, nuint Bytes)[] theirs =
        [
            ((nint)NativeAllocator.Alloc(Sizes.MiB), Sizes.MiB), // of the buddy allocator
            ((nint)NativeAllocator.Alloc(3 * Sizes.MiB), 3 * Sizes.MiB), // an area
            ((nint)NativeAllocator.Alloc(100), 100),
            ((nint)other.Alloc(Sizes.MiB), Sizes.MiB), ((nint)other.Alloc(3 * Sizes.MiB), 3 * Sizes.MiB),
            ((nint)other.Alloc(100), 100),
            ((nint)PageAllocator.GetFreePage(), PageAllocator.PageSize),
            ((nint)PageAllocator.AllocExact(Sizes.MiB), Sizes.MiB),
            ((nint)Vmalloc.Alloc(Sizes.MiB), Sizes.MiB),
            // Inside of its own.
            ((nint)heap.Alloc(Sizes.MiB) + PageAllocator.PageSize, 0),
            ((nint)heap.Alloc(3 * Sizes.MiB) + PageAllocator.PageSize, 0), ((nint)heap.Alloc(100) + 16, 0),
        ];
        foreach ((nint block, nuint bytes) in theirs) Pattern.Fill((void*)block, bytes, (ulong)block);
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        foreach ((nint block, nuint bytes) in theirs)
        {
            foreach (nuint wanted in (nuint[])[0, 100, bytes, 700_000, 10 * Sizes.MiB])
                Assert.Throws<ArgumentException>(() => { heap.Realloc((void*)block, wanted); });
            Assert.True(bytes == 0 || NativeAllocator.UsableSize((void*)block) >= bytes);
            Pattern.Check((void*)block, bytes, (ulong)block);
        }
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        Assert.Equal((before.LiveBytes, before.LiveBlocks), (after.LiveBytes, after.LiveBlocks));
        heap.Verify();
        other.Verify();
        foreach ((nint block, nuint bytes) in theirs) if (bytes != 0) NativeAllocator.Free((void*)block);
    }

    [Fact]
    public void Where_there_are_as_many_caches_as_there_can_be_a_heap_refuses_and_counts_nothing() =>
        ChildProcess.RunHost(CacheLimit.Name).ShouldSucceed();

    [Fact]
    public void Threads_that_allocate_and_free_each_others_blocks_keep_the_count()
    {
        const int Threads = 4, Rounds = 3000;
        using NativeHeap heap = new("shared"), second = new("second");
        nint[] exchange = new nint[64];
        Exception? failure = null;
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(number => new Thread(() =>
        {
            try
            {
                Random random = new(number);
                for (int i = 0; i < Rounds; i++)
                {
                    nuint bytes = (nuint)random.Next(i % 100 == 0 ? 1_000_000 : 2000) + 8;
                    nint* block = (nint*)(i % 2 == 0 ? heap : second).Alloc(bytes);
                    *block = (nint)block;
                    nint* old = (nint*)Interlocked.Exchange(ref exchange[random.Next(exchange.Length)], (nint)block);
                    if (old == null) continue;
                    if (*old != (nint)old) throw new InvalidOperationException("a block was overwritten");
                    NativeAllocator.Free(old);
                }
            }
            catch (Exception error)
            {
                Volatile.Write(ref failure, error);
            }
        }))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        Assert.Null(failure);
        heap.Verify();
        second.Verify();
        Assert.True(heap.LiveBytes + second.LiveBytes > 0);
        foreach (nint block in exchange) NativeAllocator.Free((void*)block);
        Assert.Equal((nuint)0, heap.LiveBytes + second.LiveBytes);
    }

    [Fact]
    public void There_can_be_many_heaps_and_reports_show_them()
    {
        List<NativeHeap> heaps = [.. Enumerable.Range(0, 300).Select(number => new NativeHeap($"many-{number}"))];
        foreach (NativeHeap heap in heaps)
        {
            heap.Alloc(64);
            heap.Alloc(640);
        }
        using StringWriter report = new();
        AllocatorReport.WriteSlabInfo(report);
        Assert.Contains("many-299:64 ", report.ToString(), StringComparison.Ordinal);
        foreach (NativeHeap heap in heaps) heap.Dispose();
        using StringWriter after = new();
        AllocatorReport.WriteSlabInfo(after);
        Assert.DoesNotContain("many-", after.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_heap_that_is_disposed_of_while_its_block_moves_which_is_wrong_holds_nobody_up()
    {
        NativeHeap heap = new("gone");
        void* block = heap.Alloc(700_000);
        HeapMove move = HeapMove.Begin(block);
        Assert.True(move.IsOfHeap);
        heap.Dispose();
        move.End(block, block, 800_000);
        NativeAllocator.Verify();
        using NativeHeap next = new("next");
        next.Free(next.Alloc(700_000));
        Assert.Equal((nuint)0, next.LiveBytes);
    }

    [Fact]
    public void Its_figures_have_the_size_that_is_kept_for_them() =>
        Assert.Equal(HeapFigures.Bytes, sizeof(HeapFigures));
}
