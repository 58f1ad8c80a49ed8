using System.Collections.Concurrent;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Shows that what several threads do at the same time comes out as if they had done it one after the other: which
/// requests are served, which a limit refuses, what is live, and what blocks hold.
/// </summary>
[Trait("Category", "Slow")]
public sealed unsafe class LinearizableTests : LeakCheckedTests
{
    private const int Slots = 4;

    // Objects of slabs, blocks of whole pages, and areas; the limit is in the way of two of the largest.
    private static readonly int[] s_sizes = [100, 3000, 40_000, 600_000, 900_000, 1_300_000];

    // Far from all sums of the large ones: a block that is moved to or from a slab counts twice for a moment, which may
    // not decide whether another is refused.
    private const int LimitBytes = 2_180_000;

    [Fact]
    public void A_heap_with_a_limit_that_threads_share()
    {
        ConcurrentBag<World> worlds = [];
        Properties.CheckLinearizable(() =>
        {
            World world = new();
            worlds.Add(world);
            return world;
        }, Values.Pairs(Values.Between(0, Slots - 1), Values.OneOf(s_sizes)),
        [
            ("alloc", (world, to) => world.Alloc(to.First, to.Second)),
            ("free", (world, to) => world.Free(to.First)),
            ("resize", (world, to) => world.Resize(to.First, to.Second)),
        ], (one, other) => one.ToString() == other.ToString(), runs: 300);
        foreach (World world in worlds) world.Dispose();
    }

    /// <summary>
    /// A heap and some slots for a block each. An operation has its slot for itself, and shares the heap with others.
    /// </summary>
    private sealed class World : IDisposable
    {
        private readonly NativeHeap _heap = new("shared", LimitBytes);
        private readonly Slot[] _slots = [.. Enumerable.Range(0, Slots).Select(_ => new Slot())];

        internal void Alloc(int slot, int bytes)
        {
            Slot at = _slots[slot];
            lock (at)
            {
                if (at.Block != 0) return;
                if (_heap.TryAlloc((nuint)bytes, out void* block)) at.Fill(block, bytes);
                else at.Refused++;
            }
        }

        internal void Free(int slot)
        {
            Slot at = _slots[slot];
            lock (at)
            {
                if (at.Block == 0) return;
                at.Check(at.Bytes);
                NativeAllocator.Free((void*)at.Block);
                (at.Block, at.Bytes) = (0, 0);
            }
        }

        internal void Resize(int slot, int bytes)
        {
            Slot at = _slots[slot];
            lock (at)
            {
                if (at.Block == 0) return;
                try
                {
                    nint before = at.Block;
                    at.Block = (nint)_heap.Realloc((void*)before, (nuint)bytes);
                    at.Check(Math.Min(at.Bytes, bytes), before);
                    at.Fill((void*)at.Block, bytes);
                }
                catch (OutOfMemoryException)
                {
                    at.Refused++;
                }
            }
        }

        public override string ToString() => $"{_heap.LiveBytes} B live; {string.Join(", ", (object[])_slots)}";

        public void Dispose()
        {
            Assert.True(_heap.LiveBytes <= LimitBytes, "the limit holds");
            for (int slot = 0; slot < Slots; slot++) Free(slot);
            Assert.Equal((nuint)0, _heap.LiveBytes);
            _heap.Dispose();
        }
    }

    private sealed class Slot
    {
        internal nint Block { get; set; }

        internal int Bytes { get; set; }

        internal int Refused { get; set; }

        internal void Fill(void* block, int bytes)
        {
            (Block, Bytes) = ((nint)block, bytes);
            Pattern.Fill(block, (nuint)bytes, (ulong)block);
        }

        internal void Check(int bytes) => Check(bytes, Block);

        internal void Check(int bytes, nint filledAt) => Pattern.Check((void*)Block, (nuint)bytes, (ulong)filledAt);

        public override string ToString() => $"{Bytes} B, {Refused} refused";
    }
}
