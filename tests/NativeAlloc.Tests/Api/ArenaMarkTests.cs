using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that a rewound arena has what came before the mark, and nothing else; and that threads which share an arena
/// get blocks of their own.
/// </summary>
public sealed unsafe class ArenaMarkTests : LeakCheckedTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Any_steps_keep_the_blocks_before_the_mark(bool shared) =>
        Properties.ForAllSequences(
            Values.Pairs(Values.Between(0, 9), Values.Between(0, 60_000)), 200, steps =>
        {
            using NativeArena arena = new(0, shared);
            List<(nint Block, nuint Bytes)> blocks = [];
            Stack<(Mark Mark, int Blocks)> marks = new();
            foreach ((int step, int random) in steps)
            {
                switch (step)
                {
                    case 0:
                        marks.Push((arena.Mark(), blocks.Count));
                        break;
                    case 1 when marks.Count != 0:
                        (Mark mark, int count) = marks.Pop();
                        arena.Rewind(mark);
                        blocks.RemoveRange(count, blocks.Count - count);
                        break;
                    case 2 when random < 3000:
                        arena.Reset();
                        blocks.Clear();
                        foreach ((Mark old, _) in marks) Assert.Throws<ArgumentException>(() => arena.Rewind(old));
                        marks.Clear();
                        break;
                    default:
                        nuint bytes = (nuint)(step < 8 ? random % 500 : random), alignment = (nuint)1 << (random % 14);
                        void* block = arena.Alloc(bytes, alignment);
                        Assert.Equal((nuint)0, (nuint)block % alignment);
                        Pattern.Fill(block, bytes, (ulong)blocks.Count);
                        blocks.Add(((nint)block, bytes));
                        break;
                }
            }
            for (int i = 0; i < blocks.Count; i++) Pattern.Check((void*)blocks[i].Block, blocks[i].Bytes, (ulong)i);
        }, runs: 40);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_rewound_arena_gives_the_same_memory_again(bool shared)
    {
        using NativeArena arena = new(0, shared), other = new(0, shared);
        Mark start = arena.Mark();
        void* first = arena.Alloc(100);
        Mark mark = arena.Mark();
        void* second = arena.Alloc(200_000);
        Mark late = arena.Mark();
        Assert.Equal(late, arena.Mark());
        Assert.NotEqual(late, mark);
        arena.Rewind(mark);
        arena.Rewind(mark); // as often as wanted
        Assert.Throws<ArgumentException>(() => arena.Rewind(late));
        Assert.True(arena.Alloc(200_000) == second);
        arena.Rewind(start);
        Assert.True(arena.Alloc(100) == first);
        Assert.Throws<ArgumentException>(() => other.Rewind(start));
        Assert.Throws<ArgumentException>(() => arena.Rewind(default));
        arena.Dispose();
        Assert.Throws<ObjectDisposedException>(() => arena.Mark());
        Assert.Throws<ObjectDisposedException>(() => arena.Rewind(start));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_mark_is_void_after_a_rewind_to_one_before_it_also_where_the_arena_is_longer_again(bool shared)
    {
        using NativeArena arena = new(0, shared);
        Mark first = arena.Mark();
        arena.Alloc(64);
        Mark second = arena.Mark();
        arena.Rewind(first);
        void* block = arena.Alloc(128);
        Assert.Throws<ArgumentException>(() => arena.Rewind(second));
        Mark third = arena.Mark();
        Assert.Throws<ArgumentException>(() => arena.Rewind(second)); // it has the third's place in the list
        Assert.NotEqual(second, third);
        Pattern.Fill(block, 128, 1);
        Pattern.Fill(arena.Alloc(64), 64, 2);
        Pattern.Check(block, 128, 1);
        arena.Rewind(first);
        Assert.Equal(first, arena.Mark());
        arena.Reset();
        Assert.Throws<ArgumentException>(() => arena.Rewind(first));
    }

    [Fact]
    public void A_mark_that_is_made_while_another_thread_moves_on_to_the_next_chunk_is_of_one_of_the_two()
    {
        using NativeArena arena = new(0, shared: true);
        void* before = arena.Alloc(60_000);
        Pattern.Fill(before, 60_000, 1);
        Thread? other = null;
        Mark mark;
        using (new WhileReached(_ =>
        {
            if (other != null) return;
            other = new Thread(() => arena.Alloc(60_000)); // does not fit into the chunk
            other.Start();
            other.Join(200); // it waits where the mark keeps it out
        }))
        {
            mark = arena.Mark();
        }
        other!.Join();
        arena.Rewind(mark);
        Pattern.Fill(arena.Alloc(60_000), 60_000, 2);
        Pattern.Check(before, 60_000, 1);
    }

    [Fact]
    public void Threads_that_share_an_arena_get_blocks_of_their_own()
    {
        using NativeArena arena = new(0, shared: true);
        for (int round = 0; round < 3; round++)
        {
            const int Threads = 4, Blocks = 3000;
            List<(nint Block, nuint Bytes)>[] blocks = new List<(nint, nuint)>[Threads];
            Thread[] threads = [.. Enumerable.Range(0, Threads).Select(number => new Thread(() =>
            {
                List<(nint, nuint)> own = [];
                Random random = new(number);
                for (int i = 0; i < Blocks; i++)
                {
                    nuint bytes = (nuint)random.Next(i % 500 == 0 ? 300_000 : 400);
                    void* block = arena.Alloc(bytes, (nuint)1 << random.Next(8));
                    Pattern.Fill(block, bytes, (ulong)(number * Blocks + i));
                    own.Add(((nint)block, bytes));
                }
                blocks[number] = own;
            }))];
            foreach (Thread thread in threads) thread.Start();
            foreach (Thread thread in threads) thread.Join();
            for (int number = 0; number < Threads; number++)
                for (int i = 0; i < Blocks; i++)
                {
                    (nint block, nuint bytes) = blocks[number][i];
                    Pattern.Check((void*)block, bytes, (ulong)(number * Blocks + i));
                }
            arena.Reset();
        }
    }

    [Fact]
    public void What_no_system_has_is_out_of_memory_and_a_shared_arena_goes_on()
    {
        using NativeArena arena = new(100, shared: true);
        foreach (nuint bytes in Sizes.Impossible)
            Assert.Throws<OutOfMemoryException>(() => { arena.Alloc(bytes); });
        Assert.True(arena.Alloc(100) != null);
    }
}
