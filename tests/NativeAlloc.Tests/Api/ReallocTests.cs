using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that <c>Realloc</c> and <c>AlignedRealloc</c> keep what a block held, from any layer to any other, and touch
/// nothing where they fail.
/// </summary>
public sealed unsafe class ReallocTests : LeakCheckedTests
{
    // The last step of a realloc that copies, as a thread comes to it whose block another thread has freed just before.
    [Theory]
    [InlineData(700_000)]
    [InlineData(4_000_000)]
    public void Where_another_thread_frees_the_block_meanwhile_the_new_one_is_freed_and_that_is_told(int bytes)
    {
        void* from = NativeAllocator.Alloc((nuint)bytes), to = NativeAllocator.Alloc(5000);
        TestThread.RunOnNew(() => NativeAllocator.Free(from));
        long live = NativeAllocator.GetStatistics().LiveBlocks;
        Assert.Throws<ArgumentException>(() => NativeAllocator.MoveContents(from, to, 0));
        Assert.Equal(live - 1, NativeAllocator.GetStatistics().LiveBlocks);
    }

    private static readonly nuint[] s_sizes =
    [
        16, 17, 100, 128, 129, 600, 4096, 5000, Sizes.LargestMagazine, Sizes.LargestMagazine + 1, 65_536, 200_000,
        Sizes.LargestSlab, Sizes.LargestSlab + 1, Sizes.MiB, 8 * Sizes.MiB + 1, Sizes.LargestPages + 1, 100 * Sizes.MiB,
    ];

    [Fact]
    public void Contents_are_kept_from_every_size_to_every_other()
    {
        ulong id = 0;
        foreach (nuint from in s_sizes)
        {
            foreach (nuint to in s_sizes)
            {
                if (from > Sizes.LargestPages && to > Sizes.LargestPages) continue; // a test of their own
                id++;
                void* block = NativeAllocator.Alloc(from);
                Pattern.Fill(block, from, id);
                void* resized = NativeAllocator.Realloc(block, to);
                Assert.Equal((nuint)0, (nuint)resized % 16);
                Assert.True(NativeAllocator.UsableSize(resized) >= to);
                Pattern.Check(resized, Math.Min(from, to), id);
                Pattern.Fill(resized, to, id);
                Pattern.Check(resized, to, id);
                NativeAllocator.Free(resized);
            }
        }
    }

    [Fact]
    public void A_huge_block_keeps_its_contents_as_it_grows_and_shrinks()
    {
        nuint bytes = 80 * Sizes.MiB;
        void* block = NativeAllocator.Alloc(bytes);
        Pattern.Fill(block, bytes, 1);
        foreach (nuint to in new nuint[] { 130 * Sizes.MiB, 130 * Sizes.MiB + 1, 70 * Sizes.MiB, Sizes.LargestPages + 1,
            65 * Sizes.MiB })
        {
            block = NativeAllocator.Realloc(block, to);
            Assert.True(NativeAllocator.UsableSize(block) >= to);
            Pattern.Check(block, Math.Min(bytes, to), 1);
            bytes = to;
            Pattern.Fill(block, bytes, 1);
        }
        NativeAllocator.Free(block);
    }

    [Fact]
    public void A_huge_block_that_grows_has_pages_of_its_own()
    {
        // Others in the way, so that a mapping has to move.
        nint[] others = new nint[6];
        for (int i = 0; i < others.Length; i++)
        {
            others[i] = (nint)NativeAllocator.Alloc(Sizes.LargestPages + 1);
            Pattern.Fill((void*)others[i], Sizes.MiB, (ulong)i);
        }
        for (int i = 0; i < others.Length; i++)
        {
            others[i] = (nint)NativeAllocator.Realloc((void*)others[i], 90 * Sizes.MiB);
            Pattern.Check((void*)others[i], Sizes.MiB, (ulong)i);
            Pattern.Fill((byte*)others[i] + 80 * Sizes.MiB, 10 * Sizes.MiB, (ulong)i);
        }
        for (int i = 0; i < others.Length; i++)
        {
            Pattern.Check((void*)others[i], Sizes.MiB, (ulong)i);
            Pattern.Check((byte*)others[i] + 80 * Sizes.MiB, 10 * Sizes.MiB, (ulong)i);
            NativeAllocator.Free((void*)others[i]);
        }
    }

    [Fact]
    public void A_block_that_grows_by_little_keeps_its_contents_over_every_layer()
    {
        nuint bytes = 1;
        void* block = NativeAllocator.Alloc(bytes);
        Pattern.Fill(block, bytes, 7);
        while (bytes < 100 * Sizes.MiB)
        {
            nuint next = bytes + bytes / 4 + 1;
            block = NativeAllocator.Realloc(block, next);
            Pattern.Check(block, bytes, 7);
            Pattern.Fill(block, next, 7);
            bytes = next;
        }
        while (bytes > 1)
        {
            bytes -= bytes / 3 + 1;
            if (bytes == 0) bytes = 1;
            block = NativeAllocator.Realloc(block, bytes);
            Pattern.Check(block, bytes, 7);
        }
        NativeAllocator.Free(block);
    }

