using System.Globalization;
using NativeAlloc.Pages;
using NativeAlloc.Release;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process that allocates much on several threads, frees it and then does nothing, with a thread pool that is
/// blocked: memory goes back without a call, and then nothing wakes up any more. Prints what resident memory grew by,
/// what was left of that in the end, and how often the decay ticked in several periods after it had disarmed.
/// </summary>
internal static unsafe class GoesBack
{
    internal const string Name = "goes-back";

    private const int ThreadCount = 4;
    private const nuint BytesPerThread = 32 << 20;

    // Several periods of the length that the test sets.
    private const int LongAfterMilliseconds = 500;

    internal static int Run()
    {
        BlockThreadPool();
        NativeAllocator.Free(NativeAllocator.Alloc(100));
        long before = ProcessMemory.ResidentBytes();
        using Barrier full = new(ThreadCount + 1), freed = new(ThreadCount + 1);
        for (int i = 0; i < ThreadCount; i++)
        {
            int number = i;
            new Thread(() =>
            {
                List<nint> blocks = Fill(number);
                full.SignalAndWait();
                full.SignalAndWait(); // measured
                foreach (nint block in blocks) NativeAllocator.Free((void*)block);
                freed.SignalAndWait();
                Thread.Sleep(Timeout.Infinite); // idle, but alive
            })
            { IsBackground = true }.Start();
        }
        full.SignalAndWait();
        long grown = ProcessMemory.ResidentBytes() - before;
        full.SignalAndWait();
        freed.SignalAndWait();
        while (Decay.IsArmed) Thread.Sleep(10);
        long left = ProcessMemory.ResidentBytes() - before, ticks = Decay.Ticks;
        Thread.Sleep(LongAfterMilliseconds);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{grown} {left} {Decay.Ticks - ticks}"));
        NativeAllocator.Verify();
        return 0;
    }

    private static List<nint> Fill(int seed)
    {
        List<nint> blocks = [];
        Random random = new(seed);
        for (nuint bytes = 0; bytes < BytesPerThread;)
        {
            nuint size = random.Next(1000) == 0 ? (nuint)random.Next(1 << 20) : (nuint)random.Next(16, 4096);
            void* block = NativeAllocator.Alloc(size);
            new Span<byte>(block, (int)size).Fill(1);
            blocks.Add((nint)block);
            bytes += size;
        }
        return blocks;
    }

    private static void BlockThreadPool()
    {
        ThreadPool.SetMaxThreads(Environment.ProcessorCount, Environment.ProcessorCount);
        for (int i = 0; i < 4 * Environment.ProcessorCount; i++)
            ThreadPool.QueueUserWorkItem(static _ => Thread.Sleep(Timeout.Infinite));
    }
}
