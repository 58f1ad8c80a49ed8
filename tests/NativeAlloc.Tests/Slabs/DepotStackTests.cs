using System.Globalization;
using NativeAlloc.Slabs;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows, for every order of the atomic steps of two threads, that what they push onto and pop from a depot's stacks
/// comes out as if each had done it in one piece: each magazine is on one stack or with one thread, the counts are
/// right, and a magazine that is out holds nothing of the stack's.
/// </summary>
public sealed unsafe class DepotStackTests : IDisposable
{
    private const int Blocks = 8, LargestDepth = 3;

    /// <summary>
    /// Names of operations: pop from a stack, push what was popped last, push what has been held longest. Stack 0 or 1.
    /// </summary>
    private const string Pop0 = "pop 0", Push0 = "push 0", PushOldest0 = "oldest 0", Pop1 = "pop 1", Push1 = "push 1";

    private readonly MagazineBlocks _blocks = new(Blocks, Magazine.SmallestBlockBytes);
    private readonly Interleaving _interleaving = new();

    // Reached by the two threads and by the test after they have ended.
    private readonly DepotStack[] _stacks = new DepotStack[2];

    public void Dispose()
    {
        _interleaving.Dispose();
        _blocks.Dispose();
    }

    /// <summary>What the first thread does, what the second does.</summary>
    public static TheoryData<string, string> Pairs => new()
    {
        { Pop0, Pop0 },
        { Pop0, Push0 },
        { Push0, Push0 },
        { Of(Pop0, Push0), Pop0 },
        { Of(Pop0, Push0), Push0 },
        { Of(Pop0, Push0), Of(Pop0, Push0) },
        { Of(Pop0, Pop0), Of(Pop0, Pop0) },
        { Of(Push0, Pop0), Of(Pop0, Push0) },
        { Of(Push0, Push0), Of(Pop0, Pop0) },
        { Pop0, Of(Pop0, Pop0, PushOldest0) },
        { Push0, Of(Pop0, Pop0, PushOldest0) },
        // An exchange: a full magazine for an empty one, and the other way round.
        { Of(Pop0, Push1), Of(Pop1, Push0) },
        { Of(Pop0, Push1), Of(Pop0, Push1) },
    };

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Every_order_of_the_steps_of_two_threads_ends_as_some_order_of_whole_operations(string first,
        string second)
    {
        for (int depth = 0; depth <= LargestDepth; depth++)
        {
            World world = new(first, second, depth);
            HashSet<string> allowed = world.Outcomes();
            HashSet<string> seen = [];
            int orders = _interleaving.RunAll(() => SetUp(world), () =>
            {
                string outcome = CheckAndDescribe();
                Assert.Contains(outcome, allowed);
                seen.Add(outcome);
            });
            // Each thread's steps uninterrupted are among the orders, the first thread first and last.
            Assert.True(orders >= 2 && seen.Count >= 1, $"only {orders} orders were tried");
            Assert.Subset(allowed, seen);
            Assert.Equal(allowed, seen); // and none of them was left out, so the orders are all there
        }
    }

    [Fact]
    public void A_pop_that_is_held_up_while_another_thread_pops_two_and_puts_the_first_back_starts_over()
    {
        World world = new(Pop0, Of(Pop0, Pop0, PushOldest0), 3);
        // The first thread has read the head and what is below it, the second does all it does, then the first tries to
        // exchange the head.
        int[] steps = [0, 0, .. Enumerable.Repeat(1, 3 + 3 + 2), 0];
        _interleaving.RunOnce(steps, () => SetUp(world), () =>
        {
            // With the block below that it read, which the second thread holds, the first would have put a block on the
            // stack that is not free.
            Assert.Equal("A 2 | B 1 | 0 | ", CheckAndDescribe());
        });
        Assert.Equal(steps.Length + 3, _interleaving.Steps.Count); // it failed, and did all of it again
    }

