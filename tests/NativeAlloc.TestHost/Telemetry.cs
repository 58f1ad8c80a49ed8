using System.Diagnostics.Tracing;
using NativeAlloc.Release;
using static NativeAlloc.TestHost.ProcessLimit;

namespace NativeAlloc.TestHost;

/// <summary>
/// Looks when the event source comes into being: not by an allocation, but when the profiler is started
/// (<c>profiler</c>); not where the process may have hardly more memory (<c>few</c>), however often the decay ends a
/// period. And whether it answers while another thread holds the runtime's lock of all event sources (<c>locked</c>),
/// as a tool's command does.
/// </summary>
internal static unsafe class Telemetry
{
    internal const string Name = "telemetry";

    private const long MoreBytes = 24 << 20;

    private const int Periods = 20, WaitMilliseconds = 30_000;

    internal static int Run(string[] arguments)
    {
        if (arguments[0] == "locked") return RunLocked();
        bool few = arguments[0] == "few";
        if (few && !TryLimit()) return Complain("the limit cannot be set");
        NativeAllocator.Free(NativeAllocator.Alloc(16));
        if (!few)
        {
            if (IsThere()) return Complain("an allocation has made it");
            AllocationProfiler.Start();
            return SpinWait.SpinUntil(IsThere, WaitMilliseconds) ? 0 : Complain("the profiler has not made it");
        }
        bool ended = SpinWait.SpinUntil(static () =>
        {
            NativeAllocator.Free(NativeAllocator.Alloc(900_000)); // takes pages, so that periods go on
            Thread.Sleep(1);
            return Decay.Ticks >= Periods;
        }, WaitMilliseconds);
        if (!ended) return Complain("the decay does not run");
        return IsThere() ? Complain("it was made without room for it") : 0;
    }

    private static int RunLocked()
    {
        NativeAllocator.Free(NativeAllocator.Alloc(16));
        AllocatorTelemetry.MakeOnce();
        if (!SpinWait.SpinUntil(IsThere, WaitMilliseconds)) return Complain("it was not made");
        SpinWait.SpinUntil(static () => !AllocatorTelemetry.IsMaking);
        using LockedListener listener = new();
        using EventSource other = new("NativeAlloc.Tests.Locked"); // its making takes the lock and calls the listener
        return listener.HasAnswer ? 0 : Complain("no report came while the lock was held");
    }

    // Asks for a report where the runtime calls it under the lock, and waits there for it.
    private sealed class LockedListener : EventListener
    {
        private readonly ManualResetEventSlim _answered = new();

        internal bool HasAnswer { get; private set; }

        protected override void OnEventSourceCreated(EventSource eventSource)
        {
            if (eventSource.Name != "NativeAlloc.Tests.Locked") return;
            EventSource ours = EventSource.GetSources().Single(source => source.Name == "NativeAlloc");
            EnableEvents(ours, EventLevel.Informational, EventKeywords.All,
                new Dictionary<string, string?> { ["Report"] = "json" });
            HasAnswer = _answered.Wait(WaitMilliseconds);
        }

        protected override void OnEventWritten(EventWrittenEventArgs eventData)
        {
            if (eventData.EventName == "Report") _answered.Set();
        }

        public override void Dispose()
        {
            base.Dispose();
            _answered.Dispose();
        }
    }

    private static bool IsThere() => EventSource.GetSources().Any(source => source.Name == "NativeAlloc");

    private static bool TryLimit()
    {
        _ = IsThere(); // what this takes is not to be missing later
        ulong* limits = stackalloc ulong[2]; // the soft one and the hard one
        if (GetLimit(DataBytes, limits) != 0) return false;
        limits[0] = (ulong)(ProcessMemory.DataBytes() + MoreBytes);
        return SetLimit(DataBytes, limits) == 0;
    }
}
