namespace NativeAlloc.TestHost;

/// <summary>
/// A process that trims in finalizers, and while it ends, with other threads at work all the time. Prints how many
/// finalizers trimmed, and a last word from the end.
/// </summary>
internal static unsafe class TrimAtExit
{
    internal const string Name = "trim-at-exit";

    internal const string LastWord = "trimmed at exit";

    private static int s_finalized;

    internal static int Run()
    {
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            NativeAllocator.Trim();
            NativeAllocator.Verify();
            Console.WriteLine(LastWord);
        };
        for (int i = 0; i < 2; i++)
        {
            int seed = i;
            new Thread(() => Work(seed)) { IsBackground = true }.Start();
        }
        for (int i = 0; i < 20; i++)
        {
            for (int j = 0; j < 10; j++) _ = new Trimmer();
            GC.Collect();
            GC.WaitForPendingFinalizers();
            NativeAllocator.Trim();
        }
        Console.WriteLine(Volatile.Read(ref s_finalized));
        return 0;
    }

    // Until the process ends, and beyond its last words.
    private static void Work(int seed)
    {
        const int Blocks = 500;
        Random random = new(seed);
        (nint Block, int Bytes)[] held = new (nint, int)[Blocks];
        while (true)
        {
            int index = random.Next(Blocks);
            (nint block, int bytes) = held[index];
            if (block != 0)
            {
                Pattern.Check((void*)block, (nuint)bytes, (ulong)index);
                NativeAllocator.Free((void*)block);
            }
            bytes = random.Next(100) == 0 ? random.Next(300_000) : random.Next(2000);
            void* fresh = NativeAllocator.Alloc((nuint)bytes);
            Pattern.Fill(fresh, (nuint)bytes, (ulong)index);
            held[index] = ((nint)fresh, bytes);
        }
    }

    private sealed class Trimmer
    {
        ~Trimmer()
        {
            NativeAllocator.Trim();
            Interlocked.Increment(ref s_finalized);
        }
    }
}