    [Fact]
    public void A_stack_whose_head_has_no_tag_is_found_to_be_wrong()
    {
        long head = 0;
        long[] below = new long[4]; // by block, from 1 on; 0 is none
        List<long>[] held = [[], []];
        InvalidOperationException error = Assert.Throws<InvalidOperationException>(() => _interleaving.RunAll(
            () =>
            {
                head = 3;
                below = [0, 0, 1, 2];
                held = [[], []];
                return (() => Pop(0), () =>
                {
                    Pop(1);
                    Pop(1);
                    Push(1);
                }
                );
            },
            () =>
            {
                List<long> all = [.. held[0], .. held[1]];
                for (long block = head; block != 0 && all.Count <= 4; block = below[block]) all.Add(block);
                Assert.Equal([1, 2, 3], all.Order());
            }));
        Assert.StartsWith("The order of steps AABBBBBBBBA", error.Message, StringComparison.Ordinal);

        void Pop(int thread)
        {
            while (true)
            {
                Interleaving.BeforeStep();
                long top = Volatile.Read(ref head);
                if (top == 0) return;
                Interleaving.BeforeStep();
                long next = Volatile.Read(ref below[top]);
                Interleaving.BeforeStep();
                if (Interlocked.CompareExchange(ref head, next, top) != top) continue;
                held[thread].Add(top);
                return;
            }
        }

        void Push(int thread)
        {
            long block = held[thread][0];
            held[thread].RemoveAt(0);
            while (true)
            {
                Interleaving.BeforeStep();
                long top = Volatile.Read(ref head);
                below[block] = top;
                Interleaving.BeforeStep();
                if (Interlocked.CompareExchange(ref head, block, top) == top) return;
            }
        }
    }

    [Fact]
    public void All_orders_of_two_times_three_steps_are_tried_once_each()
    {
        HashSet<string> orders = [];
        int runs = _interleaving.RunAll(
            () => (ThreeSteps, ThreeSteps),
            () => Assert.True(orders.Add(string.Concat(_interleaving.Steps)), "an order came twice"));
        Assert.Equal(20, runs); // 6 over 3
        Assert.Equal(20, orders.Count);

        static void ThreeSteps()
        {
            for (int i = 0; i < 3; i++) Interleaving.BeforeStep();
        }
    }

    private static string Of(params string[] operations) => string.Join(", ", operations);

    // ── the real stacks ──────────────────────────────────────────────────────────────────────────────────────────────

    private readonly List<int>[] _held = [[], []];

    private (Action First, Action Second) SetUp(World world)
    {
        for (int block = 0; block < Blocks; block++)
            new Span<long>((void*)_blocks[block], Magazine.SmallestBlockBytes / sizeof(long)).Fill(block + 1);
        for (int block = 0; block < Blocks; block++) Magazine.Link(_blocks[block]) = 0;
        for (int stack = 0; stack < _stacks.Length; stack++)
        {
            _stacks[stack] = default;
            foreach (int block in world.Stacks[stack]) _stacks[stack].Push<Interleaving>(_blocks[block]);
        }
        for (int thread = 0; thread < 2; thread++)
        {
            _held[thread].Clear();
            _held[thread].AddRange(world.Held[thread]);
        }
        return (() => Run(0, world.Operations[0]), () => Run(1, world.Operations[1]));
    }

    private void Run(int thread, string[] operations)
    {
        List<int> held = _held[thread];
        foreach (string operation in operations)
        {
            ref DepotStack stack = ref _stacks[operation[^1] - '0'];
            if (operation is Pop0 or Pop1)
            {
                nint block = stack.Pop<Interleaving>();
                if (block == 0) continue;
                // As soon as it is out it is a magazine like any other, whose floor may be where the link was.
                if (Magazine.Link(block) != 0)
                    throw new InvalidOperationException("a magazine came out with a link in it");
                held.Add((int)((block - _blocks[0]) / Magazine.SmallestBlockBytes));
            }
            else if (held.Count != 0)
            {
                int at = operation is PushOldest0 ? 0 : held.Count - 1;
                nint block = _blocks[held[at]];
                held.RemoveAt(at);
                stack.Push<Interleaving>(block);
            }
        }
    }

