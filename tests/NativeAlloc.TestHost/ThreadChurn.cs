using System.Globalization;
using NativeAlloc.Threads;

namespace NativeAlloc.TestHost;

/// <summary>
/// Many short-lived threads, a few at a time, each of which allocates and frees. The threads of a group hold their
/// blocks together, so that the first groups already need as much memory as any later one.
/// </summary>
internal static unsafe class ThreadChurn
{
    internal const string Name = "thread-churn";

    /// <summary>Threads alive at one time.</summary>
    internal const int AliveTogether = 4;

    /// <summary>Threads before the first measurement, and in all.</summary>
    internal const int WarmUpThreads = 1_000, AllThreads = 10_000;

    private const int BlocksPerThread = 200;

    private static readonly TimeSpan s_longest = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Prints the growth of resident memory after the warm-up, the thread blocks there are, the threads that adopted
    /// one, and the blocks that are live.
    /// </summary>
    internal static int Run(string[] args)
    {
        int threads = args.Length == 0 ? AllThreads : int.Parse(args[0], CultureInfo.InvariantCulture);
        RunThreads(0, WarmUpThreads);
        GC.WaitForPendingFinalizers(); // what the runtime keeps of a thread; its finalizers run late on a busy machine
        long before = ProcessMemory.ResidentBytes();
        RunThreads(WarmUpThreads, threads);
        GC.WaitForPendingFinalizers();
        long growth = ProcessMemory.ResidentBytes() - before;
        AllocatorStatistics statistics = default;
        // The decay's thread may be draining magazines: what it moves counts as live meanwhile, some milliseconds long.
        SpinWait.SpinUntil(() => (statistics = NativeAllocator.GetStatistics()).LiveBlocks == 0, s_longest);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{growth} {ThreadRegistry.Count} {statistics.Adoptions} {statistics.LiveBlocks}"));
        return 0;
    }

    private static void RunThreads(int from, int to)
    {
        Thread[] alive = new Thread[AliveTogether];
        for (int number = from; number < to; number += AliveTogether)
        {
            using StartLine allHoldTheirBlocks = new(AliveTogether);
            for (int i = 0; i < AliveTogether; i++)
            {
                int seed = number + i;
                alive[i] = new Thread(() => Work(seed, allHoldTheirBlocks));
                alive[i].Start();
            }
            foreach (Thread thread in alive) thread.Join();
        }
    }

    // Sizes of every layer below the system's; each block is touched at both ends.
    private static void Work(int seed, StartLine allHoldTheirBlocks)
    {
        byte** blocks = stackalloc byte*[BlocksPerThread];
        for (int i = 0; i < BlocksPerThread; i++)
        {
            uint dice = unchecked((uint)(seed * 7919 + i) * 2654435761) >> 4;
            nuint largest = i == 0 ? 2_000_000u : i < 4 ? 200_000u : i < 20 ? 20_000u : 1_000u;
            nuint bytes = 1 + dice % largest;
            blocks[i] = (byte*)NativeAllocator.Alloc(bytes);
            blocks[i][0] = blocks[i][bytes - 1] = 1;
        }
        allHoldTheirBlocks.Cross();
        for (int i = 0; i < BlocksPerThread; i++) NativeAllocator.Free(blocks[i]);
    }
}