    [Fact]
    public void A_large_block_grows_where_it_stands_only_into_free_pages()
    {
        const int Count = 24;
        nint[] blocks = new nint[Count];
        nuint[] sizes = new nuint[Count];
        for (int i = 0; i < Count; i++)
        {
            sizes[i] = Sizes.MiB;
            blocks[i] = (nint)NativeAllocator.Alloc(sizes[i]);
            Pattern.Fill((void*)blocks[i], sizes[i], (ulong)i);
        }
        // Each grows while its neighbours live, shrinks, and grows into what another left.
        foreach (nuint to in new nuint[] { 3 * Sizes.MiB, 700_000, 5 * Sizes.MiB, Sizes.MiB + 1, 9 * Sizes.MiB })
        {
            for (int i = 0; i < Count; i++)
            {
                blocks[i] = (nint)NativeAllocator.Realloc((void*)blocks[i], to);
                Pattern.Check((void*)blocks[i], Math.Min(sizes[i], to), (ulong)i);
                Pattern.Fill((void*)blocks[i], to, (ulong)i);
                sizes[i] = to;
            }
            NativeAllocator.Verify();
        }
        for (int i = 0; i < Count; i++)
        {
            Pattern.Check((void*)blocks[i], sizes[i], (ulong)i);
            NativeAllocator.Free((void*)blocks[i]);
        }
    }

    [Fact]
    public void Shrinking_gives_memory_back()
    {
        foreach (nuint bytes in new nuint[] { 1000, 100_000, 10 * Sizes.MiB, 100 * Sizes.MiB })
        {
            void* block = NativeAllocator.Alloc(bytes);
            nuint live = NativeAllocator.GetStatistics().LiveBytes;
            block = NativeAllocator.Realloc(block, bytes / 8);
            Assert.True(NativeAllocator.UsableSize(block) < bytes / 2);
            Assert.True(NativeAllocator.GetStatistics().LiveBytes < live - bytes / 2);
            NativeAllocator.Free(block);
        }
    }

    [Fact]
    public void Null_allocates_and_zero_bytes_are_one()
    {
        void* block = NativeAllocator.Realloc(null, 1000);
        Assert.True(NativeAllocator.UsableSize(block) >= 1000);
        *(byte*)block = 42;
        block = NativeAllocator.Realloc(block, 0);
        Assert.True(block != null);
        Assert.Equal(42, *(byte*)block);
        NativeAllocator.Free(block);
        void* nothing = NativeAllocator.Realloc(null, 0);
        Assert.True(nothing != null);
        NativeAllocator.Free(nothing);
        void* aligned = NativeAllocator.AlignedRealloc(null, 100, 4096);
        Assert.Equal((nuint)0, (nuint)aligned % 4096);
        NativeAllocator.Free(aligned);
    }

    [Fact]
    public void AlignedRealloc_keeps_contents_and_brings_the_alignment()
    {
        ulong id = 0;
        nuint[] alignments = [1, 16, 64, 4096, 65_536, 2 * Sizes.MiB, 128 * Sizes.MiB];
        nuint[] sizes = [24, 1000, 40_000, 600_000, 3 * Sizes.MiB, Sizes.LargestPages + 1];
        foreach (nuint alignment in alignments)
        {
            foreach (nuint from in sizes)
            {
                foreach (nuint to in sizes)
                {
                    id++;
                    void* block = NativeAllocator.Alloc(from);
                    nuint filled = Math.Min(from, Sizes.MiB);
                    Pattern.Fill(block, filled, id);
                    block = NativeAllocator.AlignedRealloc(block, to, alignment);
                    Assert.Equal((nuint)0, (nuint)block % alignment);
                    Assert.True(NativeAllocator.UsableSize(block) >= to);
                    Pattern.Check(block, Math.Min(filled, to), id);
                    block = NativeAllocator.AlignedRealloc(block, from, alignment);
                    Assert.Equal((nuint)0, (nuint)block % alignment);
                    Pattern.Check(block, Math.Min(filled, to), id);
                    NativeAllocator.Free(block);
                }
            }
        }
    }

    [Fact]
    public void Where_it_fails_the_old_block_stands_as_it_was()
    {
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            void* block = NativeAllocator.Alloc(bytes);
            Pattern.Fill(block, bytes, 5);
            nuint usable = NativeAllocator.UsableSize(block);
            foreach (nuint impossible in Sizes.Impossible)
            {
                Assert.Throws<OutOfMemoryException>(() => { NativeAllocator.Realloc(block, impossible); });
                Assert.Throws<OutOfMemoryException>(() => { NativeAllocator.AlignedRealloc(block, impossible, 4096); });
            }
            Assert.Equal(usable, NativeAllocator.UsableSize(block));
            Pattern.Check(block, bytes, 5);
            NativeAllocator.Free(block);
        }
    }

    [Fact]
    public void Foreign_and_interior_pointers_are_argument_exceptions()
    {
        long* local = stackalloc long[2];
        Assert.Throws<ArgumentException>(() => { NativeAllocator.Realloc(local, 100); });
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            if (bytes <= 16) continue; // has no multiple of 16 inside
            byte* block = (byte*)NativeAllocator.Alloc(bytes);
            Pattern.Fill(block, bytes, 8);
            ArgumentException error =
                Assert.Throws<ArgumentException>(() => { NativeAllocator.Realloc(block + 16, 100); });
            Assert.Contains($"0x{(nuint)block + 16:x}", error.Message, StringComparison.Ordinal);
            Assert.Contains($"0x{(nuint)block:x}", error.Message, StringComparison.Ordinal);
            Pattern.Check(block, bytes, 8);
            NativeAllocator.Free(block);
        }
    }
}
