namespace NativeAlloc.Benchmarks.Scaling;

/// <summary>
/// This library's: two magazines for each thread and class, a depot for each class and node, slabs behind a lock. With
/// groups, each so many cores have a depot of their own before the node's, in which an equal part of the same number of
/// magazines is kept.
/// </summary>
/// <param name="cores">Cores, each with one thread.</param>
/// <param name="coresOfGroup">Cores with a depot of their own; 0 for none.</param>
/// <param name="fewThreads">So many threads have magazines of the largest capacity; more share what these have.</param>
internal sealed class MagazineStructure(int cores, int coresOfGroup, int fewThreads) : AllocatorStructure(cores)
{
    private const int MagazineBytes = 16 * 1024, ContendedBytes = 128 * 1024, MostObjects = 255, MostContended = 63;
    private const int SmallestContended = 512, LargestMagazineObject = 32 * 1024, DepotBytes = 1024 * 1024;
    private const int CoresOfNode = 64;

    // A visit to the slabs, and each object there.
    private const double SlabNs = 50, ObjectNs = 2;

    private readonly int[] _loaded = new int[cores * Classes], _previous = new int[cores * Classes];
    private readonly Depot[] _nodes = Depots((cores + CoresOfNode - 1) / CoresOfNode);
    private readonly Depot[] _groups = coresOfGroup == 0 ? [] : Depots((cores + coresOfGroup - 1) / coresOfGroup);
    private double _idleBytes;

    internal override double IdleBytes => _idleBytes;

    internal override double Alloc(int core, int block, int sizeClass, double now)
    {
        int at = (core * Classes) + sizeClass, bytes = BytesOf(sizeClass), capacity = CapacityOf(bytes);
        if (sizeClass == 0 || bytes > LargestMagazineObject)
            return NodeOf(core, sizeClass).Slabs.Use(core, now, SlabNs);
        if (_loaded[at] == 0)
        {
            (_loaded[at], _previous[at]) = (_previous[at], 0);
            if (_loaded[at] == 0)
                now = Fill(core, sizeClass, capacity, now, out _loaded[at]);
        }

        _loaded[at]--;
        _idleBytes -= bytes;
        return now;
    }

    internal override double Free(int core, int block, int sizeClass, double now)
    {
        int at = (core * Classes) + sizeClass, bytes = BytesOf(sizeClass), capacity = CapacityOf(bytes);
        if (sizeClass == 0 || bytes > LargestMagazineObject)
            return NodeOf(core, sizeClass).Slabs.Use(core, now, SlabNs);
        if (_loaded[at] >= capacity)
        {
            if (_previous[at] >= capacity)
                now = Empty(core, sizeClass, capacity, now);
            (_loaded[at], _previous[at]) = (0, capacity);
        }

        _loaded[at]++;
        _idleBytes += bytes;
        return now;
    }

    private double Fill(int core, int sizeClass, int capacity, double now, out int objects)
    {
        objects = capacity;
        if (coresOfGroup != 0 && GroupOf(core, sizeClass).TryPop(core, ref now))
            return now;
        Depot node = NodeOf(core, sizeClass);
        if (node.TryPop(core, ref now))
            return now;
        _idleBytes += (double)capacity * BytesOf(sizeClass);
        return node.Slabs.Use(core, now, SlabNs + (capacity * ObjectNs));
    }

    private double Empty(int core, int sizeClass, int capacity, double now)
    {
        int limit = Math.Max(1, DepotBytes / (capacity * BytesOf(sizeClass)));
        if (coresOfGroup != 0)
        {
            // A half of what the node keeps is with the groups.
            int groups = Math.Min(Cores, CoresOfNode) / coresOfGroup, share = Math.Max(1, limit / 2 / groups);
            if (GroupOf(core, sizeClass).TryPush(core, share, ref now))
                return now;
            limit -= limit / 2;
        }

        Depot node = NodeOf(core, sizeClass);
        if (node.TryPush(core, limit, ref now))
            return now;
        _idleBytes -= (double)capacity * BytesOf(sizeClass);
        return node.Slabs.Use(core, now, SlabNs + (capacity * ObjectNs));
    }

    private Depot NodeOf(int core, int sizeClass) => _nodes[(core / CoresOfNode * Classes) + sizeClass];

    private Depot GroupOf(int core, int sizeClass) => _groups[(core / coresOfGroup * Classes) + sizeClass];

    // Where threads take turns at a depot a magazine of large objects holds more, the less the more threads there are.
    private int CapacityOf(int bytes)
    {
        if (bytes == 0)
            return 0;
        int capacity = Math.Clamp(MagazineBytes / bytes, 2, MostObjects);
        if (bytes < SmallestContended)
            return capacity;
        int largest = Math.Clamp(ContendedBytes / bytes, capacity, MostContended);
        return Math.Max(capacity, largest * fewThreads / Math.Max(fewThreads, Cores));
    }

    private static Depot[] Depots(int count) => [.. Enumerable.Range(0, count * Classes).Select(_ => new Depot())];

    private sealed class Depot
    {
        private readonly SharedLine _full = new(), _empty = new();
        private int _count;

        internal SharedLine Slabs { get; } = new();

        // Two stacks and their counts, on two lines. What finds nothing has looked only.
        internal bool TryPop(int core, ref double now)
        {
            if (_count == 0)
                return false;
            _count--;
            now = _full.Use(core, now, SharedLine.AtomicNs);
            now = _empty.Use(core, now, SharedLine.AtomicNs);
            return true;
        }

        internal bool TryPush(int core, int limit, ref double now)
        {
            if (_count >= limit)
                return false;
            _count++;
            now = _empty.Use(core, now, SharedLine.AtomicNs);
            now = _full.Use(core, now, SharedLine.AtomicNs);
            return true;
        }
    }
}
