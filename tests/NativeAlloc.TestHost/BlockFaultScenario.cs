namespace NativeAlloc.TestHost;

/// <summary>A way through the whole allocator of blocks that makes every layer grow and give back.</summary>
internal sealed unsafe class BlockFaultScenario : FaultScenario
{
    private const nuint KiB = 1024, MiB = 1024 * KiB;

    // A section of the page layer: a block of this size needs a whole one.
    private const nuint SectionBytes = 64 * MiB;

    private const nuint BulkObjectBytes = 32 * KiB;

    private const int MostBulkFailures = 50;

    private const int PageRunOrder = 5;

    private const nuint PageRunBytes = PageAllocator.PageSize << PageRunOrder;

    // Enough to tell whose a block is without touching all of the large ones.
    private const nuint PatternBytes = 128 * KiB;

    private readonly List<Block> _blocks = [];
    private readonly List<nint> _bulk = [];
    private readonly List<nint> _ballast = [];
    private nuint _bulkCount = 2 * SectionBytes / BulkObjectBytes;

    /// <summary>
    /// Takes the pages that are free now out of the way, so that the scenario has to ask the system for more.
    /// </summary>
    internal void TakeFreePages()
    {
        NativeAllocator.Trim();
        nuint committed = NativeAllocator.GetStatistics().CommittedBytes;
        do
        {
            _ballast.Add((nint)PageAllocator.GetFreePages(PageAllocator.MaxOrder));
        }
        while (NativeAllocator.GetStatistics().CommittedBytes == committed);
        // Of the zone that slabs are from; what is free in others is no use to them.
        long freePages = NativeAllocator.GetStatistics().Zones.Where(zone => zone.Zone == PageZone.Normal)
            .Sum(zone => zone.FreePages);
        _bulkCount += (nuint)freePages * PageAllocator.PageSize / BulkObjectBytes;
    }

    internal override void Run()
    {
        AllocateFreshSections();
        AllocateEverySize();
        AllocateAligned();
        AllocateBulk();
        AllocateHuge();
        AllocateFromCache();
        AllocateFromArena();
        ResizeBlocks();
        FreeEveryOther();
        GiveBack();
        OnAnotherThread(() =>
        {
            AllocateEverySize();
            FreeEveryOther();
        });
        CheckAll();
    }

    internal override void CheckAll()
    {
        foreach (Block block in _blocks) Check(block);
    }

    internal override void FreeAll()
    {
        foreach (Block block in _blocks) NativeAllocator.Free((void*)block.Address);
        foreach (nint address in _bulk) NativeAllocator.Free((void*)address);
        foreach (nint address in _ballast) NativeAllocator.Free((void*)address);
        _blocks.Clear();
        _bulk.Clear();
        _ballast.Clear();
    }

    private void AllocateFreshSections()
    {
        Allocate(SectionBytes, () => (nint)NativeAllocator.Alloc(SectionBytes));
        Allocate(SectionBytes - 5 * MiB, () => (nint)NativeAllocator.AllocZeroed(SectionBytes - 5 * MiB), zeroed: true);
    }

    private void AllocateEverySize()
    {
        for (nuint bytes = 1; bytes <= 2 * MiB; bytes = bytes * 3 / 2 + 7)
        {
            Allocate(bytes, () => (nint)NativeAllocator.Alloc(bytes));
            Allocate(bytes, () => (nint)NativeAllocator.AllocZeroed(bytes), zeroed: true);
        }
    }

    private void AllocateAligned()
    {
        foreach (nuint alignment in (ReadOnlySpan<nuint>)[64, 4 * KiB, 64 * KiB, 2 * MiB, SectionBytes, 256 * MiB])
        {
            Allocate(100, () => (nint)NativeAllocator.AlignedAlloc(100, alignment));
            Allocate(3 * MiB, () => (nint)NativeAllocator.AlignedAlloc(3 * MiB, alignment));
        }
    }

    // Untouched, so it costs addresses only; more than the pages that were free before, so slabs have to grow into new
    // sections.
    private void AllocateBulk()
    {
        // Each failure comes after a look at all memory there is: some tell as much as thousands.
        for ((nuint i, int failures) = (0u, 0); i < _bulkCount && failures < MostBulkFailures; i++)
        {
            if (!Try(() => _bulk.Add(AllocOrThrow(BulkObjectBytes)))) failures++;
        }
    }

    private void AllocateHuge()
    {
        // Pages grow beyond the largest order: they move into an area.
        int before = _blocks.Count;
        Allocate(PageRunBytes, () => (nint)PageAllocator.GetFreePages(PageRunOrder));
        if (_blocks.Count != before) Resize(before, 5 * MiB);
        Allocate(100 * MiB, () => (nint)NativeAllocator.Alloc(100 * MiB));
        Allocate(SectionBytes + 1, () => (nint)NativeAllocator.AllocZeroed(SectionBytes + 1), zeroed: true);
        Allocate(80 * MiB, () => AllocOrThrow(80 * MiB));
    }