    private string CheckAndDescribe()
    {
        List<int>[] stacks = new List<int>[_stacks.Length];
        HashSet<int> all = [];
        foreach (int block in _held[0].Concat(_held[1]))
            Assert.True(all.Add(block), "two threads hold the same magazine");
        for (int stack = 0; stack < _stacks.Length; stack++)
        {
            int count = _stacks[stack].Count;
            stacks[stack] = [];
            nint block;
            while ((block = _stacks[stack].Pop<Interleaving>()) != 0)
            {
                int number = (int)((block - _blocks[0]) / Magazine.SmallestBlockBytes);
                Assert.True(all.Add(number), "a magazine is on a stack and somewhere else");
                stacks[stack].Insert(0, number);
            }
            Assert.Equal(stacks[stack].Count, count);
            Assert.Equal(0, _stacks[stack].Count);
        }
        foreach (int block in all)
        {
            Assert.Equal(0, Magazine.Link(_blocks[block]));
            Assert.False(new Span<long>((void*)_blocks[block], Magazine.SmallestBlockBytes / sizeof(long))[1..]
                .ContainsAnyExcept(block + 1), "a magazine's objects were written to");
        }
        return Describe(_held, stacks);
    }

    private static string Describe(IEnumerable<int>[] held, IEnumerable<int>[] stacks) =>
        $"A {Text(held[0])} | B {Text(held[1])} | {Text(stacks[0])} | {Text(stacks[1])}";

    private static string Text(IEnumerable<int> blocks) =>
        string.Join(' ', blocks.Select(block => block.ToString(CultureInfo.InvariantCulture)));

    // ── the model ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// <summary>
    /// Two stacks of block numbers and what two threads hold and do; the model of the operations, each in one piece.
    /// </summary>
    private sealed class World
    {
        internal World(string first, string second, int depth)
        {
            Operations = [first.Split(", "), second.Split(", ")];
            int stackCount =
                first.Contains('1', StringComparison.Ordinal) || second.Contains('1', StringComparison.Ordinal) ? 2 : 1;
            int next = 0;
            Stacks = [[], []];
            for (int stack = 0; stack < stackCount; stack++)
                for (int i = 0; i < depth; i++) Stacks[stack].Add(next++);
            // Whoever begins with a push has something to push.
            Held = [[], []];
            for (int thread = 0; thread < 2; thread++)
                for (int i = 0; i < Operations[thread].TakeWhile(operation => operation is Push0 or Push1).Count(); i++)
                    Held[thread].Add(next++);
            Assert.InRange(next, 0, Blocks);
        }

        internal string[][] Operations { get; }

        internal List<int>[] Stacks { get; }

        internal List<int>[] Held { get; }

        /// <summary>How it can end, over all orders of whole operations.</summary>
        internal HashSet<string> Outcomes()
        {
            HashSet<string> outcomes = [];
            Go(0, 0, Held, Stacks);
            return outcomes;

            void Go(int first, int second, List<int>[] held, List<int>[] stacks)
            {
                if (first == Operations[0].Length && second == Operations[1].Length)
                    outcomes.Add(Describe(held, stacks));
                for (int thread = 0; thread < 2; thread++)
                {
                    int at = thread == 0 ? first : second;
                    if (at == Operations[thread].Length) continue;
                    List<int>[] newHeld = [[.. held[0]], [.. held[1]]], newStacks = [[.. stacks[0]], [.. stacks[1]]];
                    string operation = Operations[thread][at];
                    List<int> stack = newStacks[operation[^1] - '0'], mine = newHeld[thread];
                    if (operation is Pop0 or Pop1) Move(stack, stack.Count - 1, mine);
                    else Move(mine, operation is PushOldest0 ? 0 : mine.Count - 1, stack);
                    Go(thread == 0 ? first + 1 : first, thread == 1 ? second + 1 : second, newHeld, newStacks);
                }
            }
        }

        private static void Move(List<int> from, int at, List<int> to)
        {
            if (from.Count == 0) return;
            to.Add(from[at]);
            from.RemoveAt(at);
        }
    }
}
