using System.Collections.Concurrent;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that threads which allocate, resize, hand blocks to each other and free them, end, and give memory back all
/// at once, never get memory that is somebody else's, and that nothing is lost in between.
/// </summary>
public sealed unsafe class StressTests : LeakCheckedTests
{
    private const int Threads = 8, Slots = 1024;

    // So many blocks are freed, however long that takes.
    private const long Frees = 100_000;

    // A thread makes so many steps, then another takes its place.
    private const int ShortestLife = 200, LongestLife = 4_000;

    [Fact]
    [Trait("Category", "Slow")]
    public void Blocks_stay_whole_whoever_allocates_and_frees_them()
    {
        using Exchange exchange = new();
        Random random = new(1);
        int born = 0;
        Thread?[] alive = new Thread?[Threads];
        while (exchange.Frees < Frees && exchange.Error == null)
        {
            for (int i = 0; i < Threads; i++)
            {
                if (alive[i] is { IsAlive: true }) continue;
                int seed = ++born, steps = random.Next(ShortestLife, LongestLife);
                Thread thread = new(() => exchange.Live(seed, steps)) { IsBackground = true };
                alive[i] = thread;
                thread.Start();
            }
            Watchdog.Progress();
            exchange.AwaitDeath();
        }
        foreach (Thread? thread in alive) thread?.Join();
        exchange.FreeAll();
        Assert.Null(exchange.Error);
        Assert.True(born > 3 * Threads, $"only {born} threads lived");
        Assert.True(exchange.ForeignFrees > exchange.Frees / 2,
            $"only {exchange.ForeignFrees} of {exchange.Frees} blocks were freed by another thread");
    }

    /// <summary>The slots through which threads hand blocks to each other, and what a thread does with them.</summary>
    private sealed class Exchange : IDisposable
    {
        private readonly nint[] _slots = new nint[Slots];
        private readonly SemaphoreSlim _deaths = new(0);
        private readonly ConcurrentQueue<Exception> _errors = new();
        private long _lastId, _frees, _foreignFrees;

        /// <summary>Waits until a thread is at the end of its life.</summary>
        internal void AwaitDeath() => _deaths.Wait();

        internal Exception? Error => _errors.TryPeek(out Exception? error) ? error : null;

        internal long Frees => Volatile.Read(ref _frees);

        internal long ForeignFrees => _foreignFrees;

        internal void Live(int number, int steps)
        {
            try
            {
                Random random = new(number);
                for (int step = 0; step < steps && Frees < StressTests.Frees && _errors.IsEmpty; step++)
                    Step(random, number);
            }
            catch (Exception error)
            {
                _errors.Enqueue(error);
            }
            finally
            {
                _deaths.Release();
            }
        }

        public void Dispose() => _deaths.Dispose();

        internal void FreeAll()
        {
            for (int slot = 0; slot < Slots; slot++) Free(Interlocked.Exchange(ref _slots[slot], 0), 0);
        }

        private void Step(Random random, int thread)
        {
            int dice = random.Next(10_000);
            if (dice < 3) NativeAllocator.Trim();
            else if (dice < 10) NativeAllocator.ReleaseThreadCache();
            else if (dice < 13) NativeAllocator.Verify();
            else if (dice < 20) _ = NativeAllocator.GetStatistics();
            else if (dice < 1500) ResizeOne(random, thread);
            else Free(Interlocked.Exchange(ref _slots[random.Next(Slots)], dice < 3500 ? 0 : Make(random, thread)),
                thread);
        }

        private void ResizeOne(Random random, int thread)
        {
            Header* block = (Header*)Interlocked.Exchange(ref _slots[random.Next(Slots)], 0);
            if (block == null) return;
            Check(block);
            nuint old = block->Bytes, bytes = RandomSize(random);
            block = (Header*)NativeAllocator.Realloc(block, bytes);
            nuint kept = Math.Min(old, bytes);
            nuint filled = old - (nuint)sizeof(Header), left = kept - (nuint)sizeof(Header);
            if (filled <= PagePattern.FilledBytes) Pattern.Check(block + 1, left, block->Id);
            else PagePattern.CheckPages(block + 1, left, block->Id);
            Write(block, bytes, thread);
            Free(Interlocked.Exchange(ref _slots[random.Next(Slots)], (nint)block), thread);
        }

        private nint Make(Random random, int thread)
        {
            nuint bytes = RandomSize(random);
            Header* block;
            switch (random.Next(4))
            {
                case 0:
                    block = (Header*)NativeAllocator.AllocZeroed(bytes);
                    Pattern.CheckZero(block, bytes);
                    break;
                case 1:
                    nuint alignment = (nuint)1 << random.Next(4, 17);
                    block = (Header*)NativeAllocator.AlignedAlloc(bytes, alignment);
                    if ((nuint)block % alignment != 0)
                        throw new InvalidOperationException($"0x{(nuint)block:x} is not at a multiple of {alignment}");
                    break;
                default:
                    block = (Header*)NativeAllocator.Alloc(bytes);
                    break;
            }
            Write(block, bytes, thread);
            return (nint)block;
        }

        private void Write(Header* block, nuint bytes, int thread)
        {
            block->Bytes = bytes;
            block->Id = ((ulong)Interlocked.Increment(ref _lastId) << 16) + (ulong)thread;
            PagePattern.Fill(block + 1, bytes - (nuint)sizeof(Header), block->Id);
        }

        private void Free(nint address, int thread)
        {
            if (address == 0) return;
            Header* block = (Header*)address;
            Check(block);
            Interlocked.Increment(ref _frees);
            if ((int)(block->Id & 0xFFFF) != thread) Interlocked.Increment(ref _foreignFrees);
            block->Id = ulong.MaxValue; // whoever frees it a second time finds no pattern
            NativeAllocator.Free(block);
        }

        private static void Check(Header* block)
        {
            if (NativeAllocator.UsableSize(block) < block->Bytes)
                throw new InvalidOperationException($"the header of the block at 0x{(nuint)block:x} was changed");
            PagePattern.Check(block + 1, block->Bytes - (nuint)sizeof(Header), block->Id);
        }

        // The larger the rarer, so that every layer takes part and none all the time.
        private static nuint RandomSize(Random random)
        {
            nuint smallest = (nuint)sizeof(Header);
            return random.Next(10_000) switch
            {
                < 7000 => smallest + (nuint)random.Next(1000),
                < 9000 => smallest + (nuint)random.Next(32 * 1024),
                < 9900 => smallest + (nuint)random.Next(512 * 1024),
                < 9995 => smallest + (nuint)random.Next(4 << 20),
                _ => smallest + (nuint)random.Next(72 << 20),
            };
        }

        private struct Header
        {
            public nuint Bytes;
            public ulong Id;
        }
    }
}
