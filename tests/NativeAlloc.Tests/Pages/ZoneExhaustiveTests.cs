using NativeAlloc.Pages;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows that the buddy does right in every situation there is, on a part of a section so small that all of them can be
/// tried: each step is compared with bitmaps that know nothing of lists, splitting or merging.
/// </summary>
[Trait("Category", "Slow")]
public sealed class ZoneExhaustiveTests
{
    /// <summary>
    /// From every state that any sequence of whatever length can reach, every step is tried. How many shapes there must
    /// be is known: h(0) = 2, a page that is free or in use, and h(k+1) = h(k)² + 1, two halves of any shape (both free
    /// being the one free block) or one block in use.
    /// </summary>
    [Theory]
    [InlineData(1, 5)]
    [InlineData(2, 26)]
    [InlineData(3, 677)]
    public void Every_reachable_state_of_pages_that_were_all_in_use_once(int order, int shapes) =>
        Explore(order, clean: false, shapes);

    [Theory]
    [InlineData(1, 5)]
    [InlineData(2, 26)]
    [InlineData(3, 677)]
    public void Every_reachable_state_with_pages_that_were_never_in_use_and_with_purges(int order, int shapes) =>
        Explore(order, clean: true, shapes);

    /// <summary>
    /// Types within one pageblock, of which half can be free and then changes its type, and less than half cannot.
    /// </summary>
    [Theory]
    [InlineData(2, 0, 26, true)]
    [InlineData(4, 3, 5, true)]
    [InlineData(4, 2, 26, true)]
    [InlineData(5, 3, 26, true)]
    [InlineData(5, 2, 677, false)]
    public void Every_reachable_state_inside_a_pageblock_with_requests_of_two_types(int order, int leastOrder,
        int shapes, bool clean) =>
        Explore(order, clean, shapes, leastOrder, MigrateType.Unmovable, MigrateType.Movable);

    /// <summary>Types over two and four pageblocks, in blocks of whole ones and of halves of one.</summary>
    [Theory]
    [InlineData(6, 5, 5, true)]
    [InlineData(6, 4, 26, true)]
    [InlineData(7, 5, 26, false)]
    public void Every_reachable_state_of_several_pageblocks_with_requests_of_all_types(int order, int leastOrder,
        int shapes, bool clean) =>
        Explore(order, clean, shapes, leastOrder, Enum.GetValues<MigrateType>());

    [Fact]
    public void Every_sequence_of_steps_on_sixteen_pages() =>
        FollowAll(order: 4, leastOrder: 0, longest: 7, MigrateType.Unmovable);

    [Fact]
    public void Every_sequence_of_steps_of_two_types_on_sixteen_pages() =>
        FollowAll(order: 4, leastOrder: 0, longest: 4, MigrateType.Unmovable, MigrateType.Reclaimable);

    [Fact]
    public void Every_sequence_of_steps_of_two_types_on_four_pageblocks() =>
        FollowAll(order: 7, leastOrder: 4, longest: 5, MigrateType.Unmovable, MigrateType.Movable);

    [Fact]
    public void Every_sequence_of_steps_of_all_types_on_two_pageblocks() =>
        FollowAll(order: 6, leastOrder: 3, longest: 4, Enum.GetValues<MigrateType>());

    private static void FollowAll(int order, int leastOrder, int longest, params MigrateType[] types)
    {
        using ZoneWorld world = new(order, clean: false, leastOrder, types);
        ZoneWorld.State start = world.Save();
        List<ZoneStep> steps = [];
        // The shortest first, so that what fails is the shortest that can.
        for (int length = 1; length <= longest; length++)
        {
            try
            {
                Follow(world, steps, length, freeAllAtEnd: length == longest);
            }
            catch (InvalidOperationException error)
            {
                Assert.Fail($"{string.Join(", ", steps)}: {error.Message}");
            }
            world.Restore(start);
        }
        world.FreeAllAndRejoin();
    }

    private static void Explore(int order, bool clean, int shapes, int leastOrder = 0, params MigrateType[] types)
    {
        using ZoneWorld world = new(order, clean, leastOrder, types);
        ZoneWorld.State start = world.Save();
        HashSet<string> seen = [world.Key()], seenShapes = [];
        Queue<ZoneWorld.State> open = new([start]);
        while (open.TryDequeue(out ZoneWorld.State? state))
        {
            world.Restore(state);
            seenShapes.Add(world.Shape());
            From(world, state, "free all", world.FreeAll);
            CheckRuns(world, state, order, leastOrder, types.Length == 0 ? [MigrateType.Unmovable] : types);
            foreach (ZoneStep step in world.Steps(withPurges: clean, withChoices: true).ToList())
            {
                From(world, state, step.ToString(), () =>
                {
                    world.Do(step);
                    if (seen.Add(world.Key())) open.Enqueue(world.Save());
                });
            }
        }
        Assert.Equal(shapes, seenShapes.Count);
        world.Restore(start);
        world.FreeAllAndRejoin();
    }

    // Every run of the smallest blocks where it stands, and of a block of every order that fits it every number of
    // these, and of pages one more than half and one less than all, which are those that leave most pieces.
    private static void CheckRuns(ZoneWorld world, ZoneWorld.State state, int order, int leastOrder,
        MigrateType[] types)
    {
        int pages = 1 << order, least = 1 << leastOrder;
        for (int page = 0; page < pages; page += least)
            for (int count = least; page + count <= pages; count += least)
                From(world, state, $"take {count} pages at {page}", () => world.CheckAt(page, count));
        foreach (MemoryChoice choice in Enum.GetValues<MemoryChoice>())
        {
            foreach (MigrateType type in types)
            {
                for (int blockOrder = leastOrder; blockOrder <= order; blockOrder++)
                {
                    int all = 1 << blockOrder, half = all / 2;
                    IEnumerable<int> parts = Enumerable.Range(half + 1, all - half)
                        .Where(used => used % least == 0 || used == half + 1 || used == all - 1);
                    foreach (int used in parts)
                        From(world, state, $"take {used} pages of a block of order {blockOrder}, {choice}, {type}",
                            () => world.CheckPart(blockOrder, used, choice, type));
                }
            }
        }
    }

    // Does something in a state, and goes back to it.
    private static void From(ZoneWorld world, ZoneWorld.State state, string what, Action action)
    {
        try
        {
            action();
        }
        catch (InvalidOperationException error)
        {
            world.Restore(state);
            Assert.Fail($"{what} in {world.Shape()} ({world.Key()}): {error.Message}");
        }
        world.Restore(state);
    }

    // Leaves the steps of the failing sequence in the list.
    private static void Follow(ZoneWorld world, List<ZoneStep> steps, int length, bool freeAllAtEnd)
    {
        if (length == 0)
        {
            if (freeAllAtEnd) world.FreeAll();
            return;
        }
        ZoneWorld.State state = world.Save();
        foreach (ZoneStep step in world.Steps(withPurges: false, withChoices: false).ToList())
        {
            steps.Add(step);
            if (world.Do(step)) Follow(world, steps, length - 1, freeAllAtEnd);
            steps.RemoveAt(steps.Count - 1);
            world.Restore(state);
        }
    }
}
