using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using NativeAlloc.Tests.Threads;
using Xunit;

namespace NativeAlloc.Tests.Mapping;

/// <summary>Shows that the table of mappings knows every block by any of its addresses, frees each once, and keeps a block when the system refuses to move it.</summary>
public sealed unsafe class HugeBlocksTests : IDisposable
{
    private readonly nuint _bytesBefore = HugeBlocks.Bytes;
    private readonly int _countBefore = HugeBlocks.Count;

    private static nuint Page => VirtualMemory.PageBytes;

    public void Dispose()
    {
        Assert.Equal(_bytesBefore, HugeBlocks.Bytes);
        Assert.Equal(_countBefore, HugeBlocks.Count);
    }

    [Theory]
    [InlineData(1, 16)]
    [InlineData(4097, 16)]
    [InlineData((1 << 26) + 1, 16)]
    [InlineData(5000, 1 << 16)]
    [InlineData(5000, 1 << 27)]
    public void A_block_is_whole_zero_pages_at_its_alignment(int bytes, int alignment)
    {
        void* block = Alloc((nuint)bytes, (nuint)alignment);
        nuint rounded = ((nuint)bytes + Page - 1) / Page * Page;
        Assert.Equal(0u, (nuint)block % (nuint)alignment);
        Assert.Equal(_bytesBefore + rounded, HugeBlocks.Bytes);
        Assert.Equal(_countBefore + 1, HugeBlocks.Count);
        Assert.Equal(0, *(byte*)block);
        Assert.Equal(0, ((byte*)block)[rounded - 1]);
        ((byte*)block)[rounded - 1] = 1;
        Assert.True(HugeBlocks.TryFree(block));
    }

    [Fact]
    public void A_freed_block_is_unmapped()
    {
        const nuint GiB = 1 << 30;
        nuint before = AddressSpace.MappedBytes();
        void* block = Alloc(GiB, 16);
        Assert.True(AddressSpace.ChangedBy((nint)GiB, before));
        Assert.True(HugeBlocks.TryFree(block));
        Assert.True(AddressSpace.ChangedBy(0, before));
    }

    [Fact]
    public void A_size_beyond_any_address_space_gives_no_block()
    {
        Assert.True(HugeBlocks.Alloc(nuint.MaxValue, 16) == null);
        Assert.True(HugeBlocks.Alloc((nuint)nint.MaxValue, 16) == null);
        Assert.True(HugeBlocks.Alloc((nuint)1 << 60, 1 << 30) == null);
    }

    [Fact]
    public void A_second_free_and_an_inner_address_are_refused()
    {
        byte* block = (byte*)Alloc(3 * Page, 16);
        Assert.False(HugeBlocks.TryFree(block + 1));
        Assert.False(HugeBlocks.TryFree(block + Page));
        Assert.True(HugeBlocks.TryFree(block));
        Assert.False(HugeBlocks.TryFree(block));
        Assert.False(HugeBlocks.TryFree(null));
    }

    [Fact]
    public void A_block_is_found_by_any_address_in_it_and_by_none_beside_it()
    {
        byte* block = (byte*)Alloc(3 * Page, 16);
        foreach (nuint offset in (nuint[])[0, 1, Page, 3 * Page - 1])
        {
            Assert.True(HugeBlocks.TryFind(block + offset, out void* found, out nuint bytes));
            Assert.True(found == block);
            Assert.Equal(3 * Page, bytes);
        }
        foreach (nint offset in (nint[])[-1, 3 * (nint)Page])
            Assert.False(HugeBlocks.TryFind(unchecked(block + offset), out void* other, out _) && other == block);
        Assert.True(HugeBlocks.TryFree(block));
        Assert.False(HugeBlocks.TryFind(block, out void* none, out nuint noBytes));
        Assert.True(none == null);
        Assert.Equal(0u, noBytes);
    }

    [Fact]
    public void A_block_that_grows_keeps_its_contents_and_its_new_part_is_zero()
    {
        byte* block = (byte*)Alloc(4 * Page, 16);
        byte* behind = (byte*)Alloc(Page, 16); // may stand in the way
        new Span<byte>(block, 4 * (int)Page).Fill(0xD1);
        byte* grown = (byte*)HugeBlocks.Realloc(block, 100 * Page - 7);
        Assert.True(grown != null);
        Assert.False(new Span<byte>(grown, 4 * (int)Page).ContainsAnyExcept((byte)0xD1), "contents were lost");
        Assert.False(new Span<byte>(grown + 4 * Page, 96 * (int)Page).ContainsAnyExcept((byte)0), "the new part is not zero");
        Assert.True(HugeBlocks.TryFind(grown + 99 * Page, out void* found, out nuint bytes));
        Assert.True(found == grown);
        Assert.Equal(100 * Page, bytes);
        if (grown != block) Assert.False(HugeBlocks.TryFree(block));
        byte* shrunk = (byte*)HugeBlocks.Realloc(grown, Page);
        Assert.Equal(0xD1, shrunk[Page - 1]);
        Assert.Equal(_bytesBefore + 2 * Page, HugeBlocks.Bytes);
        Assert.True(HugeBlocks.TryFree(shrunk));
        Assert.True(HugeBlocks.TryFree(behind));
    }

