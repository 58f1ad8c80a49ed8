namespace NativeAlloc.Benchmarks.Scaling;

/// <summary>
/// mimalloc's: pages that belong to a thread, with a list of free objects each. A free on another thread is an atomic
/// push onto the page's list of such, which the owner takes as a whole when it finds nothing else.
/// </summary>
/// <param name="cores">Cores, each with one thread.</param>
/// <param name="blocks">Blocks of all recordings.</param>
internal sealed class PageListStructure(int cores, int blocks) : AllocatorStructure(cores)
{
    private const int SmallPageBytes = 64 * 1024, LargePageBytes = 512 * 1024, LargestOfSmallPage = 8 * 1024;

    // Getting a page of the arena that all threads share.
    private const double PageNs = 50;

    private readonly List<Page>?[] _pages = new List<Page>?[cores * Classes];
    private readonly Page?[] _pageOf = new Page?[blocks];
    private readonly SharedLine _arena = new();
    private double _idleBytes;

    internal override double IdleBytes => _idleBytes;

    internal override double Alloc(int core, int block, int sizeClass, double now)
    {
        if (sizeClass == 0)
            return _arena.Use(core, now, PageNs);
        List<Page> pages = _pages[(core * Classes) + sizeClass] ??= [];
        int bytes = BytesOf(sizeClass);
        int found = pages.FindIndex(page => page.Free != 0);
        if (found < 0)
        {
            found = pages.FindIndex(page => page.FreedByOthers != 0);
            if (found >= 0)
            {
                now = pages[found].Line.Use(core, now);
                (pages[found].Free, pages[found].FreedByOthers) = (pages[found].FreedByOthers, 0);
            }
            else
            {
                now = _arena.Use(core, now, PageNs);
                found = pages.Count;
                int objects = Math.Max(1, (bytes <= LargestOfSmallPage ? SmallPageBytes : LargePageBytes) / bytes);
                pages.Add(new Page(core) { Free = objects });
                _idleBytes += (double)objects * bytes;
            }
        }

        if (found != 0)
            (pages[0], pages[found]) = (pages[found], pages[0]); // next time it is the first
        pages[0].Free--;
        _idleBytes -= bytes;
        _pageOf[block] = pages[0];
        return now;
    }

    internal override double Free(int core, int block, int sizeClass, double now)
    {
        if (_pageOf[block] is not { } page)
            return _arena.Use(core, now, PageNs);
        _pageOf[block] = null;
        _idleBytes += BytesOf(sizeClass);
        if (page.Owner == core)
        {
            page.Free++;
            return now;
        }

        page.FreedByOthers++;
        return page.Line.Use(core, now);
    }

    private sealed class Page(int owner)
    {
        internal int Owner { get; } = owner;

        internal SharedLine Line { get; } = new();

        internal int Free { get; set; }

        internal int FreedByOthers { get; set; }
    }
}
