using System.Runtime.CompilerServices;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process in which something goes wrong beside the library while its memory goes back: it must go on, and the memory
/// must go back in the end.
/// </summary>
internal static unsafe class DecaySurvives
{
    internal const string Name = "decay-survives";

    /// <summary>The managed heap is full to its limit, again and again, while periods end.</summary>
    internal const string FullHeap = "full-heap";

    /// <summary>
    /// The managed heap is nearly full, so that what tools look for must not be made; later it is.
    /// </summary>
    internal const string NearlyFull = "nearly-full-heap";

    /// <summary>An exception comes out of the middle of a purge.</summary>
    internal const string Failure = "failure";

    private const int PatienceMilliseconds = 60_000;

    internal static int Run(string[] args)
    {
        if (args[0] == NearlyFull) return MakeLater();
        RunFinalizer();
        Use();
        return args[0] == FullHeap ? FillHeap() : Fail();
    }

    // The runtime's thread for finalizers allocates when it runs the first one, and ends the process where it cannot
    // (.NET 10: GC.RunFinalizers, a thread's statics). That is no fault of what is tested.
    private static void RunFinalizer()
    {
        LeaveFinalizable();
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LeaveFinalizable() => _ = new Finalizable();

    private sealed class Finalizable
    {
        ~Finalizable() => GC.KeepAlive(this); // that it runs is all it is for
    }

    private static int MakeLater()
    {
        if (IsMadeInFullHeap(beginsBefore: false)) return Complain("something is made though the heap is nearly full");
        GC.Collect();
        if (IsMadeInFullHeap(beginsBefore: true)) return Complain("something is made though the heap has filled up");
        GC.Collect();
        AllocatorTelemetry.MakeOnce();
        if (!Await(() => AllocatorTelemetry.IsMade)) return Complain("it is not made later");
        AllocatorReport.WriteJson(Stream.Null);
        return 0;
    }

    // A method of its own, so that nothing is held when the heap is collected.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool IsMadeInFullHeap(bool beginsBefore)
    {
        const int Bytes = 100_000, ShortestWaitMilliseconds = 400; // for the program's own use of an array pool
        long most = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4 * 3, begin = Environment.TickCount64;
        List<byte[]> held = [];
        if (beginsBefore) AllocatorTelemetry.MakeOnce();
        while (GC.GetTotalMemory(forceFullCollection: false) < most) held.Add(new byte[Bytes]);
        bool isInTime = Environment.TickCount64 - begin < ShortestWaitMilliseconds;
        if (!beginsBefore) AllocatorTelemetry.MakeOnce();
        bool isMade = AllocatorTelemetry.IsMade || (AllocatorTelemetry.IsMaking && !beginsBefore);
        if (!isMade) Await(() => !AllocatorTelemetry.IsMaking);
        isMade |= AllocatorTelemetry.IsMade;
        GC.KeepAlive(held);
        return isMade && (isInTime || !beginsBefore);
    }

    private static int FillHeap()
    {
        const int Rounds = 20;
        for (int round = 0; round < Rounds; round++)
            if (!HasGoneOn()) return Complain("the decay has stopped");
        return 0;
    }

    // A method of its own, so that nothing is held when the next round begins.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool HasGoneOn()
    {
        const int LargeBytes = 100_000, SmallBytes = 1_000;
        long ticks = Decay.Ticks;
        List<byte[]> held = new(100_000);
        Fill(held, LargeBytes);
        Fill(held, SmallBytes); // nothing is left
        Use();
        long end = Environment.TickCount64 + PatienceMilliseconds;
        while (Decay.Ticks < ticks + 2 && Environment.TickCount64 < end) Thread.Yield();
        GC.KeepAlive(held);
        return Decay.Ticks >= ticks + 2;
    }

    private static void Fill(List<byte[]> held, int bytes)
    {
        try
        {
            while (held.Count < 100_000) held.Add(new byte[bytes]);
        }
        catch (OutOfMemoryException)
        {
        }
    }

    private static int Fail()
    {
        int thrown = 0;
        OsFaults.Fails = call => call == OsCall.Purge && Thread.CurrentThread.Name == "NativeAlloc decay"
            && Interlocked.Exchange(ref thrown, 1) == 0
            ? throw new OutOfMemoryException("a test's own")
            : false;
        // Memory goes back when it rests, so nothing is used until it has gone back, or could not.
        long end = Environment.TickCount64 + PatienceMilliseconds;
        while (Volatile.Read(ref thrown) == 0)
        {
            if (Environment.TickCount64 > end) return Complain("nothing was purged");
            Use();
            Await(() => Volatile.Read(ref thrown) != 0 || !Decay.IsArmed);
        }
        Use();
        bool isBack = Await(() => !Decay.IsArmed) && PageLayer.DirtyFreePages() == 0;
        return isBack ? 0 : Complain("memory does not go back any more");
    }

    private static void Use()
    {
        void* block = NativeAllocator.Alloc(1 << 20);
        *(int*)block = 1;
        NativeAllocator.Free(block);
        NativeAllocator.Free(NativeAllocator.Alloc(100));
    }

    private static bool Await(Func<bool> condition) => SpinWait.SpinUntil(condition, PatienceMilliseconds);

    private static int Complain(string reason)
    {
        Console.Error.WriteLine(reason);
        return 1;
    }
}
