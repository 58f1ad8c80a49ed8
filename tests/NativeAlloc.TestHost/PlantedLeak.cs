using System.Runtime.CompilerServices;

namespace NativeAlloc.TestHost;

/// <summary>
/// Leaks 100 MiB at one place while 30 others allocate and free, or hold little. It prints the line of the leak.
/// </summary>
internal static unsafe class PlantedLeak
{
    internal const string Name = "planted-leak";

    private const int Places = 30, LeakedBlocks = 100_000, LeakedBytes = 1000;

    private const nuint KeptBytes = 200_000;

    internal static int Run()
    {
        NativeAllocator.Free(NativeAllocator.Alloc(1)); // the profiler begins with the first allocation
        int line = 0;
        for (int i = 0; i < LeakedBlocks; i++)
        {
            for (int place = 0; place < 3; place++) NativeAllocator.Free(Others(i % Places, LeakedBytes));
            Leak(out line);
        }
        for (int place = 0; place < Places; place++) Others(place, KeptBytes);
        Console.WriteLine(line);
        return 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* Leak(out int line)
    {
        line = LineOf();
        return NativeAllocator.Alloc(LeakedBytes - 8);
    }

    private static int LineOf([CallerLineNumber] int line = 0) => line + 1;

    // As many places as the depth of the stack tells apart.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* Others(int place, nuint bytes) =>
        place == 0 ? NativeAllocator.Alloc(bytes) : Next(Others(place - 1, bytes));

    private static void* Next(void* block) => block;
}
