using System.Numerics;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows, for every order of the steps of an owner that uses its magazine and of a thread that recalls objects from it, that each object is in exactly one place at the end. The owner's fast paths are
/// done here step by step, on a real magazine; its slow paths and the recall are those of the allocator. A process-wide barrier is no step, as here everybody sees every store at once.
/// </summary>
public sealed unsafe class RecallOrdersTests : IDisposable
{
    private const int StepsPerOperation = 3, StepsPerRound = 4;

    private readonly LeakCheck _leaks = new();
    private readonly TestThread _thread = new(), _keeper = new(); // the keeper has what makes slabs stay
    private readonly List<nint> _held = []; // what users of the owner hold
    private ObjectCache* _cache;
    private int _index, _asked; // the cache, and the loaded magazine to recall from
    private ulong _inUse;
    private int _inDoubt, _taken;

    public void Dispose()
    {
        _thread.Dispose();
        _keeper.Dispose();
        _leaks.Finish();
    }

    /// <summary>Sizes whose magazines are alike, whose magazines differ, and with a return side that is asked or not; and how many operations to try.</summary>
    public static TheoryData<int, bool, int> Classes => new() { { 512, false, 4 }, { 3000, false, 3 }, { 48, false, 3 }, { 48, true, 3 } };

    [Theory]
    [MemberData(nameof(Classes))]
    public void Every_order_of_a_few_operations_and_a_recall_leaves_each_object_in_one_place(int size, bool returnSide, int operations)
    {
        SetUp(size, returnSide);
        foreach (string program in Programs(operations))
            for (int objects = 2; objects <= 4; objects++) RunAll(program, objects, rounds: 1);
        Assert.NotEqual(0, _taken);
        Assert.Equal(returnSide, _inDoubt == 0); // nothing is ever popped from that side
    }

    [Theory]
    [MemberData(nameof(Classes))]
    public void Every_order_of_fewer_operations_and_two_recalls_leaves_each_object_in_one_place(int size, bool returnSide, int operations)
    {
        SetUp(size, returnSide);
        foreach (string program in Programs(operations - 2))
            for (int objects = 1; objects <= 4; objects++) RunAll(program, objects, rounds: 2);
        Assert.NotEqual(0, _taken);
        Assert.Equal(returnSide, _inDoubt == 0);
    }

    [Theory]
    [InlineData(512)]
    [InlineData(3000)]
    public void A_magazine_that_is_nearly_full_is_no_different(int size)
    {
        SetUp(size, returnSide: false);
        int full = _cache->Magazine.Capacity;
        foreach (string program in Programs(2))
            for (int objects = full - 1; objects <= full; objects++) RunAll(program, objects, rounds: 1);
    }

