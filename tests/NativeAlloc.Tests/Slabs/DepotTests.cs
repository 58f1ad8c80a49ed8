using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows that a depot is two stacks, counts both, and leaves nothing of its own behind in a magazine.
/// </summary>
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

    [Fact]
    public void What_was_not_needed_since_the_last_time_is_the_fewest_there_were() => Properties.ForAllSequences(
        Values.OneOf("push full", "push empty", "pop full", "pop empty", "ask"),
        60,
        operations =>
        {
            Depot depot = default;
            Stack<nint> outside = new(_blocks.All);
            (int Full, int Empty) least = default;
            foreach (string operation in operations)
            {
                switch (operation)
                {
                    case "push full" when outside.TryPop(out nint block):
                        depot.PushFull(block);
                        break;
                    case "push empty" when outside.TryPop(out nint block):
                        depot.PushEmpty(block);
                        break;
                    case "pop full" when depot.PopFull() is var block and not 0:
                        outside.Push(block);
                        break;
                    case "pop empty" when depot.PopEmpty() is var block and not 0:
                        outside.Push(block);
                        break;
                    case "ask":
                        Assert.Equal(least, depot.ReadAndResetUnneeded());
                        least = (depot.FullCount, depot.EmptyCount);
                        break;
                }
                least = (Math.Min(least.Full, depot.FullCount), Math.Min(least.Empty, depot.EmptyCount));
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

    [Fact]
    public void Threads_that_ask_for_full_magazines_are_counted_by_whether_they_got_one()
    {
        Depot depot = default;
        depot.PopFull();
        depot.PushFull(_blocks[0]);
        depot.PushFull(_blocks[1]);
        depot.PopEmpty(); // not asked for
        depot.PushFull(depot.PopSurplus());
        depot.PopFull();
        depot.PopFull();
        depot.PopFull();
        Assert.Equal((2L, 2L), (depot.Hits, depot.Misses));
    }

    [Fact]
    public void Four_threads_that_exchange_magazines_lose_none_and_share_none()
    {
        const int Threads = 4, Exchanges = 100_000;
        Depot depot = default;
        foreach (nint block in _blocks.All)
        {
            Magazine.Link(block) = 0;
            if (block < _blocks[Blocks / 2]) depot.PushFull(block);
            else depot.PushEmpty(block);
        }
        Depot* shared = &depot;
        int exchanged = 0;
        TestThread.RunTogether(Threads, number =>
        {
            for (int i = 0; i < Exchanges; i++)
            {
                bool full = (i + number) % 3 != 0;
                nint block = full ? shared->PopFull() : shared->PopEmpty();
                if (block == 0) continue;
                if (Magazine.Link(block) != 0)
                    throw new InvalidOperationException("a magazine came out with a link in it");
                // Marked while it is out, in the slot that the stack uses and in another.
                Volatile.Write(ref Magazine.Link(block), number + 1);
                Volatile.Write(ref ((nint*)block)[1], number + 1);
                if (i % 16 == 0) Thread.Yield();
                if (Volatile.Read(ref Magazine.Link(block)) != number + 1
                    || Volatile.Read(ref ((nint*)block)[1]) != number + 1)
                    throw new InvalidOperationException("two threads hold the same magazine");
                Magazine.Link(block) = 0;
                if (i % 2 == 0) shared->PushFull(block);
                else shared->PushEmpty(block);
                Interlocked.Increment(ref exchanged);
            }
        });
        Assert.InRange(exchanged, Threads * Exchanges / 4, Threads * Exchanges);
        Assert.Equal(Blocks, depot.FullCount + depot.EmptyCount);
        HashSet<nint> found = [];
        while (depot.PopFull() is var block && block != 0) Assert.True(found.Add(block));
        while (depot.PopEmpty() is var block && block != 0) Assert.True(found.Add(block));
        Assert.Equal(_blocks.All.ToHashSet(), found);
        Assert.Equal((0, 0), (depot.FullCount, depot.EmptyCount));
    }
}
