using System.Buffers;
using System.Diagnostics.Tracing;
using NativeAlloc.Release;
using static NativeAlloc.TestHost.ProcessLimit;

namespace NativeAlloc.TestHost;

/// <summary>
/// Looks when the event source comes into being: not by an allocation, but when the profiler is started
/// (<c>profiler</c>); not where the process may have hardly more memory (<c>few</c>), however often the decay ends a
/// period. And whether it answers while another thread holds the runtime's lock of all event sources (<c>locked</c>),
/// as a tool's command does; and whether a thread of the program can use its first array pool while it is made
/// (<c>pool</c>).
/// </summary>
internal static unsafe class Telemetry
{
    internal const string Name = "telemetry";

    private const long MoreBytes = 24 << 20;

    private const int Periods = 20, WaitMilliseconds = 30_000;

    internal static int Run(string[] arguments)
    {
        if (arguments[0] == "locked") return RunLocked();
        if (arguments[0] == "pool") return RunWithPool();
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

    private static int RunWithPool()
    {
        const string Pools = "System.Buffers.ArrayPoolEventSource";
        NativeAllocator.Free(NativeAllocator.Alloc(16));
        if (IsThere(Pools)) return Complain("a pool was used before, so nothing can be shown");
        using PoolListener listener = new(Pools);
        AllocatorTelemetry.MakeOnce();
        bool ended = SpinWait.SpinUntil(() => listener.HasUsedPool && AllocatorTelemetry.IsMade, WaitMilliseconds);
        if (!ended) return Complain("the user of a pool and the thread that makes the source wait for each other");
        return listener.WasThere ? 0 : Complain("the source of pools comes later, and may come under the lock");
    }

    // Where the runtime tells of the library's source, under the lock of all sources, another thread uses a pool: for
    // the first time, unless somebody else has.
    private sealed class PoolListener(string pools) : EventListener
    {
        private Thread? _user;

        internal bool WasThere { get; private set; }

        internal bool HasUsedPool => Volatile.Read(ref _user)?.Join(0) == true;

        protected override void OnEventSourceCreated(EventSource eventSource)
        {
            if (eventSource.Name != "NativeAlloc") return;
            WasThere = IsThere(pools);
            Thread user = new(static () => ArrayPool<char>.Shared.Return(ArrayPool<char>.Shared.Rent(1)))
            {
                IsBackground = true,
            };
            user.Start();
            SpinWait.SpinUntil(() => user.Join(0) || user.ThreadState.HasFlag(ThreadState.WaitSleepJoin));
            Volatile.Write(ref _user, user);
        }
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

    private static bool IsThere() => IsThere("NativeAlloc");

    private static bool IsThere(string name) => EventSource.GetSources().Any(source => source.Name == name);

    private static bool TryLimit()
    {
        _ = IsThere(); // what this takes is not to be missing later
        ulong* limits = stackalloc ulong[2]; // the soft one and the hard one
        if (GetLimit(DataBytes, limits) != 0) return false;
        limits[0] = (ulong)(ProcessMemory.DataBytes() + MoreBytes);
        return SetLimit(DataBytes, limits) == 0;
    }
}
