using NativeAlloc.Release;

namespace NativeAlloc.TestHost;

/// <summary>
/// A program that uses memory, rests until the thread that gives it back has ended, and uses memory again. Each time
/// everything goes back.
/// </summary>
internal static unsafe class DecayEnds
{
    internal const string Name = "decay-ends";

    private const nuint BlockBytes = 100_000;

    private const int Times = 3;

    internal static int Run()
    {
        for (int time = 1; time <= Times; time++)
        {
            NativeAllocator.Free(NativeAllocator.Alloc(BlockBytes));
            // If it never happens, the process is killed from outside.
            while (Decay.FullRounds < time || DecayThread.IsThere) Thread.Sleep(1);
        }
        return 0;
    }
}
