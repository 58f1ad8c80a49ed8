using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows that a slab stands on the list that its free objects call for, moves only when that changes, and that the
/// fullest is found first.
/// </summary>
public sealed unsafe class NodeSlabsTests
{
    private const uint PerSlab = 4;

    [Fact]
    public void The_last_resort_asks_each_node_under_its_lock()
    {
        using TestCache cache = new(1024);
        uint before = cache.Node->Lock.Acquisitions;
        nint slot;
        Assert.Equal(0, cache.Cache->TakeAnywhere(&slot, 1)); // no node has a slab
        Assert.Equal((before + 1, false), (cache.Node->Lock.Acquisitions, cache.Node->Lock.IsHeld));
    }

    [Fact]
    public void A_slab_is_on_the_list_of_its_free_objects()
    {
        PageFrame* frames = stackalloc PageFrame[8];
        NodeSlabs slabs = default;
        slabs.Initialize();
        for (uint slab = 0; slab < 3; slab++)
        {
            frames[slab].FreeObjects = (ushort)PerSlab;
            slabs.Add(frames, slab, NodeSlabs.Free);
        }
        for (uint free = PerSlab; ; free--)
        {
            frames[1].FreeObjects = (ushort)free;
            slabs.Place(frames, 1, PerSlab);
            int expected = free == 0 ? NodeSlabs.Full : free == PerSlab ? NodeSlabs.Free : 1 + (int)free; // by quarters
            Assert.Equal(expected, frames[1].List);
            for (int list = 0; list < NodeSlabs.ListCount; list++)
                Assert.Equal((list == NodeSlabs.Free ? 2u : 0u) + (list == expected ? 1u : 0u), slabs.Count(list));
            Assert.Equal(3u, slabs.SlabCount);
            if (free == 0) break;
        }
        slabs.Remove(frames, 1);
        Assert.Equal(2u, slabs.SlabCount);
        for (int list = 0; list < NodeSlabs.Free; list++) Assert.Equal(PageFrame.None, slabs.First(list));
    }

    [Fact]
    public void A_slab_that_stays_on_its_list_keeps_its_place()
    {
        const uint Many = 100;
        PageFrame* frames = stackalloc PageFrame[8];
        NodeSlabs slabs = default;
        slabs.Initialize();
        for (uint slab = 0; slab < 3; slab++)
        {
            frames[slab].FreeObjects = 20;
            slabs.Add(frames, slab, NodeSlabs.FirstPartial);
        }
        Assert.Equal(2u, slabs.First(NodeSlabs.FirstPartial)); // the last that came is the first
        frames[0].FreeObjects = 10;
        slabs.Place(frames, 0, Many);
        Assert.Equal(2u, slabs.First(NodeSlabs.FirstPartial));
        frames[0].FreeObjects = 0;
        slabs.Place(frames, 0, Many);
        frames[0].FreeObjects = 10;
        slabs.Place(frames, 0, Many);
        Assert.Equal(0u, slabs.First(NodeSlabs.FirstPartial));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(7)]
    [InlineData(64)]
    [InlineData(4095)]
    [InlineData(4096)]
    public void Partial_slabs_are_told_apart_by_quarters(int objectsPerSlab)
    {
        for (int free = 0; free <= objectsPerSlab; free++)
        {
            int expected = free == 0 ? NodeSlabs.Full
                : free == objectsPerSlab ? NodeSlabs.Free
                : 4 * free < objectsPerSlab ? 1
                : 4 * free < 2 * objectsPerSlab ? 2
                : 4 * free < 3 * objectsPerSlab ? 3
                : 4;
            Assert.Equal(expected, NodeSlabs.ListOf((uint)free, (uint)objectsPerSlab));
        }
    }

    [Fact]
    public void The_fullest_slab_that_has_objects_is_found_first_and_the_peak_is_kept() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("place", "place", "place", "remove"),
            Values.Pairs(Values.Between(0, 15), Values.Between(0, 40))),
        100,
        operations =>
        {
            const uint Many = 40;
            PageFrame* frames = stackalloc PageFrame[16];
            NodeSlabs slabs = default;
            slabs.Initialize();
            Dictionary<uint, uint> free = []; // slab to its free objects
            int peak = 0;
            foreach ((string kind, (int number, int objects)) in operations)
            {
                uint slab = (uint)number;
                if (kind == "remove")
                {
                    if (free.Remove(slab)) slabs.Remove(frames, slab);
                }
                else
                {
                    frames[slab].FreeObjects = (ushort)objects;
                    if (free.ContainsKey(slab)) slabs.Place(frames, slab, Many);
                    else slabs.Add(frames, slab, NodeSlabs.ListOf((uint)objects, Many));
                    free[slab] = (uint)objects;
                }
                peak = Math.Max(peak, free.Count);
                Assert.Equal((uint)free.Count, slabs.SlabCount);
                Assert.Equal((uint)peak, slabs.PeakSlabCount);
                uint[] some = [.. free.Values.Where(count => count != 0)];
                uint fullest = slabs.Fullest();
                Assert.Equal(some.Length == 0, fullest == PageFrame.None);
                // To the quarter; a slab of which every object is free comes last of all.
                if (some.Length != 0) Assert.Equal(Quarter(some.Min()), Quarter(free[fullest]));
            }

            static uint Quarter(uint count) => count * 4 / Many;
        });
}
