namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>
/// Threads that begin and end within a pass, for workloads that are about just that. Their stacks are small and all of
/// one size: the C library keeps them for the next thread, so that after the warm-up they are part of the baseline.
/// </summary>
internal static class FreshThreads
{
    private const int StackBytes = 256 * 1024;

    public static Thread Start(Action body)
    {
        Thread thread = new(() => body(), StackBytes) { IsBackground = true };
        thread.Start();
        return thread;
    }

    /// <summary>Runs a body on so many new threads at once, and returns when all of them have ended.</summary>
    public static void Run(int count, Action<int> body)
    {
        Thread[] threads = new Thread[count];
        for (int i = 0; i < count; i++)
        {
            int index = i;
            threads[i] = Start(() => body(index));
        }

        foreach (Thread thread in threads)
            thread.Join();
    }
}
