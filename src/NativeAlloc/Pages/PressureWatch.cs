using System.Runtime.CompilerServices;

namespace NativeAlloc.Pages;

/// <summary>
/// Looks at the machine's memory after each collection of the oldest generation, as the runtime does itself: where it is scarce, the decay gives everything back at once.
/// </summary>
/// <remarks>
/// An object that nobody knows has its finalizer run when the collector finds it, and registers itself anew: after the first two collections it is in the oldest generation, and found by those only. There is
/// one for the process' life; it costs a collection some hundred nanoseconds and one small managed object, and asks for nothing while the decay has nothing to give.
/// </remarks>
internal sealed class PressureWatch
{
    // A program that collects all the time is not to lose its caches each time.
    private const int LeastMilliseconds = 1000;

    private static long s_looks;

    private long _lastRequest = -LeastMilliseconds;

    private PressureWatch()
    {
    }

    /// <summary>How often it looked.</summary>
    internal static long Looks => Volatile.Read(ref s_looks);

    ~PressureWatch()
    {
        if (Environment.HasShutdownStarted) return;
        Volatile.Write(ref s_looks, s_looks + 1); // there is one thread for finalizers
        GCMemoryInfo memory = GC.GetGCMemoryInfo(GCKind.Any);
        long now = Environment.TickCount64;
        if (IsScarce(memory.MemoryLoadBytes, memory.HighMemoryLoadThresholdBytes) && now - _lastRequest >= LeastMilliseconds)
        {
            _lastRequest = now;
            Decay.RequestRound();
        }
        GC.ReRegisterForFinalize(this);
    }

    /// <summary>Whether the runtime itself calls the load high.</summary>
    internal static bool IsScarce(long loadBytes, long highBytes) => highBytes > 0 && loadBytes >= highBytes;

    // Not inlined, so that no caller's frame keeps it alive.
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void Begin() => _ = new PressureWatch();
}
