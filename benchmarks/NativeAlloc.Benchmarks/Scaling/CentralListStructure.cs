namespace NativeAlloc.Benchmarks.Scaling;

/// <summary>
/// tcmalloc's (gperftools): a list for each thread and class, whose length adapts, and for each class a central list
/// behind a lock, with places for whole batches before it.
/// </summary>
/// <param name="cores">Cores, each with one thread.</param>
internal sealed class CentralListStructure(int cores) : AllocatorStructure(cores)
{
    private const int BatchBytes = 64 * 1024, LargestBatch = 32, LongestList = 8192, Places = 64;
    private const int LargestCachedBytes = 256 * 1024;
    private const double CacheBytes = 32 << 20, LeastCacheBytes = 512 << 10;

    // A batch that has a place, and each object of one that has none: its span is looked up and written.
    private const double LockNs = 10, ObjectNs = 10;

    private readonly int[] _count = new int[cores * Classes], _longest = new int[cores * Classes];
    private readonly double[] _cachedBytes = new double[cores];
    private readonly SharedLine[] _central = [.. Enumerable.Range(0, Classes).Select(_ => new SharedLine())];
    private readonly int[] _placed = new int[Classes];
    private double _idleBytes;

    internal override double IdleBytes => _idleBytes;

    internal override double Alloc(int core, int block, int sizeClass, double now)
    {
        int at = (core * Classes) + sizeClass, bytes = BytesOf(sizeClass);
        if (sizeClass == 0 || bytes > LargestCachedBytes)
            return _central[0].Use(core, now, LockNs);
        if (_count[at] == 0)
        {
            int batch = BatchOf(bytes), objects = Math.Clamp(_longest[at], 1, batch);
            bool isPlaced = objects == batch && _placed[sizeClass] != 0;
            if (isPlaced)
                _placed[sizeClass]--;
            else
                _idleBytes += (double)objects * bytes;
            now = _central[sizeClass].Use(core, now, LockNs + (isPlaced ? 0 : objects * ObjectNs));
            _count[at] += objects;
            _cachedBytes[core] += (double)objects * bytes;
            _longest[at] = Math.Min(LongestList, _longest[at] < batch ? _longest[at] + 1 : _longest[at] + batch);
        }

        _count[at]--;
        _cachedBytes[core] -= bytes;
        _idleBytes -= bytes;
        return now;
    }

    internal override double Free(int core, int block, int sizeClass, double now)
    {
        int at = (core * Classes) + sizeClass, bytes = BytesOf(sizeClass);
        if (sizeClass == 0 || bytes > LargestCachedBytes)
            return _central[0].Use(core, now, LockNs);
        _count[at]++;
        _cachedBytes[core] += bytes;
        _idleBytes += bytes;
        int batch = BatchOf(bytes);
        bool isLong = _count[at] > Math.Max(1, _longest[at]);
        if (!isLong && _cachedBytes[core] <= Math.Max(LeastCacheBytes, CacheBytes / Cores))
            return now;
        if (isLong && _longest[at] < batch)
            _longest[at]++;
        int objects = Math.Min(_count[at], batch);
        bool isPlaced = objects == batch && _placed[sizeClass] < Places;
        if (isPlaced)
            _placed[sizeClass]++;
        else
            _idleBytes -= (double)objects * bytes;
        _count[at] -= objects;
        _cachedBytes[core] -= (double)objects * bytes;
        return _central[sizeClass].Use(core, now, LockNs + (isPlaced ? 0 : objects * ObjectNs));
    }

    private static int BatchOf(int bytes) => Math.Clamp(BatchBytes / bytes, 2, LargestBatch);
}