    [Fact]
    public void A_recall_that_does_not_look_where_the_top_is_is_found_to_be_wrong()
    {
        SetUp(512, returnSide: false);
        InvalidOperationException error = Assert.Throws<InvalidOperationException>(() => RunAll("--", 3, rounds: 1, looks: false));
        Assert.Contains("and in its slab", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void All_orders_of_three_and_two_steps_are_tried_once_each()
    {
        HashSet<uint> orders = [.. Orders(3, 2)];
        Assert.Equal(10, orders.Count); // 5 over 2
        Assert.All(orders, order => Assert.Equal(2, BitOperations.PopCount(order)));
        Assert.Equal(10, Orders(3, 2).Count());
    }

    private void SetUp(int size, bool returnSide)
    {
        _index = SizeClasses.Of((nuint)size);
        _cache = SlabLayer.CacheAt(_index);
        _asked = returnSide ? SlabLayer.ReturnSideOf(_index) : _index;
        nint kept = _keeper.Alloc(_index);
        _keeper.Free(_index, kept);
        _inUse = InUse();
    }

    // ── the orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    // Of pops and pushes, all sequences.
    private static IEnumerable<string> Programs(int length) =>
        Enumerable.Range(0, 1 << length).Select(bits => string.Concat(Enumerable.Range(0, length).Select(i => (bits >> i & 1) == 0 ? '-' : '+')));

    // All words with so many bits of 0 and of 1, in ascending order.
    private static IEnumerable<uint> Orders(int zeros, int ones)
    {
        uint end = 1u << (zeros + ones);
        for (uint order = (1u << ones) - 1; order < end;)
        {
            yield return order;
            uint lowest = 1u << BitOperations.TrailingZeroCount(order), carried = order + lowest;
            order = (((carried ^ order) >> 2) / lowest) | carried;
        }
    }

    private void RunAll(string program, int objects, int rounds, bool looks = true)
    {
        int owner = program.Length * StepsPerOperation, other = rounds * StepsPerRound;
        foreach (uint order in Orders(owner, other))
        {
            Fill(objects, spare: program.Count(operation => operation == '+'));
            int ownerStep = 0, otherStep = 0;
            for (int step = 0; step < owner + other; step++)
            {
                if ((order >> step & 1) == 0) Operate(program[ownerStep / StepsPerOperation], ownerStep++ % StepsPerOperation);
                else RecallStep(otherStep++ % StepsPerRound, looks);
            }
            string? error = FindError();
            Empty(error != null);
            if (error != null)
            {
                IEnumerable<char> steps = Enumerable.Range(0, owner + other).Select(step => "OR"[(int)(order >> step & 1)]);
                throw new InvalidOperationException($"'{program}' with {objects} objects, in the order {string.Concat(steps)}: {error}");
            }
        }
    }

    // ── the owner ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    private nint _top, _object;
    private bool _isSlow;

    private void Operate(char operation, int step)
    {
        if (operation == '-') Pop(step);
        else Push(step);
    }

    // As NativeAllocator.Alloc.
    private void Pop(int step)
    {
        switch (step)
        {
            case 0:
                _top = _thread.Magazines->Loaded(_index);
                break;
            case 1:
                _object = ((nint*)_top)[-1];
                _isSlow = _object == 0;
                break;
            default:
                if (_isSlow) _object = (nint)SlabLayer.AllocMiss(_thread.Block, _index);
                else _thread.Magazines->SetLoaded(_index, _top - sizeof(nint));
                _held.Add(_object);
                break;
        }
    }

    // As NativeAllocator.Free, of the object that was held longest.
    private void Push(int step)
    {
        switch (step)
        {
            case 0:
                _top = _thread.Magazines->Loaded(_asked);
                _object = _held[0];
                _held.RemoveAt(0);
                break;
            case 1:
                _isSlow = Magazine.MayBeFull(_top);
                if (!_isSlow) *(nint*)_top = _object;
                break;
            default:
                if (_isSlow) SlabLayer.FreeMiss(_thread.Block, _asked, (void*)_object);
                else _thread.Magazines->SetLoaded(_asked, _top + sizeof(nint));
                break;
        }
    }

    // ── the other ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    private nint _askedTop;

    private void RecallStep(int step, bool looks)
    {
        ThreadMagazines* magazines = _thread.Magazines;
        switch (step)
        {
            case 0:
                magazines->SetClaimed(true);
                _askedTop = magazines->Loaded(_asked);
                break;
            case 1:
                Recall.Ask(magazines, _asked, _askedTop);
                break;
            case 2:
                if (looks) Recall.Look(magazines, _asked);
                else if (magazines->Recalled.Find(_asked) is var recalled && recalled != null) recalled->WasBelow = 1;
                break;
            default:
                Recall.Take(_cache, magazines, _asked);
                if (magazines->Recalled.Find(_asked) != null) _inDoubt++;
                if (magazines->Raised.Contains(_asked)) _taken++;
                magazines->SetClaimed(false);
                break;
        }
    }

    // ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    private void Fill(int objects, int spare)
    {
        for (int i = 0; i < objects + spare; i++) _held.Add((nint)_cache->AllocDirect(null));
        for (int i = 0; i < objects; i++)
        {
            for (int step = 0; step < StepsPerOperation; step++) Push(step);
        }
        Assert.Equal(objects, _cache->Magazine.CountOf(_thread.Magazines->Loaded(_asked)));
    }

    private string? FindError()
    {
        ThreadMagazines* magazines = _thread.Magazines;
        int counted = CountLoaded(_index) + (_asked == _index ? 0 : CountLoaded(_asked));
        magazines->Enter(); // settles what is in doubt
        magazines->Leave();
        if (magazines->IsDisturbed || magazines->Recalled.Find(_asked) != null || magazines->Raised.Next(0) >= 0) return "something is left to be settled";
        List<nint> all = [.. _held];
        if (magazines->Previous(_index) != SlabLayer.NoMagazine)
        {
            AddObjects(magazines->Previous(_index), all);
            counted += all.Count - _held.Count;
        }
        AddObjects(magazines->Loaded(_index), all);
        if (_asked != _index) AddObjects(magazines->Loaded(_asked), all);
        foreach (nint each in all)
            if (IsInSlab(each)) return $"object {each:x} is in use and in its slab";
        if (all.Distinct().Count() != all.Count) return "an object is in two places";
        if (InUse() - _inUse != (ulong)all.Count) return $"{InUse() - _inUse} objects are out of their slabs and {all.Count} can be found";
        return counted == all.Count - _held.Count ? null : $"{counted} objects were counted in magazines that hold {all.Count - _held.Count}";
    }

    private int CountLoaded(int side)
    {
        nint top = _thread.Magazines->Loaded(side);
        return top == SlabLayer.NoMagazine ? 0 : Recall.Count(_cache->Magazine, _thread.Magazines, side, top);
    }

    private void AddObjects(nint top, List<nint> all)
    {
        if (top == SlabLayer.NoMagazine) return;
        for (nint slot = _cache->Magazine.BottomOf(top); slot < top; slot += sizeof(nint)) all.Add(*(nint*)slot);
    }

    private void Empty(bool isWrong)
    {
        if (isWrong)
        {
            // What is in its slab must not be put there again.
            AddObjects(_thread.Magazines->Loaded(_index), _held);
            _thread.Magazines->SetLoaded(_index, _cache->Magazine.BottomOf(_thread.Magazines->Loaded(_index)));
            _held.RemoveAll(IsInSlab);
        }
        foreach (nint each in _held) _cache->FreeDirect(null, (void*)each);
        _held.Clear();
        _thread.Drain();
        Assert.Equal(_inUse, InUse());
    }

    private bool IsInSlab(nint pointer)
    {
        uint slab = _cache->SlabOf((uint)LinearRegion.PageIndexOf((void*)pointer));
        uint number = _cache->ObjectIndexOf((nuint)pointer - LinearRegion.AddressOf(slab));
        return (LinearRegion.BitmapOf(slab)[number >> 6] >> (int)(number & 63) & 1) != 0;
    }

    private ulong InUse()
    {
        ulong objects = 0;
        for (int i = 0; i < ObjectCache.NodeCount; i++) objects += _cache->Node(i)->Slabs.SlabCount * _cache->ObjectsPerSlab - _cache->Node(i)->Slabs.ObjectsInSlabs - (ulong)_cache->InDepot(_cache->Node(i));
        return objects;
    }
}
