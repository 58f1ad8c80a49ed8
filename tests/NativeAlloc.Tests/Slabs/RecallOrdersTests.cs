using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows, for every order of the steps of an owner that uses its magazine and of a thread that recalls objects from it,
/// that each object is in exactly one place at the end; also where the owner's stores wait in a store buffer, and that
/// this needs each of the recall's barriers. The owner's fast paths are done here step by step, on a real magazine; its
/// slow paths and the recall are those of the allocator.
/// </summary>
[Trait("Category", "Slow")]
public sealed unsafe class RecallOrdersTests : IDisposable
{
    private const int StepsPerOperation = 2;

    private readonly LeakCheck _leaks = new();
    private readonly TestThread _running = new(); // has the block and does nothing
    private readonly LooseThreadBlock _keeper = new(); // has what makes slabs stay
    private readonly List<nint> _held = []; // what users of the owner hold
    private readonly byte* _block;
    private readonly int _blockIndex;
    private WeakOrders _orders = new(isWeak: false);
    private ObjectCache* _cache;
    private int _index, _asked; // the cache, and the loaded magazine to recall from
    private ulong _inUse;
    private int _putBack, _taken;

    public RecallOrdersTests()
    {
        nint block = 0;
        _running.Run(() => block = (nint)NativeAllocator.GetBlock());
        _block = (byte*)block;
        while (ThreadRegistry.At(_blockIndex) != _block) _blockIndex++;
        ThreadRegistry.SetHeld(_block); // this thread takes the owner's steps
        CacheRelease.Drain(_block);
    }

    public void Dispose()
    {
        CacheRelease.Drain(_block);
        ThreadRegistry.SetHeld(null);
        _running.Dispose();
        _keeper.Dispose();
        _leaks.Finish();
    }

    private ThreadMagazines* Magazines => ThreadMagazines.Of(_block);

    /// <summary>
    /// Sizes whose magazines are alike, whose magazines differ, and with a return side that is asked or not; and how
    /// many operations to try.
    /// </summary>
    public static TheoryData<int, bool, int> Classes => new()
    {
        { 512, false, 3 }, { 3000, false, 2 }, { 48, false, 2 }, { 48, true, 2 },
    };

    [Theory]
    [MemberData(nameof(Classes))]
    public void Every_order_of_a_few_operations_and_a_recall_leaves_each_object_in_one_place(int size, bool returnSide,
        int operations)
    {
        SetUp(size, returnSide);
        foreach (string program in Programs(operations))
            for (int objects = 2; objects <= 4; objects++) RunAll(program, objects, rounds: 1);
        Assert.NotEqual(0, _taken);
        Assert.Equal(returnSide, _putBack == 0); // nothing is ever popped from that side
    }

