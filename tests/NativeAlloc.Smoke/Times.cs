using System.Diagnostics;

namespace NativeAlloc.Smoke;

/// <summary>Two short traces, the best of several passes: nanoseconds for one allocation with its free.</summary>
internal static unsafe class Times
{
    private const int Passes = 300;

    internal static void Write()
    {
        Console.WriteLine($"  small   {Best(Small):f1} ns");
        Console.WriteLine($"  mixed   {Best(Mixed):f1} ns");
    }

    private static double Best(Func<int> trace)
    {
        double best = double.MaxValue;
        for (int pass = 0; pass < Passes; pass++)
        {
            long start = Stopwatch.GetTimestamp();
            int operations = trace();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalNanoseconds / operations);
        }
        return best;
    }

    // One size after the other, freed in the order in which they came.
    private static int Small()
    {
        const int Rounds = 2000, Live = 50;
        void** blocks = stackalloc void*[Live];
        for (int round = 0; round < Rounds; round++)
        {
            for (int i = 0; i < Live; i++) blocks[i] = NativeAllocator.Alloc((nuint)(i * 8) + 8);
            for (int i = 0; i < Live; i++) NativeAllocator.Free(blocks[i]);
        }
        return Rounds * Live;
    }

    // Some ten thousand blocks of 16 bytes to 16 KiB, each replaced at random.
    private static int Mixed()
    {
        const int Live = 10_000, Operations = 100_000;
        void*[] blocks = new void*[Live];
        uint random = 12345;
        for (int i = 0; i < Operations; i++)
        {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            ref void* block = ref blocks[random % Live];
            NativeAllocator.Free(block);
            block = NativeAllocator.Alloc((nuint)16 << (int)(random >> 20 & 10));
        }
        foreach (void* block in blocks) NativeAllocator.Free(block);
        return Operations;
    }
}