    private static nint AllocOrThrow(nuint bytes) =>
        NativeAllocator.TryAlloc(bytes, out void* block) ? (nint)block : throw new OutOfMemoryException();

    // As many as need new slabs, and magazines on a thread that has none for this cache.
    private void AllocateFromCache()
    {
        const nuint Bytes = 3000;
        SlabCache? made = null;
        if (!Try(() => made = new SlabCache("faults", Bytes, constructor: &MarkAsMade))) return;
        using SlabCache cache = made!;
        List<Block> objects = [];
        for (int i = 0; i < 2000; i++)
        {
            Try(() =>
            {
                byte* each = (byte*)cache.Alloc();
                if (*(ulong*)each != Made) throw new InvalidOperationException("an object was not constructed");
                objects.Add(new Block((nint)each, Bytes, NextId()));
                Pattern.Fill(each, Bytes, objects[^1].Id);
            });
        }
        foreach (Block each in objects)
        {
            Check(each);
            *(ulong*)each.Address = Made;
            cache.Free((void*)each.Address);
        }
        cache.Shrink();
    }

    private void AllocateFromArena()
    {
        NativeArena? made = null;
        if (!Try(() => made = new NativeArena())) return; // the library has not begun, for want of addresses
        using NativeArena arena = made!;
        for (int round = 0; round < 2; round++)
        {
            List<Block> blocks = [];
            for (nuint bytes = 1; bytes <= 8 * MiB; bytes = bytes * 3 / 2 + 7)
            {
                Try(() =>
                {
                    blocks.Add(new Block((nint)arena.Alloc(bytes, 64), bytes, NextId()));
                    Pattern.Fill((void*)blocks[^1].Address, Filled(bytes), blocks[^1].Id);
                });
            }
            foreach (Block block in blocks) Check(block);
            arena.Reset();
        }
    }

    private const ulong Made = 0x600D_600D_600D_600D;

    private static void MarkAsMade(void* each) => *(ulong*)each = Made;

    private void ResizeBlocks()
    {
        // Each from one layer into another, or within one: by copying, in place, by moving pages.
        Resize(_blocks.Count - 1, 140 * MiB);
        Resize(_blocks.Count - 1, 90 * MiB);
        Resize(_blocks.Count - 2, 10 * MiB);
        Resize(_blocks.Count - 2, 30 * MiB);
        Resize(_blocks.Count - 3, 600);
        for (int i = 0; i < 12; i++) Resize(i, 90_000);
        Resize(5, 3 * MiB);
        Resize(6, 70 * MiB);
        Resize(7, 1000, 4096);
        Resize(8, 5 * MiB, 2 * MiB);
    }

    private void FreeEveryOther()
    {
        for (int i = _blocks.Count - 1; i >= 0; i -= 2)
        {
            Block block = _blocks[i];
            _blocks.RemoveAt(i);
            Check(block);
            NativeAllocator.Free((void*)block.Address);
        }
        for (int i = 0; i < _bulk.Count / 2; i++) NativeAllocator.Free((void*)_bulk[i]);
        _bulk.RemoveRange(0, _bulk.Count / 2);
    }

    private void GiveBack()
    {
        NativeAllocator.Trim();
        AllocateEverySize();
        NativeAllocator.ReleaseThreadCache();
        AllocateEverySize();
        _ = NativeAllocator.GetStatistics();
    }

    private void Allocate(nuint bytes, Func<nint> allocate, bool zeroed = false)
    {
        Block block = default;
        if (!Try(() => block = new Block(allocate(), bytes, NextId()))) return;
        _blocks.Add(block);
        if (zeroed) Pattern.CheckZero((void*)block.Address, Filled(bytes));
        Pattern.Fill((void*)block.Address, Filled(bytes), block.Id);
    }

    private void Resize(int index, nuint bytes, nuint alignment = 16)
    {
        if (index < 0 || index >= _blocks.Count) return; // what should have been there was not to be had
        Block old = _blocks[index];
        nint address = 0;
        if (!Try(() => address = (nint)NativeAllocator.AlignedRealloc((void*)old.Address, bytes, alignment)))
        {
            Check(old);
            return;
        }
        if (address % (nint)alignment != 0)
            throw new InvalidOperationException($"0x{address:x} is not a multiple of {alignment}");
        _blocks[index] = old with { Address = address, Bytes = bytes };
        Pattern.Check((void*)address, Filled(Math.Min(old.Bytes, bytes)), old.Id);
        Pattern.Fill((void*)address, Filled(bytes), old.Id);
    }

    private static void Check(Block block) => Pattern.Check((void*)block.Address, Filled(block.Bytes), block.Id);

    private static nuint Filled(nuint bytes) => Math.Min(bytes, PatternBytes);

    private readonly record struct Block(nint Address, nuint Bytes, ulong Id);
}
