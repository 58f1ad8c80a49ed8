using System.Diagnostics;
using System.Globalization;

namespace NativeAlloc.TestHost;

/// <summary>
/// Everything at once for as long as asked: blocks, pages, areas, caches and arenas on several threads that come and go
/// and pass blocks to each other, with trims and checks between. What is in a block tells whether it is still its own.
/// </summary>
/// <remarks>
/// Arguments: seconds (600 unless told otherwise), a seed, and the number of threads. Each thread's choices follow from
/// the seed; how the threads take turns does not.
/// </remarks>
internal static unsafe class Soak
{
    internal const string Name = "soak";

    private const int DefaultSeconds = 600, DefaultThreads = 4, OpsOfThread = 20_000, SlotsOfThread = 400, Shared = 64;

    // Blocks that wait for any thread to free them; 0 for none. By Interlocked.
    private static readonly nint[] s_shared = new nint[Shared];

    private static long s_operations;
    private static Exception? s_error;

    internal static int Run(string[] args)
    {
        int seconds = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : DefaultSeconds;
        int seed = args.Length > 1
            ? int.Parse(args[1], CultureInfo.InvariantCulture)
            : Environment.TickCount & int.MaxValue;
        int threads = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : DefaultThreads;
        Console.WriteLine($"seed {seed}, {threads} threads, {seconds} seconds");
        long end = Stopwatch.GetTimestamp() + seconds * Stopwatch.Frequency;
        using SlabCache cache = new("soak", 200);
        for (int round = 0; Stopwatch.GetTimestamp() < end && s_error == null; round++)
        {
            int first = unchecked(seed + round * threads);
            TestThread.RunTogether(threads, index => RunThread(unchecked(first + index), cache, end));
            NativeAllocator.Check();
        }
        FreeShared();
        NativeAllocator.Trim();
        NativeAllocator.Check();
        if (s_error != null)
        {
            Console.Error.WriteLine($"seed {seed} fails after {s_operations} operations: {s_error}");
            return 1;
        }
        Console.WriteLine($"seed {seed}: {s_operations} operations, no failure");
        return 0;
    }

    private static void RunThread(int seed, SlabCache cache, long end)
    {
        Worker worker = new(seed, cache);
        try
        {
            int done = 0;
            while (done < OpsOfThread && Stopwatch.GetTimestamp() < end && Volatile.Read(ref s_error) == null)
            {
                worker.Step();
                done++;
            }
            worker.FreeAll();
            Interlocked.Add(ref s_operations, done);
        }
        catch (Exception error)
        {
            Interlocked.CompareExchange(ref s_error, new InvalidOperationException($"thread seed {seed}", error), null);
        }
    }

    private static void FreeShared()
    {
        for (int i = 0; i < Shared; i++) NativeAllocator.Free((void*)Interlocked.Exchange(ref s_shared[i], 0));
    }

    private sealed class Worker(int seed, SlabCache cache)
    {
        private readonly Random _random = new(seed);
        private readonly (nint Address, nuint Bytes, ulong Id)[] _blocks =
            new (nint, nuint, ulong)[SlotsOfThread];
        private readonly List<nint> _objects = [];
        private ulong _nextId = (ulong)(uint)seed << 32;

        internal void Step()
        {
            int slot = _random.Next(SlotsOfThread);
            switch (_random.Next(100))
            {
                case < 70:
                    if (_blocks[slot].Address == 0) Alloc(slot);
                    else Free(slot);
                    break;
                case < 80:
                    if (_blocks[slot].Address != 0) Resize(slot);
                    break;
                case < 88:
                    PassOn();
                    break;
                case < 94:
                    UseCache();
                    break;
                case < 97:
                    UsePages();
                    break;
                case < 99:
                    UseArenaAndArea();
                    break;
                default:
                    GiveBack();
                    break;
            }
        }