    [Theory]
    [MemberData(nameof(Classes))]
    public void Every_order_of_fewer_operations_and_two_recalls_leaves_each_object_in_one_place(int size,
        bool returnSide, int operations)
    {
        SetUp(size, returnSide);
        foreach (string program in Programs(operations / 2))
            for (int objects = 1; objects <= 4; objects++) RunAll(program, objects, rounds: 2);
        Assert.NotEqual(0, _taken);
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

    /// <summary>Pops and pushes that go below the slot that is asked for, and back above it.</summary>
    public static TheoryData<string> WeakPrograms => ["--", "-+", "+-", "++", "--+", "--++"];

    [Theory]
    [MemberData(nameof(WeakPrograms))]
    public void Every_order_in_which_the_owners_stores_can_be_seen_leaves_each_object_in_one_place(string program)
    {
        SetUp(512, returnSide: false);
        _orders = new WeakOrders(isWeak: true) { PausesAtClaim = false };
        for (int objects = 2; objects <= (program.Length > 3 ? 2 : 4); objects++) RunAll(program, objects, rounds: 1);
        Assert.NotEqual(0, _taken);
    }

    [Theory]
    [InlineData(2, "--")] // what the owner pops before the object is asked for can be seen
    [InlineData(3, "--++")] // what it pushes before its top is seen can be seen
    public void Without_one_of_the_barriers_an_object_is_in_two_places(int barrier, string program)
    {
        SetUp(512, returnSide: false);
        _orders = new WeakOrders(isWeak: true, leftOut: barrier) { PausesAtClaim = false };
        InvalidOperationException error = Assert.Throws<InvalidOperationException>(() => RunAll(program, 2, rounds: 1));
        Assert.Contains("and in its slab", error.Message, StringComparison.Ordinal);
    }

    private void SetUp(int size, bool returnSide)
    {
        _index = SizeClasses.Of((nuint)size);
        _cache = CacheTable.CacheAt(_index);
        _asked = returnSide ? CacheTable.ReturnSideOf(_index) : _index;
        nint kept = _keeper.Alloc(_index);
        _keeper.Free(_index, kept);
        _inUse = InUse();
    }

    // ── the orders ────────────────────

    // Of pops and pushes, all sequences.
    private static IEnumerable<string> Programs(int length) =>
        Enumerable.Range(0, 1 << length)
            .Select(bits => string.Concat(Enumerable.Range(0, length).Select(i => (bits >> i & 1) == 0 ? '-' : '+')));

    private void RunAll(string program, int objects, int rounds) => _orders.RunAll(() =>
    {
        Fill(objects, spare: program.Count(operation => operation == '+'));
        int step = 0;
        _orders.Owner = () =>
        {
            if (step == program.Length * StepsPerOperation) return false;
            Operate(program[step / StepsPerOperation], step % StepsPerOperation);
            step++;
            return true;
        };
        for (int round = 0; round < rounds; round++)
        {
            if (_orders.PausesAtClaim) _orders.Pause();
            Magazines->Asked = default;
            Recall.Run<WeakOrders.Steps>(_blockIndex, _blockIndex + 1, all: true);
            if (Magazines->Raised.Contains(_asked)) _taken++;
            else if (Magazines->Asked is { Slot: not 0, IsBelowTop: false }) _putBack++;
        }
        _orders.Finish();
        string? error = FindError();
        Empty(error != null);
        if (error == null) return;
        string where = $"'{program}' with {objects} objects, by the choices {_orders.Order}";
        throw new InvalidOperationException($"{where}: {error}");
    });

    // ── the owner ────────────────────

    private nint _top, _object;
    private bool _isSlow;

    private nint LoadTop(int side) => (nint)_orders.Load((nint)_block + side * sizeof(nint));

    private void StoreTop(int side, nint top) => _orders.Store((nint)_block + side * sizeof(nint), top);

    private void Operate(char operation, int step)
    {
        if (operation == '-') Pop(step);
        else Push(step);
    }

    // As NativeAllocator.Alloc. The top is only the owner's to change, so that no other thread tells its load from the
    // next.
    private void Pop(int step)
    {
        if (step == 0)
        {
            _top = LoadTop(_index);
            _object = (nint)_orders.Load(_top - sizeof(nint));
            _isSlow = _object == 0;
            return;
        }
        if (_isSlow) _object = OnSlowPath(() => (nint)MagazineExchange.AllocMiss(_block, _index, out _));
        else StoreTop(_index, _top - sizeof(nint));
        _held.Add(_object);
    }

    // As NativeAllocator.Free, of the object that was held longest.
    private void Push(int step)
    {
        if (step == 0)
        {
            _top = LoadTop(_asked);
            _object = _held[0];
            _held.RemoveAt(0);
            _isSlow = Magazine.MayBeFull(_top);
            if (!_isSlow) _orders.Store(_top, _object);
            return;
        }
        if (!_isSlow)
        {
            StoreTop(_asked, _top + sizeof(nint));
            return;
        }
        OnSlowPath(() =>
        {
            MagazineExchange.FreeMiss(_block, _asked, (void*)_object);
            return 0;
        });
    }

    // The slow paths are real and look at memory. While the magazines are claimed they look at nothing of them.
    private nint OnSlowPath(Func<nint> path)
    {
        if (!Magazines->Claim.IsClaimed) _orders.DrainAll();
        return path();
    }

    // ── the whole ────────────────────

    private void Fill(int objects, int spare)
    {
        for (int i = 0; i < objects + spare; i++) _held.Add((nint)_cache->AllocDirect(null, out _));
        for (int i = 0; i < objects; i++)
        {
            for (int step = 0; step < StepsPerOperation; step++) Push(step);
            _orders.DrainAll();
        }
        Assert.Equal(objects, _cache->Magazine.CountOf(Magazines->Loaded(_asked)));
    }

    private string? FindError()
    {
        ThreadMagazines* magazines = Magazines;
        int counted = CountLoaded(_index) + (_asked == _index ? 0 : CountLoaded(_asked));
        RaisedFloors.Enter(magazines); // makes them whole
        magazines->Claim.Leave();
        if (!magazines->Raised.IsEmpty) return "a floor is still raised";
        List<nint> all = [.. _held];
        if (magazines->Previous(_index) != CacheTable.NoMagazine)
        {
            AddObjects(magazines->Previous(_index), all);
            counted += all.Count - _held.Count;
        }
        AddObjects(magazines->Loaded(_index), all);
        if (_asked != _index) AddObjects(magazines->Loaded(_asked), all);
        foreach (nint each in all)
            if (IsInSlab(each)) return $"object {each:x} is in use and in its slab";
        if (all.Distinct().Count() != all.Count) return "an object is in two places";
        if (InUse() - _inUse != (ulong)all.Count)
            return $"{InUse() - _inUse} objects are out of their slabs and {all.Count} can be found";
        return counted == all.Count - _held.Count
            ? null
            : $"{counted} objects were counted in magazines that hold {all.Count - _held.Count}";
    }

    private int CountLoaded(int side)
    {
        nint top = Magazines->Loaded(side);
        if (top == CacheTable.NoMagazine) return 0;
        bool isRaised = Magazines->Raised.Contains(side);
        return isRaised ? RaisedFloors.Count(_cache->Magazine, top) : _cache->Magazine.CountOf(top);
    }

    private void AddObjects(nint top, List<nint> all)
    {
        if (top == CacheTable.NoMagazine) return;
        for (nint slot = _cache->Magazine.BottomOf(top); slot < top; slot += sizeof(nint)) all.Add(*(nint*)slot);
    }

    private void Empty(bool isWrong)
    {
        if (isWrong)
        {
            // What is in its slab must not be put there again.
            AddObjects(Magazines->Loaded(_index), _held);
            Magazines->SetLoaded(_index, _cache->Magazine.BottomOf(Magazines->Loaded(_index)));
            _held.RemoveAll(IsInSlab);
        }
        foreach (nint each in _held) SlabReturn.FreeDirect(_cache, null, (void*)each);
        _held.Clear();
        CacheRelease.DrainOwn(_block, _index);
        Assert.True(_inUse == InUse(), "an object is not in its slab");
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
        for (int i = 0; i < ObjectCache.NodeCount; i++) objects += _cache->Node(i)->Slabs.SlabCount
            * _cache->ObjectsPerSlab - _cache->Node(i)->Slabs.ObjectsInSlabs - (ulong)_cache->InDepot(_cache->Node(i));
        return objects;
    }
}
