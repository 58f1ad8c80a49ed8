using NativeAlloc.Pages;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows that the buddy does right in every situation there is, on a part of a section so small that all of them can be tried: each
/// step is compared with bitmaps that know nothing of lists, splitting or merging.
/// </summary>
public sealed class ZoneExhaustiveTests
{
    /// <summary>
    /// From every state that any sequence of whatever length can reach, every step is tried. How many shapes there must be is known: h(0) = 2, a page
    /// that is free or in use, and h(k+1) = h(k)² + 1, two halves of any shape (both free being the one free block) or one block in use.
    /// </summary>
    [Theory]
    [InlineData(1, 5)]
    [InlineData(2, 26)]
    [InlineData(3, 677)]
    public void Every_reachable_state_of_pages_that_were_all_in_use_once(int order, int shapes) => Explore(order, clean: false, shapes);

    [Theory]
    [InlineData(1, 5)]
    [InlineData(2, 26)]
    [InlineData(3, 677)]
    public void Every_reachable_state_with_pages_that_were_never_in_use_and_with_purges(int order, int shapes) => Explore(order, clean: true, shapes);

    [Fact]
    public void Every_sequence_of_steps_on_sixteen_pages()
    {
        const int Order = 4, Longest = 7;
        using ZoneWorld world = new(Order, clean: false);
        ZoneWorld.State start = world.Save();
        List<ZoneStep> steps = [];
        // The shortest first, so that what fails is the shortest that can.
        for (int length = 1; length <= Longest; length++)
        {
            try
            {
                Follow(world, steps, length, freeAllAtEnd: length == Longest);
            }
            catch (InvalidOperationException error)
            {
                Assert.Fail($"{string.Join(", ", steps)}: {error.Message}");
            }
            world.Restore(start);
        }
        world.FreeAllAndRejoin();
    }

    private static void Explore(int order, bool clean, int shapes)
    {
        using ZoneWorld world = new(order, clean);
        ZoneWorld.State start = world.Save();
        HashSet<string> seen = [world.Key()], seenShapes = [];
        Queue<ZoneWorld.State> open = new([start]);
        while (open.TryDequeue(out ZoneWorld.State? state))
        {
            world.Restore(state);
            seenShapes.Add(world.Shape());
            From(world, state, "free all", world.FreeAll);
            TryRuns(world, state, order);
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

    // Every run of pages where it stands, and every number of pages from a block of every order that fits it.
    private static void TryRuns(ZoneWorld world, ZoneWorld.State state, int order)
    {
        int pages = 1 << order;
        for (int page = 0; page < pages; page++)
            for (int count = 1; page + count <= pages; count++)
                From(world, state, $"take {count} pages at {page}", () => world.TryAt(page, count));
        foreach (MemoryChoice choice in Enum.GetValues<MemoryChoice>())
            for (int blockOrder = 0; blockOrder <= order; blockOrder++)
                for (int used = (1 << blockOrder) / 2 + 1; used <= 1 << blockOrder; used++)
                    From(world, state, $"take {used} pages of a block of order {blockOrder}, {choice}", () => world.TryPart(blockOrder, used, choice));
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
