using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that an arena's blocks are aligned and do not overlap, that a reset frees all of them and keeps the pages,
/// and that its end gives all of them back.
/// </summary>
public sealed unsafe class NativeArenaTests : LeakCheckedTests
{
    [Fact]
    public void Blocks_follow_each_other_at_the_alignment_asked_for()
    {
        using NativeArena arena = new();
        byte* first = (byte*)arena.Alloc(1), second = (byte*)arena.Alloc(1), third = (byte*)arena.Alloc(10, 1),
            fourth = (byte*)arena.Alloc(1, 2);
        Assert.Equal(0, (nint)first % 16);
        Assert.True(second == first + 16);
        Assert.True(third == second + 1);
        Assert.True(fourth == third + 11);
        for (nuint alignment = 1; alignment <= 16 * Sizes.MiB; alignment *= 2)
        {
            byte* block = (byte*)arena.Alloc(3, alignment);
            Assert.Equal((nuint)0, (nuint)block % alignment);
            Pattern.Fill(block, 3, alignment);
        }
    }

    [Fact]
    public void An_alignment_must_be_a_power_of_two()
    {
        using NativeArena arena = new();
        foreach (nuint alignment in (nuint[])[0, 3, 24, nuint.MaxValue])
        {
            ArgumentException error = Assert.Throws<ArgumentException>(() => { arena.Alloc(1, alignment); });
            Assert.Contains($" {alignment};", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Nothing_may_be_asked_for_in_any_state()
    {
        using NativeArena empty = new(), started = new(1), full = new();
        full.Alloc(64 * Sizes.KiB); // the first chunk
        foreach (NativeArena arena in (NativeArena[])[empty, started, full])
        {
            foreach (nuint alignment in (nuint[])[1, 16, 4096])
            {
                void* nothing = arena.Alloc(0, alignment);
                Assert.Equal((nuint)0, (nuint)nothing % alignment);
                byte* block = (byte*)arena.Alloc(100, alignment);
                Pattern.Fill(block, 100, 1);
                Pattern.Check(block, 100, 1);
            }
        }
    }

    [Fact]
    public void Arrays_have_the_size_of_their_elements()
    {
        using NativeArena arena = new();
        Guid* one = arena.Alloc<Guid>();
        Guid* many = arena.Alloc<Guid>(1000);
        Assert.True(many == one + 1);
        Assert.True(arena.Alloc<byte>() == many + 1000);
        Assert.True(arena.Alloc<Guid>(0) != null);
    }

    [Fact]
    public void What_no_system_has_is_out_of_memory_and_the_arena_goes_on()
    {
        using NativeArena arena = new();
        byte* before = (byte*)arena.Alloc(100);
        Pattern.Fill(before, 100, 5);
        foreach (nuint bytes in Sizes.Impossible)
        {
            Assert.Throws<OutOfMemoryException>(() => { arena.Alloc(bytes); });
            Assert.Throws<OutOfMemoryException>(() => { arena.Alloc(bytes, 1); });
            Assert.Throws<OutOfMemoryException>(() => { arena.Alloc(bytes, 4096); });
            Assert.Throws<OutOfMemoryException>(() => { new NativeArena(bytes).Dispose(); });
        }
        Assert.Throws<OutOfMemoryException>(() => { arena.Alloc(16, (nuint)1 << 63); });
        Assert.Throws<OutOfMemoryException>(() => { arena.Alloc<Guid>(nuint.MaxValue / 16 + 1); });
        Assert.Throws<OutOfMemoryException>(() => { arena.Alloc<Guid>(nuint.MaxValue); });
        byte* behind = (byte*)arena.Alloc(100);
        Assert.True(behind == before + 112); // in the same chunk
        Pattern.Check(before, 100, 5);
        for (int i = 0; i < 10; i++) arena.Alloc(50_000);
        arena.Reset();
        arena.Alloc(100);
        Assert.Throws<OutOfMemoryException>(() => { arena.Alloc((nuint)1 << 62); });
        Assert.True(arena.Alloc(100) == behind); // also where chunks are kept that were too small
    }

    [Fact]
    public void Blocks_of_any_size_are_whole()
    {
        using NativeArena arena = new(1000);
        List<(nint Address, nuint Bytes)> blocks = [];
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            blocks.Add(((nint)arena.Alloc(bytes), bytes));
            Pattern.Fill((void*)blocks[^1].Address, bytes, bytes);
        }
        foreach ((nint address, nuint bytes) in blocks) Pattern.Check((void*)address, bytes, bytes);
        AssertApart(blocks);
    }

    [Fact]
    public void Initial_bytes_are_there_at_once()
    {
        NativeAllocator.Trim(); // a kept area of like size may be larger
        nuint live = NativeAllocator.GetStatistics().LiveBytes;
        using NativeArena arena = new(3 * Sizes.MiB - 64); // a chunk begins with 64 bytes of the arena's own
        nuint held = NativeAllocator.GetStatistics().LiveBytes - live;
        Assert.InRange(held, 3 * Sizes.MiB, 3 * Sizes.MiB + 64 * Sizes.KiB);
        for (int i = 0; i < 3; i++) arena.Alloc(Sizes.MiB - 64);
        arena.Alloc(128);
        Assert.Equal(live + held, NativeAllocator.GetStatistics().LiveBytes); // no more was needed
        arena.Alloc(1);
        Assert.True(NativeAllocator.GetStatistics().LiveBytes > live + held);
    }

    [Fact]
    public void No_more_than_half_of_its_pages_and_4_MiB_are_ever_unused()
    {
        NativeAllocator.Trim(); // a kept area of like size may be larger
        nuint live = NativeAllocator.GetStatistics().LiveBytes, used = 0;
        using NativeArena arena = new();
        for (int i = 0; i < 30_000; i++)
        {
            arena.Alloc(1024);
            used += 1024;
            if (i % 10 != 0) continue;
            nuint held = NativeAllocator.GetStatistics().LiveBytes - live;
            // The clear excess: each chunk begins with 64 bytes of its own, and what is left at its end may hold no
            // block.
            Assert.InRange(held, used,
                used + Math.Clamp(used, 64 * Sizes.KiB, 4 * Sizes.MiB + 64 * Sizes.KiB) + 16 * Sizes.KiB);
        }
    }

    [Fact]
    public void A_reset_frees_all_blocks_and_keeps_the_pages()
    {
        using NativeArena arena = new();
        nint[] first = Fill(), second, third;
        nuint live = NativeAllocator.GetStatistics().LiveBytes;
        arena.Reset();
        Assert.Equal(live, NativeAllocator.GetStatistics().LiveBytes);
        second = Fill();
        Assert.Equal(first, second); // the same places in the same order
        arena.Reset();
        arena.Reset();
        third = Fill();
        Assert.Equal(first, third);
        Assert.Equal(live, NativeAllocator.GetStatistics().LiveBytes);

        nint[] Fill()
        {
            nint[] blocks = new nint[3000];
            for (int i = 0; i < blocks.Length; i++) blocks[i] = (nint)arena.Alloc((nuint)i);
            for (int i = 0; i < blocks.Length; i++) Pattern.Fill((void*)blocks[i], (nuint)i, (ulong)i);
            for (int i = 0; i < blocks.Length; i++) Pattern.Check((void*)blocks[i], (nuint)i, (ulong)i);
            return blocks;
        }
    }

    [Fact]
    public void A_block_that_fits_no_kept_chunk_gets_one_of_its_own()
    {
        using NativeArena arena = new();
        for (int i = 0; i < 100; i++) arena.Alloc(10_000);
        arena.Reset();
        byte* huge = (byte*)arena.Alloc(100 * Sizes.MiB);
        Pattern.Fill(huge, 100 * Sizes.MiB, 9);
        byte* small = (byte*)arena.Alloc(100);
        Pattern.Fill(small, 100, 8);
        Pattern.Check(huge, 100 * Sizes.MiB, 9);
        arena.Reset();
        nuint live = NativeAllocator.GetStatistics().LiveBytes;
        Pattern.Fill(arena.Alloc(100 * Sizes.MiB), 100 * Sizes.MiB, 7); // it is kept as well
        Assert.Equal(live, NativeAllocator.GetStatistics().LiveBytes);
    }

    [Fact]
    public void Disposing_gives_all_of_it_back_and_a_second_time_does_nothing()
    {
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        NativeArena arena = new();
        foreach (nuint bytes in Sizes.AcrossLayers) arena.Alloc(bytes);
        arena.Reset();
        arena.Alloc(300 * Sizes.KiB);
        Assert.True(NativeAllocator.GetStatistics().LiveBytes > before.LiveBytes);
        arena.Dispose();
        Assert.Equal(before.LiveBytes, NativeAllocator.GetStatistics().LiveBytes);
        Assert.Equal(before.LiveBlocks, NativeAllocator.GetStatistics().LiveBlocks);
        arena.Dispose();
        Assert.Equal(before.LiveBytes, NativeAllocator.GetStatistics().LiveBytes);
        foreach (nuint alignment in (nuint[])[1, 16, 4096])
        {
            Assert.Throws<ObjectDisposedException>(() => { arena.Alloc(1, alignment); });
            Assert.Throws<ObjectDisposedException>(() => { arena.Alloc(0, alignment); });
        }
        Assert.Throws<ObjectDisposedException>(() => { arena.Alloc<int>(); });
        Assert.Throws<ObjectDisposedException>(arena.Reset);
    }

    [Fact]
    public void An_arena_that_is_forgotten_keeps_its_memory_and_the_statistics_show_it()
    {
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        WeakReference? forgotten = null;
        byte* block = null;
        TestThread.RunOnNew(() => // where no register or slot keeps it
        {
            NativeArena arena = new(Sizes.MiB);
            block = (byte*)arena.Alloc(1000);
            Pattern.Fill(block, 1000, 3);
            forgotten = new WeakReference(arena);
        });
        for (int i = 0; i < 20 && forgotten!.IsAlive; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Assert.False(forgotten!.IsAlive);
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        Assert.Equal(before.ArenaChunks + 1, after.ArenaChunks);
        Assert.InRange(after.ArenaBytes - before.ArenaBytes, Sizes.MiB, Sizes.MiB + 64 * Sizes.KiB);
        Pattern.Check(block, 1000, 3);
        ArenaChunk* chunk = (ArenaChunk*)(block - ArenaChunk.HeaderBytes);
        ArenaChunks.Remove(chunk);
        NativeAllocator.Free(chunk);
    }

    [Theory]
    [InlineData(1)] // a slab's object
    [InlineData(700_000)] // a large block
    [InlineData(3_000_000)] // an area
    public void No_block_of_an_arena_is_one_of_the_allocator(int initialBytes)
    {
        using NativeArena arena = new((nuint)initialBytes);
        byte* first = (byte*)arena.Alloc(100), second = (byte*)arena.Alloc(100);
        Pattern.Fill(first, 100, 1);
        foreach (nint each in (nint[])[(nint)first, (nint)second])
        {
            AssertNamesTheArena(each, () => NativeAllocator.Free((void*)each));
            AssertNamesTheArena(each, () => NativeAllocator.Realloc((void*)each, 1_000_000));
            AssertNamesTheArena(each, () => NativeAllocator.UsableSize((void*)each));
            AssertNamesTheArena(each, () => Vmalloc.Free((void*)each));
            Assert.Throws<ArgumentException>(() => PageAllocator.FreePage((void*)each));
        }
        Assert.True(arena.Alloc(100) == second + 112);
        Pattern.Check(first, 100, 1);

        static void AssertNamesTheArena(nint pointer, Action action)
        {
            string message = Assert.Throws<ArgumentException>(action).Message;
            Assert.Contains(nameof(NativeArena), message, StringComparison.Ordinal);
            Assert.Contains($"0x{pointer:x}", message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Any_sequence_of_steps_keeps_blocks_apart_and_whole() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("small", "small", "small", "medium", "large", "reset"),
            Values.Pairs(Values.Between(0, 10_000), Values.Between(0, 17))),
        150,
        steps =>
        {
            nuint before = NativeAllocator.GetStatistics().LiveBytes;
            using (NativeArena arena = new((nuint)(steps.Count % 3) * 100_000))
            {
                List<(nint Address, nuint Bytes)> blocks = [];
                foreach ((string step, (int number, int log2)) in steps)
                {
                    if (step == "reset" && number % 4 == 0)
                    {
                        CheckAll(blocks);
                        arena.Reset();
                        blocks.Clear();
                        continue;
                    }
                    nuint bytes = (nuint)number * (step == "large" ? 300u : step == "medium" ? 10u : 1u)
                        / (step == "small" ? 20u : 1u), alignment = (nuint)1 << log2;
                    nint block = (nint)arena.Alloc(bytes, alignment);
                    Assert.Equal((nuint)0, (nuint)block % alignment);
                    Pattern.Fill((void*)block, bytes, (ulong)block);
                    if (bytes != 0) blocks.Add((block, bytes));
                }
                CheckAll(blocks);
            }
            Assert.Equal(before, NativeAllocator.GetStatistics().LiveBytes);

            static void CheckAll(List<(nint Address, nuint Bytes)> blocks)
            {
                AssertApart(blocks);
                foreach ((nint address, nuint bytes) in blocks) Pattern.Check((void*)address, bytes, (ulong)address);
            }
        },
        runs: 40);

    private static void AssertApart(List<(nint Address, nuint Bytes)> blocks)
    {
        (nint Address,
            nuint Bytes)[] inOrder = [.. blocks.Where(block => block.Bytes != 0).OrderBy(block => block.Address)];
        for (int i = 1; i < inOrder.Length; i++)
            Assert.True((nuint)inOrder[i].Address >= (nuint)inOrder[i - 1].Address + inOrder[i - 1].Bytes,
                "two blocks overlap");
    }
}
