using NativeAlloc.Slabs;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>Shows that a depot is two stacks, counts both, and leaves nothing of its own behind in a magazine.</summary>
public sealed unsafe class DepotTests : IDisposable
{
    private const int Blocks = 8;

    private readonly MagazineBlocks _blocks = new(Blocks);

    public void Dispose() => _blocks.Dispose();

    [Fact]
    public void An_empty_depot_gives_nothing()
    {
        Depot depot = default;
        Assert.Equal(0, depot.PopFull());
        Assert.Equal(0, depot.PopEmpty());
        Assert.Equal((0, 0), (depot.FullCount, depot.EmptyCount));
    }

    [Fact]
    public void Magazines_come_out_last_in_first_out() => Properties.ForAllSequences(
        Values.OneOf("push full", "push empty", "pop full", "pop empty"),
        100,
        operations =>
        {
            Depot depot = default;
            Stack<nint> full = [], empty = [], outside = new(_blocks.All);
            foreach (string operation in operations)
            {
                Stack<nint> mine = operation.EndsWith("full", StringComparison.Ordinal) ? full : empty;
                if (operation.StartsWith("push", StringComparison.Ordinal))
                {
                    if (!outside.TryPop(out nint block)) continue;
                    mine.Push(block);
                    if (mine == full) depot.PushFull(block);
                    else depot.PushEmpty(block);
                }
                else
                {
                    nint block = mine == full ? depot.PopFull() : depot.PopEmpty();
                    Assert.Equal(mine.Count == 0 ? 0 : mine.Peek(), block);
                    if (block != 0) outside.Push(mine.Pop());
                }
                Assert.Equal((full.Count, empty.Count), (depot.FullCount, depot.EmptyCount));
            }
        });

    [Theory]
    [InlineData(255)]
    [InlineData(254)]
    [InlineData(127)]
    [InlineData(63)]
    [InlineData(8)]
    public void A_full_magazine_comes_out_with_its_objects_and_its_floor(int capacity)
    {
        Magazine magazine = Magazine.Of(capacity);
        nint top = magazine.MakeEmpty(_blocks[0]);
        for (int i = 0; i < capacity; i++) ((nint*)top)[i] = i + 1;
        Depot depot = default;
        nint below = _blocks[1];
        magazine.MakeEmpty(below);
        depot.PushFull(below);
        depot.PushFull(_blocks[0]);
        Assert.Equal(_blocks[0], depot.PopFull());
        top = magazine.FullTop(_blocks[0]);
        for (int i = capacity; i > 0; i--)
        {
            top -= sizeof(nint);
            Assert.Equal(i, *(nint*)top);
        }
        Assert.True(Magazine.IsEmpty(top));
        Assert.Equal(0, magazine.CountOf(top));
    }
}
