using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows that a large block is found by any of its pages, freed once, and resized where it stands or not at all.
/// </summary>
public sealed unsafe class LargeBlocksTests : IDisposable
{
    private const nuint Page = PageGeometry.PageBytes;

    private readonly uint _usedBefore, _besideSlabsBefore;
    private readonly nuint _bytesBefore = LargeBlocks.Bytes;
    private readonly long _countBefore = LargeBlocks.Count;

    public LargeBlocksTests()
    {
        TestZone.Settle();
        _usedBefore = UsedPages();
        _besideSlabsBefore = TestZone.UsedBesideSlabs();
    }

    public void Dispose()
    {
        TestZone.Normal->Verify();
        Assert.Equal(_besideSlabsBefore, TestZone.UsedBesideSlabs());
        Assert.Equal(_bytesBefore, LargeBlocks.Bytes);
        Assert.Equal(_countBefore, LargeBlocks.Count);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 1)]
    [InlineData(65536, 1)]
    [InlineData(65537, 2)]
    [InlineData(600_000, 10)]
    [InlineData((1 << 20) + 1, 17)]
    [InlineData(1 << 26, 1024)]
    public void A_block_has_as_many_pages_as_its_bytes_need(int bytes, int pages)
    {
        uint page = Alloc((nuint)bytes);
        Assert.Equal(_usedBefore + (uint)pages, UsedPages());
        Assert.Equal(_bytesBefore + (nuint)pages * Page, LargeBlocks.Bytes);
        Assert.Equal(_countBefore + 1, LargeBlocks.Count);
        Assert.Equal(0, LinearRegion.ClassOf(page));
        nuint address = LinearRegion.AddressOf(page);
        *(byte*)address = 1;
        *(byte*)(address + (nuint)pages * Page - 1) = 2;
        Assert.True(LargeBlocks.TryFree(page));
    }

    [Fact]
    public void A_second_free_is_refused_and_changes_nothing()
    {
        uint page = Alloc(5 * Page);
        Assert.True(LargeBlocks.TryFree(page));
        uint used = UsedPages();
        Assert.False(LargeBlocks.TryFree(page));
        Assert.Equal(used, UsedPages());
        Assert.Equal(_countBefore, LargeBlocks.Count);
    }

    [Fact]
    public void Only_the_first_page_frees_a_block()
    {
        uint page = Alloc(9 * Page);
        // its own and the free tail
        for (uint inner = 1; inner < 16; inner++) Assert.False(LargeBlocks.TryFree(page + inner));
        Assert.True(LargeBlocks.TryFree(page));
    }

    [Fact]
    public void Of_two_threads_that_free_the_same_block_exactly_one_does()
    {
        const int Rounds = 2000;
        uint[] pages = new uint[Rounds];
        int[] freed = new int[Rounds];
        for (int round = 0; round < Rounds; round++) pages[round] = Alloc(Page);
        using Barrier together = new(2);
        TestThread.RunTogether(2, _ =>
        {
            for (int round = 0; round < Rounds; round++)
            {
                if (round % 16 == 0) together.SignalAndWait();
                if (LargeBlocks.TryFree(pages[round])) Interlocked.Increment(ref freed[round]);
            }
        });
        Assert.All(freed, times => Assert.Equal(1, times));
    }

    [Fact]
    public void A_block_is_found_by_every_page_it_has_and_by_no_other()
    {
        foreach (uint count in (uint[])[1, 2, 3, 8, 9, 31, 64, 100])
        {
            uint page = Alloc(count * Page);
            for (uint inner = 0; inner < count; inner++)
            {
                Assert.True(LargeBlocks.TryFind(page + inner, out uint head, out uint found),
                    $"page {inner} of {count} finds no block");
                Assert.Equal(page, head);
                Assert.Equal(count, found);
            }
            Assert.False(LargeBlocks.TryFind(page + count, out uint none, out _) && none == page);
            Assert.True(LargeBlocks.TryFree(page));
            for (uint inner = 0; inner < count; inner++) Assert.False(LargeBlocks.TryFind(page + inner, out _, out _));
        }
    }

    [Fact]
    public void A_block_grows_and_shrinks_where_it_stands_and_keeps_its_contents()
    {
        uint page = Alloc(9 * Page); // of a block of 16
        Fill(page, 9);
        Assert.True(LargeBlocks.TryResize(page, 16 * Page));
        Assert.Equal(_usedBefore + 16, UsedPages());
        Assert.Equal(_bytesBefore + 16 * Page, LargeBlocks.Bytes);
        AssertFilled(page, 9);
        Fill(page, 16);
        Assert.True(LargeBlocks.TryFind(page + 15, out uint head, out uint count));
        Assert.Equal((page, 16u), (head, count));
        Assert.True(LargeBlocks.TryResize(page, 10 * Page - 5));
        Assert.Equal(_usedBefore + 10, UsedPages());
        AssertFilled(page, 10);
        Assert.False(LargeBlocks.TryFind(page + 10, out _, out _));
        TestZone.Normal->Verify();
        Assert.True(LargeBlocks.TryResize(page, 10 * Page)); // the same pages
        Assert.Equal(_usedBefore + 10, UsedPages());
        Assert.True(LargeBlocks.TryFree(page));
    }

    [Fact]
    public void A_block_that_grew_beyond_the_one_it_was_cut_from_is_still_found_by_every_page()
    {
        const uint Count = 5, Grown = 12;
        List<uint> blocks = [];
        bool found = false;
        // A block of five pages begins at a multiple of eight; wanted is one that begins at no multiple of sixteen and
        // has room behind it.
        while (!found && blocks.Count < 256)
        {
            uint page = Alloc(Count * Page);
            blocks.Add(page);
            if (page % 16 == 0 || !LargeBlocks.TryResize(page, Grown * Page)) continue;
            found = true;
            for (uint inner = 0; inner < Grown; inner++)
            {
                Assert.True(LargeBlocks.TryFind(page + inner, out uint head, out uint count),
                    $"page {inner} of {Grown} finds no block");
                Assert.Equal((page, Grown), (head, count));
            }
            Assert.False(LargeBlocks.TryFind(page + Grown, out _, out _));
        }
        foreach (uint page in blocks) Assert.True(LargeBlocks.TryFree(page));
        Assert.True(found, "no block could grow");
    }

    [Fact]
    public void A_block_has_the_alignment_that_was_asked_for_and_no_more_pages_than_it_needs()
    {
        for (nuint alignment = Page; alignment <= LargeBlocks.LargestBytes; alignment *= 2)
        {
            foreach (uint count in (uint[])[1, 9, 33])
            {
                void* block = LargeBlocks.Alloc(count * Page, alignment, zeroed: false, out _);
                Assert.True(block != null);
                Assert.Equal(0u, (nuint)block % alignment);
                Assert.Equal(_usedBefore + count, UsedPages());
                Assert.True(LargeBlocks.TryFree((uint)LinearRegion.PageIndexOf(block)));
            }
        }
    }

    [Fact]
    public void A_block_with_a_neighbour_does_not_grow_and_stays_as_it_was()
    {
        uint page = Alloc(9 * Page);
        Assert.True(PageLayer.TryExtend(page, 9, 12)); // 9..11 are somebody else's now
        PageLayer.GivePages(page + 9, 2); // 11 alone is
        Assert.False(LargeBlocks.TryResize(page, 12 * Page));
        Assert.Equal(_bytesBefore + 9 * Page, LargeBlocks.Bytes);
        Assert.Equal(_usedBefore + 10, UsedPages());
        Assert.True(LargeBlocks.TryResize(page, 11 * Page));
        Assert.Equal(_usedBefore + 12, UsedPages());
        Assert.True(LargeBlocks.TryFree(page));
        PageLayer.GivePages(page + 11, 1);
    }

    [Fact]
    public void A_block_that_is_to_be_zero_is_zero_and_any_other_keeps_what_was_there()
    {
        PageLayer.Purge();
        uint page = (uint)LinearRegion.PageIndexOf(LargeBlocks.Alloc(20 * Page, 16, zeroed: true, out _));
        Assert.False(Bytes(page, 20).ContainsAnyExcept((byte)0));
        Fill(page, 20);
        Assert.True(LargeBlocks.TryFree(page));
        uint again = (uint)LinearRegion.PageIndexOf(LargeBlocks.Alloc(20 * Page, 16, zeroed: false, out _));
        Assert.Equal(page, again); // what was in use is used again
        AssertFilled(again, 20); // and not cleared for nobody
        Assert.True(LargeBlocks.TryFree(again));
        again = (uint)LinearRegion.PageIndexOf(LargeBlocks.Alloc(20 * Page, 16, zeroed: true, out _));
        Assert.Equal(page, again);
        Assert.False(Bytes(again, 20).ContainsAnyExcept((byte)0), "a block that is to be zero is not");
        Assert.True(LargeBlocks.TryFree(again));
    }

    [Fact]
    public void Without_memory_there_is_no_block_and_nothing_changes()
    {
        List<uint> taken = [];
        using (new InjectedFaults(OsCall.Commit))
        {
            while (LargeBlocks.Alloc(LargeBlocks.LargestBytes, 16, zeroed: false, out _) is var block && block != null)
                taken.Add((uint)LinearRegion.PageIndexOf(block));
            Assert.Equal(_bytesBefore + (nuint)taken.Count * LargeBlocks.LargestBytes, LargeBlocks.Bytes);
            Assert.Equal(_countBefore + taken.Count, LargeBlocks.Count);
            Assert.Equal(_usedBefore + (uint)taken.Count * PageGeometry.SectionPages, UsedPages());
            TestZone.Normal->Verify();
        }
        foreach (uint page in taken) Assert.True(LargeBlocks.TryFree(page));
    }

    [Fact]
    public void Random_steps_never_make_two_blocks_overlap() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("alloc", "alloc", "free", "resize"), Values.Between(1, 60)),
        100,
        operations =>
        {
            Dictionary<uint, uint> live = []; // page to count
            foreach ((string kind, int number) in operations)
            {
                uint count = (uint)number;
                if (kind == "alloc")
                {
                    uint page = Alloc(count * Page);
                    live.Add(page, count);
                    Stamp(page, count);
                }
                else if (live.Count != 0)
                {
                    uint page = live.Keys.Order().ElementAt(number % live.Count);
                    AssertStamped(page, live[page]);
                    if (kind == "free")
                    {
                        live.Remove(page);
                        Assert.True(LargeBlocks.TryFree(page));
                    }
                    else if (LargeBlocks.TryResize(page, count * Page))
                    {
                        AssertStamped(page, Math.Min(count, live[page]));
                        live[page] = count;
                        Stamp(page, count);
                    }
                    else
                    {
                        Assert.True(count > live[page], "shrinking cannot fail");
                    }
                }
                TestZone.Normal->Verify();
                Assert.Equal(_bytesBefore + (nuint)live.Values.Sum(pages => pages) * Page, LargeBlocks.Bytes);
                Assert.Equal(_usedBefore + (uint)live.Values.Sum(pages => pages), UsedPages());
            }
            foreach ((uint page, uint count) in live)
            {
                AssertStamped(page, count);
                Assert.True(LargeBlocks.TryFree(page));
            }
        });

    // A word in every page that says whose it is.
    private static void Stamp(uint page, uint count)
    {
        for (uint inner = 0; inner < count; inner++) *(uint*)LinearRegion.AddressOf(page + inner) = page;
    }

    private static void AssertStamped(uint page, uint count)
    {
        for (uint inner = 0; inner < count; inner++)
            if (*(uint*)LinearRegion.AddressOf(page + inner) != page)
                Assert.Fail($"page {inner} of the block at {page} is somebody else's");
    }

    private static uint Alloc(nuint bytes)
    {
        void* block = LargeBlocks.Alloc(bytes, 16, zeroed: false, out _);
        Assert.True(block != null);
        Assert.Equal(0u, (nuint)block % Page);
        return (uint)LinearRegion.PageIndexOf(block);
    }

    private static void Fill(uint page, uint count) => Bytes(page, count).Fill(0x5C);

    private static void AssertFilled(uint page, uint count) =>
        Assert.False(Bytes(page, count).ContainsAnyExcept((byte)0x5C), "contents were lost");

    private static Span<byte> Bytes(uint page, uint count) =>
        new((void*)LinearRegion.AddressOf(page), (int)(count * (uint)Page));

    private static uint UsedPages() => TestZone.Normal->OnlinePages - TestZone.Normal->FreePages;
}
