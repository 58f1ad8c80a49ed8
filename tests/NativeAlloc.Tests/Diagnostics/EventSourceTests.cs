using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Tracing;
using System.Runtime.CompilerServices;
using Microsoft.Diagnostics.NETCore.Client;
using Microsoft.Diagnostics.Tracing;
using NativeAlloc.Diagnostics;
using NativeAlloc.Os;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Diagnostics;

/// <summary>
/// Proves that listeners in the process and outside of it get the events that they ask for, and no others.
/// </summary>
public sealed unsafe class EventSourceTests : LeakCheckedTests
{
    private const long SlabsKeyword = 1, PurgeKeyword = 4, ThreadsKeyword = 16, ReportsKeyword = 128;

    [Fact]
    public void A_listener_gets_what_it_asks_for_with_time_and_thread()
    {
        using Listener listener = new((EventKeywords)(SlabsKeyword | PurgeKeyword));
        listener.AwaitSource();
        for (int attempt = 0; attempt < 20 && !listener.Has("SlabsMade", "SlabsGiven", "Purged"); attempt++)
        {
            using (SlabCache cache = new("events", 1000))
            {
                for (int i = 0; i < 100; i++) cache.Free(cache.Alloc());
            }
            NativeAllocator.Trim();
            listener.AwaitEvent();
        }
        EventWrittenEventArgs made = listener.Events.First(e => e.EventName == "SlabsMade");
        Assert.Equal(["microseconds", "threadId", "objectBytes", "slabs"], made.PayloadNames!);
        Assert.InRange((long)made.Payload![0]!, 1, (long)(Stopwatch.GetTimestamp() * (1e6 / Stopwatch.Frequency)));
        Assert.NotEqual(0L, made.Payload[1]);
        Assert.InRange((long)made.Payload[3]!, 1, 100);
        Assert.DoesNotContain(listener.Events, e => e.EventName is "SectionOnline" or "Reclaimed" or "Adopted");
    }

    [Fact]
    public void Every_keyword_that_an_event_uses_is_declared()
    {
        using Listener listener = new(0);
        EventSource source = listener.AwaitSource();
        string manifest = EventSource.GenerateManifest(source.GetType(), "")!;
        Assert.NotNull(manifest);
        foreach (string keyword in (string[])["Slabs", "Pages", "Purge", "Reclaim", "Threads", "Samples"])
            Assert.Contains($"<keyword name=\"{keyword}\"", manifest, StringComparison.Ordinal);
    }

    [Fact]
    public void An_event_that_finds_the_ring_full_is_counted()
    {
        using Listener listener = new((EventKeywords)ThreadsKeyword);
        listener.AwaitSource();
        bool dropped = SpinWait.SpinUntil(() =>
        {
            for (int i = 0; i < 10_000; i++) EventRing.Raise(EventKind.Adopted, (ulong)i);
            return listener.Has("Dropped");
        }, TimeSpan.FromSeconds(30));
        Assert.True(dropped);
        long[] owners = [.. listener.Events.Where(e => e.EventName == "Adopted").Take(1000)
            .Select(e => (long)e.Payload![2]!)];
        Assert.All(owners.Zip(owners.Skip(1)), pair => Assert.True(pair.First < pair.Second || pair.Second == 0));
    }