    [Fact]
    public void A_block_that_cannot_be_moved_stands_as_it_was()
    {
        byte* block = (byte*)Alloc(2 * Page, 16);
        *block = 0x33;
        using (new InjectedFaults(OsCall.Remap)) Assert.True(HugeBlocks.Realloc(block, 50 * Page) == null);
        Assert.True(HugeBlocks.Realloc(block, nuint.MaxValue) == null);
        Assert.True(HugeBlocks.Realloc(block + Page, 50 * Page) == null);
        Assert.True(HugeBlocks.TryFind(block, out _, out nuint bytes));
        Assert.Equal(2 * Page, bytes);
        Assert.Equal(0x33, *block);
        Assert.True(HugeBlocks.Realloc(block, 2 * Page - 1) == block); // the same pages
        Assert.True(HugeBlocks.TryFree(block));
    }

    [Fact]
    public void A_refused_mapping_gives_no_block_and_costs_no_room_in_the_table()
    {
        using (new InjectedFaults(OsCall.Map))
            for (int i = 0; i < 100; i++) Assert.True(HugeBlocks.Alloc(Page, 16) == null);
        Assert.Equal(_countBefore, HugeBlocks.Count);
        void* block = Alloc(Page, 16);
        Assert.True(HugeBlocks.TryFree(block));
    }

    [Fact]
    public void Random_steps_leave_the_table_as_a_dictionary_would_be() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("alloc", "alloc", "free", "realloc", "find"), Values.Between(1, 64)),
        120,
        operations =>
        {
            Dictionary<nint, nuint> live = [];
            foreach ((string kind, int pages) in operations)
            {
                nuint bytes = (nuint)pages * Page;
                nint at = live.Count == 0 ? 0 : live.Keys.Order().ElementAt(pages % live.Count);
                if (kind == "alloc")
                {
                    live.Add((nint)Alloc(bytes, 16), bytes);
                }
                else if (at == 0)
                {
                    continue;
                }
                else if (kind == "free")
                {
                    Assert.True(live.Remove(at));
                    Assert.True(HugeBlocks.TryFree((void*)at));
                }
                else if (kind == "realloc")
                {
                    nint moved = (nint)HugeBlocks.Realloc((void*)at, bytes);
                    Assert.NotEqual(0, moved);
                    live.Remove(at);
                    live.Add(moved, bytes);
                }
                foreach ((nint block, nuint length) in live)
                {
                    Assert.True(HugeBlocks.TryFind((byte*)block + length - 1, out void* found, out nuint foundBytes));
                    Assert.Equal((block, length), ((nint)found, foundBytes));
                }
                Assert.Equal(_countBefore + live.Count, HugeBlocks.Count);
                Assert.Equal(_bytesBefore + live.Values.Aggregate((nuint)0, (sum, length) => sum + length), HugeBlocks.Bytes);
            }
            foreach (nint block in live.Keys) Assert.True(HugeBlocks.TryFree((void*)block));
        },
        runs: 15);

    [Fact]
    public void Of_several_threads_that_free_the_same_block_exactly_one_does()
    {
        const int Rounds = 200, Threads = 3;
        nint[] blocks = new nint[Rounds];
        int[] freed = new int[Rounds];
        for (int i = 0; i < Rounds; i++) blocks[i] = (nint)Alloc(Page, 16);
        TestThreads.RunTogether(Threads, _ =>
        {
            for (int i = 0; i < Rounds; i++)
                if (HugeBlocks.TryFree((void*)blocks[i])) Interlocked.Increment(ref freed[i]);
        });
        Assert.All(freed, times => Assert.Equal(1, times));
    }

    [Fact]
    public void Threads_that_map_and_unmap_at_once_keep_the_table_right()
    {
        TestThreads.RunTogether(4, number =>
        {
            Random random = new(number);
            List<nint> live = [];
            for (int i = 0; i < 300; i++)
            {
                if (live.Count < 8 && random.Next(3) != 0)
                {
                    nint block = (nint)HugeBlocks.Alloc((nuint)random.Next(1, 20_000), 16);
                    *(int*)block = number;
                    live.Add(block);
                }
                else if (live.Count != 0)
                {
                    nint block = live[^1];
                    live.RemoveAt(live.Count - 1);
                    if (*(int*)block != number || !HugeBlocks.TryFind((byte*)block + 5, out void* found, out _) || (nint)found != block || !HugeBlocks.TryFree((void*)block))
                        throw new InvalidOperationException("the block is not what it was");
                }
            }
            foreach (nint block in live)
                if (!HugeBlocks.TryFree((void*)block)) throw new InvalidOperationException("the block is gone");
        });
    }

    private static void* Alloc(nuint bytes, nuint alignment)
    {
        void* block = HugeBlocks.Alloc(bytes, alignment);
        Assert.True(block != null, "the system gives no memory");
        return block;
    }
}
