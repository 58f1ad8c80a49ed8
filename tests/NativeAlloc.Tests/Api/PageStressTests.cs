using System.Collections.Concurrent;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that threads which take pages of all kinds, pass them to each other and free them, while another gives all
/// memory back again and again, never get a page that is somebody else's; and that in the end all sections are whole
/// again and all requests are counted.
/// </summary>
public sealed unsafe class PageStressTests : LeakCheckedTests
{
    private const int Threads = 8, Slots = 256, LargestOrder = 6;

    private const nuint PageBytes = PageAllocator.PageSize;

    // The threads go on until so many blocks were freed and all memory was given back so often.
    private const long Frees = 8_000, Trims = 40;

    [Fact]
    [Trait("Category", "Slow")]
    public void Pages_stay_whole_whoever_takes_and_frees_them_and_merge_in_the_end()
    {
        foreach (PageZone zone in Enum.GetValues<PageZone>()) Zones.Prepare(zone);
        Dictionary<PageZone, (long[] Free, ZoneStatistics Figures)> before =
            Enum.GetValues<PageZone>().ToDictionary(zone => zone, zone => (Zones.FreeBlocks(zone), Zones.Read(zone)));
        Exchange exchange = new();
        Thread[] threads =
        [
            .. Enumerable.Range(0, Threads)
                .Select(number => new Thread(() => exchange.Live(number)) { IsBackground = true }),
        ];
        Thread trimmer = new(() => exchange.Trim()) { IsBackground = true };
        foreach (Thread thread in threads) thread.Start();
        trimmer.Start();
        foreach (Thread thread in (Thread[])[.. threads, trimmer]) thread.Join();
        exchange.FreeAll();
        NativeAllocator.Trim();
        Assert.Null(exchange.Error);
        Assert.True(exchange.ForeignFrees > exchange.Frees / 2,
            $"only {exchange.ForeignFrees} of {exchange.Frees} blocks were freed by another thread");

        long requests = 0;
        foreach ((PageZone zone, (long[] free, ZoneStatistics figures)) in before)
        {
            // The sections that were brought online meanwhile are free blocks of the largest order, and nothing else
            // has changed.
            ZoneStatistics now = Zones.Read(zone);
            long[] expected = [.. free];
            expected[^1] += (now.OnlinePages - figures.OnlinePages) >> PageAllocator.MaxOrder;
            Assert.Equal(expected, Zones.FreeBlocks(zone));
            requests += now.Hits - figures.Hits;
        }
        Assert.Equal(exchange.Requests, requests);
    }

    /// <summary>The slots through which threads pass blocks to each other, and what a thread does with them.</summary>
    private sealed class Exchange
    {
        private readonly Block?[] _slots = new Block?[Slots];
        private readonly ConcurrentQueue<Exception> _errors = new();
        private long _lastId, _frees, _foreignFrees, _trims, _requests;

        internal Exception? Error => _errors.TryPeek(out Exception? error) ? error : null;

        internal long Frees => Volatile.Read(ref _frees);

        internal long ForeignFrees => _foreignFrees;

        // The one kind of thread waits for the other's count, so that neither goes short.
        private bool IsOver =>
            (Frees >= PageStressTests.Frees && Volatile.Read(ref _trims) >= Trims) || !_errors.IsEmpty;

        internal long Requests => _requests;

        internal void Live(int number) => Run(new Random(number), random =>
        {
            ref Block? slot = ref _slots[random.Next(Slots)];
            Free(Interlocked.Exchange(ref slot, random.Next(5) < 2 ? null : Make(random, number)), random, number);
            if (random.Next(2_000) == 0) NativeAllocator.ReleaseThreadCache();
        });

        internal void Trim() => Run(new Random(99), random =>
        {
            NativeAllocator.Trim();
            if (random.Next(10) == 0) NativeAllocator.Verify();
            if (random.Next(10) == 0) _ = NativeAllocator.GetStatistics();
            Interlocked.Increment(ref _trims);
            Watchdog.Progress();
            while (Volatile.Read(ref _trims) * PageStressTests.Frees > Frees * Trims && _errors.IsEmpty) Thread.Yield();
        });

