using System.Runtime.InteropServices;
using NativeAlloc.Slabs;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows that a magazine of any capacity tells from its top alone when it is empty and when it is full, and how much it
/// holds.
/// </summary>
public sealed unsafe class MagazineTests : IDisposable
{
    // The block in play, with one before and one behind that no magazine may touch.
    private readonly nint _memory =
        (nint)NativeMemory.AlignedAlloc(3 * Magazine.LargestBlockBytes, Magazine.LargestBlockBytes);

    public void Dispose() => NativeMemory.AlignedFree((void*)_memory);

    public static TheoryData<int> Capacities => [.. Enumerable.Range(1, Magazine.MostObjects)];

    [Theory]
    [MemberData(nameof(Capacities))]
    public void A_magazine_is_empty_then_neither_then_full(int capacity)
    {
        Magazine magazine = Magazine.Of(capacity);
        // At every place that a block of its size has beside larger ones.
        for (nint block = _memory + Magazine.LargestBlockBytes; block < _memory + 2 * Magazine.LargestBlockBytes;
            block += magazine.BlockBytes)
        {
            Span<byte> all = new((void*)_memory, 3 * Magazine.LargestBlockBytes);
            all.Fill(0xCC); // as unused memory is
            nint top = magazine.MakeEmpty(block);
            Assert.Equal(magazine.EmptyTop(block), top);
            for (int held = 0; ; held++)
            {
                Assert.Equal(held == 0, Magazine.IsEmpty(top));
                Assert.Equal(held == capacity, magazine.IsFull(top));
                Assert.Equal(top % 512 == 0, Magazine.MayBeFull(top));
                Assert.Equal(held, magazine.CountOf(top));
                Assert.Equal(block, magazine.BlockOf(top));
                if (held == capacity) break;
                *(nint*)top = 0x1000 + held;
                top += sizeof(nint);
            }
            Assert.True(Magazine.MayBeFull(top)); // one that is full is never missed
            Assert.Equal(magazine.FullTop(block), top);
            for (int held = capacity; held-- > 0;)
            {
                top -= sizeof(nint);
                Assert.Equal(0x1000 + held, *(nint*)top);
            }
            Assert.True(Magazine.IsEmpty(top));
            Assert.Equal(magazine.EmptyTop(block), top);
            int begin = (int)(block - _memory);
            Assert.False(all[..begin].ContainsAnyExcept((byte)0xCC), "something before the block was written to");
            Assert.False(all[(begin + magazine.BlockBytes)..].ContainsAnyExcept((byte)0xCC),
                "something behind the block was written to");
        }
    }

    [Theory]
    [MemberData(nameof(Capacities))]
    public void A_block_is_the_smallest_that_holds_the_capacity_and_a_floor(int capacity)
    {
        Magazine magazine = Magazine.Of(capacity);
        Assert.Equal(capacity, magazine.Capacity);
        Assert.Equal(capacity < 64 ? 512 : capacity < 128 ? 1024 : 2048, magazine.BlockBytes);
        nint block = _memory + Magazine.LargestBlockBytes;
        // the floor
        Assert.InRange(magazine.EmptyTop(block) - sizeof(nint), block, block + magazine.BlockBytes - sizeof(nint));
        Assert.Equal(block + magazine.BlockBytes, magazine.FullTop(block));
        Assert.Equal(capacity * sizeof(nint), magazine.FullTop(block) - magazine.EmptyTop(block));
    }

    [Fact]
    public void One_in_64_tops_of_a_magazine_may_be_full()
    {
        Magazine magazine = Magazine.Of(Magazine.MostObjects);
        nint empty = magazine.EmptyTop(_memory);
        int[] doubtful = [.. Enumerable.Range(0, magazine.Capacity + 1)
            .Where(held => Magazine.MayBeFull(empty + held * sizeof(nint)))];
        Assert.Equal([63, 127, 191, 255], doubtful);
        foreach (int capacity in (int[])[1, 62, 63])
        {
            Magazine small = Magazine.Of(capacity);
            for (int held = 0; held <= capacity; held++)
                Assert.Equal(held == capacity, Magazine.MayBeFull(small.EmptyTop(_memory) + held * sizeof(nint)));
        }
    }

    [Fact]
    public void No_magazine_is_full_and_empty_whatever_the_capacity()
    {
        Assert.True(Magazine.MayBeFull(CacheTable.NoMagazine));
        Assert.True(Magazine.IsEmpty(CacheTable.NoMagazine));
        for (int capacity = 1; capacity <= Magazine.MostObjects; capacity++)
            Assert.True(Magazine.Of(capacity).IsFull(CacheTable.NoMagazine));
    }

    [Theory]
    [InlineData(16, 63)]
    [InlineData(2, 8)]
    [InlineData(28, 63)]
    public void Magazines_of_one_cache_may_hold_different_numbers_and_each_tells_its_own(int capacity, int largest)
    {
        Magazine magazine = Magazine.Of(capacity, largest);
        Assert.Equal((capacity, largest), (magazine.Capacity, magazine.LargestCapacity));
        Assert.False(magazine.IsFixed);
        void* memory = NativeMemory.AlignedAlloc((nuint)magazine.BlockBytes, (nuint)magazine.BlockBytes);
        new Span<byte>(memory, magazine.BlockBytes).Fill(0xff); // what is below a floor may be anything
        for (int each = capacity; each <= largest; each++)
        {
            nint bottom = magazine.MakeEmpty((nint)memory, each), top = bottom;
            Assert.True(Magazine.IsEmpty(top));
            for (int objects = 0; objects < each; objects++)
            {
                Assert.Equal((objects, each - objects, bottom),
                    (magazine.CountOf(top), magazine.RoomOf(top), magazine.BottomOf(top)));
                Assert.False(magazine.IsFull(top));
                *(nint*)top = 16 * (objects + 1);
                top += sizeof(nint);
            }
            Assert.True(magazine.IsFull(top));
            Assert.Equal((each, bottom, magazine.FullTop((nint)memory)),
                (magazine.CountOf(top), magazine.BottomOf(top), top));
        }
        NativeMemory.AlignedFree(memory);
    }
}
