namespace NativeAlloc.TestHost;

/// <summary>
/// A process whose live bytes cross a threshold: it waits to be told by the decay's thread, or compares by itself,
/// where that thread does nothing.
/// </summary>
internal static unsafe class CrossesThreshold
{
    internal const string Name = "crosses-threshold";

    /// <summary>The decay's thread compares.</summary>
    internal const string ByItself = "by-itself";

    /// <summary>The program compares, to see what is told when.</summary>
    internal const string ByHand = "by-hand";

    private const int Bytes = 16 << 20, PatienceMilliseconds = 60_000;

    /// <summary>How often it was told. By Interlocked and Volatile.</summary>
    private static int s_told;

    internal static int Run(string[] args)
    {
        IDisposable registration = NativeAllocator.RegisterThreshold(Bytes, static live =>
        {
            if (live >= Bytes) Interlocked.Increment(ref s_told);
        });
        if (args[0] == ByItself) return Cross(compare: false) && Volatile.Read(ref s_told) == 1 ? 0 : 1;
        if (!Cross(compare: true) || Volatile.Read(ref s_told) != 1) return 2; // once, though compared twice
        LiveThresholds.Compare(); // it is far below
        if (!Cross(compare: true) || Volatile.Read(ref s_told) != 2) return 3;
        LiveThresholds.Compare();
        registration.Dispose();
        registration.Dispose();
        return Cross(compare: true) || Volatile.Read(ref s_told) != 2 ? 4 : 0;
    }

    // False where nothing was told. After the registration's end that is known at once, as nothing is queued.
    private static bool Cross(bool compare)
    {
        int before = Volatile.Read(ref s_told);
        void* block = NativeAllocator.Alloc(Bytes + 1);
        for (int i = 0; compare && i < 2; i++) LiveThresholds.Compare();
        bool isTold = SpinWait.SpinUntil(() => Volatile.Read(ref s_told) != before,
            before == 2 ? 100 : PatienceMilliseconds);
        NativeAllocator.Free(block);
        return isTold;
    }
}