        internal void FreeAll()
        {
            for (int slot = 0; slot < Slots; slot++) Free(_slots[slot], new Random(slot), -1);
        }

        private void Run(Random random, Action<Random> step)
        {
            try
            {
                while (!IsOver) step(random);
            }
            catch (Exception error)
            {
                _errors.Enqueue(error);
            }
        }

        // The larger the rarer; a high block in a hundred, and of DMA pages single ones, as many as any process may
        // lock.
        private Block Make(Random random, int thread)
        {
            int order = random.Next(1 + random.Next(LargestOrder + 1));
            int dice = random.Next(100);
            PageFlags flags =
                random.Next(4) switch { 0 => PageFlags.Movable, 1 => PageFlags.Reclaimable, _ => PageFlags.None };
            if (dice < 1) flags |= PageFlags.High;
            else if (dice < 5) (flags, order) = (flags | PageFlags.Dma, 0);
            if (random.Next(8) == 0) flags |= PageFlags.Zeroed;
            if (random.Next(8) == 0) flags |= PageFlags.Cold;
            Interlocked.Increment(ref _requests);
            Block block;
            if (dice >= 85) // which are neither high nor DMA pages
            {
                nuint bytes = (nuint)random.Next(1, 1 << LargestOrder) * PageBytes;
                block = new Block(PageAllocator.PageOf(PageAllocator.AllocExact(bytes, flags)), -1, bytes,
                    Interlocked.Increment(ref _lastId), thread);
            }
            else
            {
                Page page = flags == PageFlags.None && order == 0
                    ? PageAllocator.AllocPage()
                    : PageAllocator.AllocPages(order, flags);
                block = new Block(page, order, PageBytes << order, Interlocked.Increment(ref _lastId), thread);
            }
            if ((flags & PageFlags.Zeroed) != 0)
                Use(block, static (address, bytes, _) => Pattern.CheckZero(address, bytes));
            Use(block, Fill);
            return block;
        }

        private void Free(Block? block, Random random, int thread)
        {
            if (block == null) return;
            Use(block, Check);
            Interlocked.Increment(ref _frees);
            if (block.Thread != thread) Interlocked.Increment(ref _foreignFrees);
            void* address = block.Page.Address;
            if (address != null && random.Next(3) == 0) NativeAllocator.Free(address);
            else if (block.Order < 0) PageAllocator.FreeExact(address, block.Bytes);
            else if (address != null && random.Next(2) == 0) PageAllocator.FreePages(address, block.Order);
            else if (block.Order == 0) PageAllocator.FreePage(block.Page);
            else PageAllocator.FreePages(block.Page, block.Order);
        }

        // Both ends of every page: enough to tell whose it is, so that the time goes into taking and freeing.
        private static void Fill(void* address, nuint bytes, ulong id)
        {
            for (nuint page = 0; page < bytes; page += PageBytes) EndsOf(address, page, id, Pattern.Fill);
        }

        private static void Check(void* address, nuint bytes, ulong id)
        {
            for (nuint page = 0; page < bytes; page += PageBytes) EndsOf(address, page, id, Pattern.Check);
        }

        private static void EndsOf(void* address, nuint page, ulong id, PatternUse use)
        {
            const nuint EndBytes = 200;
            use((byte*)address + page, EndBytes, id + (ulong)(page / PageBytes << 40));
            use((byte*)address + page + PageBytes - EndBytes, EndBytes, id);
        }

        private delegate void PatternUse(void* block, nuint bytes, ulong id);

        private static void Use(Block block, PatternUse use)
        {
            if (block.Page.Address != null)
            {
                use(block.Page.Address, block.Bytes, (ulong)block.Id);
                return;
            }
            using HighWindow window = new(block.Page, block.Bytes);
            use(window.Address, block.Bytes, (ulong)block.Id);
        }

        private sealed record Block(Page Page, int Order, nuint Bytes, long Id, int Thread);
    }
}