    [Fact]
    public void A_report_whose_session_ended_before_it_was_written_is_not_written_in_the_next()
    {
        using ManualResetEventSlim isHeld = new(), goesOn = new();
        using Listener listener = new((EventKeywords)ReportsKeyword);
        listener.Written = _ =>
        {
            isHeld.Set();
            goesOn.Wait(CancellationToken.None);
        };
        EventSource source = listener.AwaitSource();
        Assert.True(isHeld.Wait(TimeSpan.FromSeconds(30), CancellationToken.None));
        Ask("first");
        listener.DisableEvents(source);
        listener.Written = null;
        goesOn.Set();
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref RunsOf((AllocatorEventSource)source)) == 0,
            TimeSpan.FromSeconds(30)));
        Ask("second");
        Assert.True(SpinWait.SpinUntil(() => Names().Contains("second"), TimeSpan.FromSeconds(30)));
        Assert.DoesNotContain("first", Names());

        void Ask(string report) => listener.EnableEvents(source, EventLevel.Informational,
            (EventKeywords)ReportsKeyword, new Dictionary<string, string?> { ["Report"] = report });

        // Others may have been in the ring when the session began.
        IEnumerable<string> Names() =>
            listener.Events.Where(e => e.EventName == "Report").Select(e => (string)e.Payload![0]!);
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_runs")]
    private static extern ref int RunsOf(AllocatorEventSource source);

    [Fact]
    public void A_session_of_the_diagnostics_port_gets_the_events_of_a_process_that_enabled_nothing()
    {
        using BusyProcess busy = new();
        DiagnosticsClient client = new(busy.Id);
        using EventPipeSession session = client.StartEventPipeSession(
            [new EventPipeProvider("NativeAlloc", EventLevel.Informational, SlabsKeyword)], requestRundown: false);
        using EventPipeEventSource source = new(session.EventStream);
        bool isMade = false;
        source.Dynamic.All += e =>
        {
            if (e.ProviderName != "NativeAlloc" || isMade) return;
            Assert.DoesNotContain("Purged", e.EventName, StringComparison.Ordinal);
            if (e.EventName != "SlabsMade") return;
            isMade = true;
            Assert.True((long)e.PayloadByName("objectBytes") > 0);
            session.Stop();
        };
        source.Process();
        Assert.True(isMade);
    }

    [Theory]
    [InlineData("dotnet-trace", "SlabsMade", "collect", "--providers", "NativeAlloc:0x1:4", "--duration", "00:00:00:03",
        "-o")]
    [InlineData("dotnet-counters", "nativealloc", "collect", "--counters", "NativeAlloc", "--duration", "00:00:00:05",
        "--format", "csv", "-o")]
    public void The_tools_of_dotnet_see_it(string tool, string expected, params string[] arguments)
    {
        SystemNeeds.NoWine("no .NET SDK is there to run them");
        using BusyProcess busy = new();
        using TemporaryDirectory directory = new();
        string file = Path.Combine(directory.Path, "out." + (tool == "dotnet-trace" ? "nettrace" : "csv"));
        DotnetTool.Run(tool, [.. arguments, file, "--process-id", busy.Id.ToString("0", null)]).ShouldSucceed();
        if (tool == "dotnet-trace")
        {
            using EventPipeEventSource source = new(file);
            int events = 0;
            source.Dynamic.All += e => events += e.ProviderName == "NativeAlloc" && e.EventName == expected ? 1 : 0;
            source.Process();
            Assert.NotEqual(0, events);
            return;
        }
        string csv = File.ReadAllText(file);
        Assert.Contains("nativealloc.memory.live", csv, StringComparison.Ordinal);
        Assert.Contains(expected, csv, StringComparison.Ordinal);
    }

    private sealed class Listener(EventKeywords keywords) : EventListener
    {
        private readonly ManualResetEventSlim _found = new();
        private EventSource? _source;

        internal ConcurrentQueue<EventWrittenEventArgs> Events { get; } = new();

        /// <summary>Is called for each event, on the thread that writes them.</summary>
        internal Action<EventWrittenEventArgs>? Written { get; set; }

        // The decay's thread would have it made too, if no test had switched the decay off.
        internal EventSource AwaitSource()
        {
            AllocatorTelemetry.MakeOnce();
            foreach (EventSource source in EventSource.GetSources()) OnEventSourceCreated(source);
            Assert.True(_found.Wait(TimeSpan.FromSeconds(30)), "The event source was not made.");
            EnableEvents(_source!, EventLevel.Informational, keywords);
            return _source!;
        }

        internal void AwaitEvent()
        {
            int before = Events.Count;
            SpinWait.SpinUntil(() => Events.Count != before, TimeSpan.FromSeconds(1));
        }

        // A source stays enabled when its listener is only disposed of: its thread would go on in later tests, take
        // locks there, and report each second.
        public override void Dispose()
        {
            if (_source is AllocatorEventSource source)
            {
                DisableEvents(source);
                SpinWait.SpinUntil(() => Volatile.Read(ref RunsOf(source)) == 0, TimeSpan.FromSeconds(30));
            }
            base.Dispose();
        }

        internal bool Has(params string[] names) => names.All(name => Events.Any(e => e.EventName == name));

        protected override void OnEventSourceCreated(EventSource eventSource)
        {
            if (eventSource.Name != "NativeAlloc" || _found == null) return; // the base constructor calls this
            _source = eventSource;
            _found.Set();
        }

        protected override void OnEventWritten(EventWrittenEventArgs eventData)
        {
            Events.Enqueue(eventData);
            Written?.Invoke(eventData);
        }
    }
}