        internal void FreeAll()
        {
            for (int slot = 0; slot < SlotsOfThread; slot++) Free(slot);
            foreach (nint pointer in _objects) cache.Free((void*)pointer);
            _objects.Clear();
        }

        // Mostly small, now and then up to 2 MiB: the exponent is even, the size within it too.
        private nuint NextSize()
        {
            const int MostShift = 21, MostSmallShift = 12;
            int shift = _random.Next(16) == 0 ? _random.Next(MostShift) : _random.Next(MostSmallShift);
            return (nuint)_random.Next(1 << shift, 2 << shift);
        }

        private void Alloc(int slot)
        {
            nuint bytes = NextSize();
            void* pointer;
            switch (_random.Next(4))
            {
                case 0:
                    pointer = NativeAllocator.AllocZeroed(bytes);
                    Pattern.CheckZero(pointer, bytes);
                    break;
                case 1:
                    nuint alignment = (nuint)1 << _random.Next(17);
                    pointer = NativeAllocator.AlignedAlloc(bytes, alignment);
                    if ((nuint)pointer % alignment != 0) throw new InvalidOperationException("not aligned");
                    break;
                default:
                    pointer = NativeAllocator.Alloc(bytes);
                    break;
            }
            _blocks[slot] = ((nint)pointer, bytes, _nextId++);
            Pattern.Fill(pointer, bytes, _blocks[slot].Id);
        }

        private void Free(int slot)
        {
            (nint address, nuint bytes, ulong id) = _blocks[slot];
            if (address == 0) return;
            Pattern.Check((void*)address, bytes, id);
            NativeAllocator.Free((void*)address);
            _blocks[slot] = default;
        }

        private void Resize(int slot)
        {
            (nint address, nuint bytes, ulong id) = _blocks[slot];
            nuint wanted = NextSize();
            byte* resized = (byte*)NativeAllocator.Realloc((void*)address, wanted);
            if (wanted >= bytes) Pattern.Check(resized, bytes, id);
            _blocks[slot] = ((nint)resized, wanted, id);
            Pattern.Fill(resized, wanted, id);
        }

        private void PassOn()
        {
            void* pointer = NativeAllocator.Alloc(NextSize());
            nint other = Interlocked.Exchange(ref s_shared[_random.Next(Shared)], (nint)pointer);
            NativeAllocator.Free((void*)other);
        }

        private void UseCache()
        {
            if (_objects.Count == 0 || (_objects.Count < SlotsOfThread && _random.Next(2) == 0))
            {
                _objects.Add((nint)cache.Alloc());
                return;
            }
            int at = _random.Next(_objects.Count);
            cache.Free((void*)_objects[at]);
            _objects[at] = _objects[^1];
            _objects.RemoveAt(_objects.Count - 1);
        }

        private void UsePages()
        {
            int order = _random.Next(4);
            void* pages = PageAllocator.GetFreePages(order);
            Pattern.Fill(pages, (nuint)PageAllocator.PageSize << order, _nextId);
            Pattern.Check(pages, (nuint)PageAllocator.PageSize << order, _nextId++);
            PageAllocator.FreePages(pages, order);
        }

        private void UseArenaAndArea()
        {
            using NativeArena arena = new();
            for (int i = 0; i < 20; i++) Pattern.Fill(arena.Alloc(100 + (nuint)i), 100, _nextId++);
            byte* area = (byte*)Vmalloc.Alloc(300_000);
            Pattern.Fill(area, 300_000, _nextId);
            area = (byte*)Vmalloc.Realloc(area, 700_000);
            Pattern.Check(area, 300_000, _nextId++);
            Vmalloc.Free(area);
        }

        private void GiveBack()
        {
            switch (_random.Next(20))
            {
                case 0:
                    NativeAllocator.Trim();
                    break;
                case 1:
                    NativeAllocator.GetStatistics();
                    break;
                default:
                    NativeAllocator.ReleaseThreadCache();
                    break;
            }
        }
    }
}
