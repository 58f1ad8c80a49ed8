using System.Numerics;
using System.Runtime.InteropServices;
using NativeAlloc.Mapping;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Mapping;

/// <summary>
/// Shows that the tree of areas answers as a sorted list would, whatever is put in and taken out, and that it stays
/// shallow in any order.
/// </summary>
public sealed unsafe class AreaTreeTests : IDisposable
{
    private const uint EndPage = 1 << 20, MostAreas = 1 << 13, First = 1;

    private readonly VmallocArea* _areas = (VmallocArea*)NativeMemory.AllocZeroed(MostAreas, VmallocArea.Bytes);
    private AreaTree _tree;

    public AreaTreeTests() => _tree = new AreaTree(_areas);

    public void Dispose() => NativeMemory.Free(_areas);

    [Fact]
    public void An_empty_tree_finds_nothing()
    {
        Assert.Equal(AreaTree.None, _tree.AtOrBefore(EndPage));
        Assert.Equal(AreaTree.None, _tree.BeforeHole(1));
        Assert.Null(_tree.FindError(0, out uint count));
        Assert.Equal(0u, count);
    }

    [Fact]
    public void Random_steps_leave_the_tree_as_a_sorted_list_would_be() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("insert", "insert", "remove", "shift", "shift"), Values.Between(0, int.MaxValue)),
        300,
        steps =>
        {
            _tree = new AreaTree(_areas);
            SortedList<uint, uint> numbers = []; // by first page
            Stack<uint> unused = new(Enumerable.Range((int)First + 1, 400).Select(number => (uint)number).Reverse());
            Begin(numbers);
            foreach ((string kind, int pick) in steps)
            {
                int at = pick % numbers.Count;
                if (kind == "insert") InsertBehind(numbers, at, (uint)pick, unused);
                else if (kind == "remove" && at != 0) Remove(numbers, at, unused);
                else if (kind == "shift" && at != 0) Lengthen(numbers.GetValueAtIndex(at), (uint)pick % 100);
                ShouldBe(numbers, (uint)pick);
            }
        },
        runs: 25);

    [Theory]
    [InlineData("ascending")]
    [InlineData("descending")]
    [InlineData("random")]
    [InlineData("from both ends")]
    public void The_tree_stays_shallow_in_any_order(string order)
    {
        const int Count = (int)MostAreas - 2;
        uint[] places = [.. Enumerable.Range(1, Count).Select(number => (uint)number)];
        if (order == "descending") Array.Reverse(places);
        if (order == "random") new Random(1).Shuffle(places);
        if (order == "from both ends") places = [.. places.Take(Count / 2).Zip(places.Reverse(),
            (one, other) => (uint[])[one, other]).SelectMany(pair => pair)];
        Put(First, 0, 0, 0);
        _tree.Insert(First);
        // Depth is what a lookup costs: five times the logarithm is more than a treap of this size comes to in the life
        // of a process.
        int most = 5 * BitOperations.Log2(Count);
        for (int i = 0; i < Count; i++)
        {
            Put((uint)i + 2, places[i] * 100, 1, 0);
            _tree.Insert((uint)i + 2);
        }
        Assert.InRange(Depth(), BitOperations.Log2(Count), most);
        for (int i = 0; i < Count; i += 2)
        {
            _tree.Remove((uint)i + 2);
            _areas[i + 2].SetState(AreaState.None);
        }
        Assert.InRange(Depth(), BitOperations.Log2(Count / 2), most);
        for (int i = 0; i < Count; i++) Assert.Equal(i % 2 != 0, _tree.AtOrBefore(places[i] * 100 + 50) == (uint)i + 2);
    }

    [Fact]
    public void What_is_wrong_with_a_tree_is_told()
    {
        SortedList<uint, uint> numbers = [];
        Begin(numbers);
        Stack<uint> unused = new([4, 3, 2]);
        InsertBehind(numbers, 0, 1000, unused);
        InsertBehind(numbers, 1, 500_000, unused);
        Assert.Null(_tree.FindError(EndPage, out _));
        Assert.Contains("end at page", _tree.FindError(EndPage + 1, out _), StringComparison.Ordinal);
        _areas[2].HolePages++;
        Assert.NotNull(_tree.FindError(EndPage, out _));
        _areas[2].HolePages--;
        _areas[3].LargestHole++;
        Assert.Contains("largest hole", _tree.FindError(EndPage, out _), StringComparison.Ordinal);
        _areas[3].LargestHole--;
        _areas[2].SetState(AreaState.None);
        Assert.Contains("not in use", _tree.FindError(EndPage, out _), StringComparison.Ordinal);
    }

    private void Begin(SortedList<uint, uint> numbers)
    {
        Put(First, 0, 0, EndPage - VmallocArea.GuardPages);
        _tree.Insert(First);
        numbers.Add(0, First);
    }

    // Somewhere in the hole behind another area.
    private void InsertBehind(SortedList<uint, uint> numbers, int at, uint random, Stack<uint> unused)
    {
        uint before = numbers.GetValueAtIndex(at), hole = _areas[before].HolePages;
        if (hole < 200 || unused.Count == 0) return;
        uint offset = random % (hole - 150), pages = 1 + random % 100, number = unused.Pop();
        uint first = _areas[before].FirstPage + _areas[before].Pages + VmallocArea.GuardPages + offset;
        Put(number, first, pages, hole - offset - pages - VmallocArea.GuardPages);
        _tree.SetHole(before, offset);
        _tree.Insert(number);
        numbers.Add(first, number);
    }

    private void Remove(SortedList<uint, uint> numbers, int at, Stack<uint> unused)
    {
        uint number = numbers.GetValueAtIndex(at), before = numbers.GetValueAtIndex(at - 1);
        _tree.Remove(number);
        _tree.SetHole(before,
            _areas[before].HolePages + _areas[number].Pages + VmallocArea.GuardPages + _areas[number].HolePages);
        _areas[number].SetState(AreaState.None);
        numbers.RemoveAt(at);
        unused.Push(number);
    }

    private void Lengthen(uint number, uint pages)
    {
        pages = Math.Min(pages, _areas[number].HolePages);
        _areas[number].Pages += pages;
        _tree.SetHole(number, _areas[number].HolePages - pages);
    }

    private void Put(uint number, uint first, uint pages, uint hole)
    {
        _areas[number] = new VmallocArea { FirstPage = first, Pages = pages, HolePages = hole };
        _areas[number].SetState(AreaState.Busy);
    }

    private void ShouldBe(SortedList<uint, uint> numbers, uint random)
    {
        Assert.Null(_tree.FindError(EndPage, out uint count));
        Assert.Equal((uint)numbers.Count, count);
        foreach (uint page in (uint[])[0, random % EndPage, numbers.GetKeyAtIndex((int)(random % numbers.Count)),
            EndPage - 1])
            Assert.Equal(numbers.Last(each => each.Key <= page).Value, _tree.AtOrBefore(page));
        uint justFits = Math.Max(1, _areas[numbers.GetValueAtIndex((int)(random % numbers.Count))].HolePages);
        foreach (uint pages in (uint[])[1, justFits, justFits + 1, 1 + random % 1000, 1 + random % EndPage, EndPage])
            Assert.Equal(numbers.Values.FirstOrDefault(number => _areas[number].HolePages >= pages, AreaTree.None),
                _tree.BeforeHole(pages));
    }

    private int Depth()
    {
        uint[] used = [.. Enumerable.Range((int)First, (int)(MostAreas - First)).Select(number => (uint)number)
            .Where(number => _areas[number].GetState() != AreaState.None)];
        HashSet<uint> below =
            [.. used.Select(number => _areas[number].Left), .. used.Select(number => _areas[number].Right)];
        return DepthBelow(used.Single(number => !below.Contains(number)));
    }

    private int DepthBelow(uint number) =>
        number == AreaTree.None ? 0 : 1 + Math.Max(DepthBelow(_areas[number].Left), DepthBelow(_areas[number].Right));
}
