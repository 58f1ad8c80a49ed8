using System.Diagnostics.Metrics;
using System.Diagnostics.Tracing;
using NativeAlloc.Os;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Shows that the code of a program which runs inside a call of the library may do there whatever it may do elsewhere:
/// use each public class, give its thread's cache up, and trim.
/// </summary>
[Trait("Category", "Slow")]
public sealed unsafe class UserCodeTests : LeakCheckedTests
{
    private static Action s_work = () => { };
    private static int s_calls;

    private const int MostCalls = 3;
    private const nuint Room = 512 << 20;

    [ThreadStatic]
    internal static bool t_isInside;

    private static readonly Dictionary<string, Action> s_places = new()
    {
        ["constructor"] = InConstructor,
        ["shrinker"] = InShrinker,
        ["writer"] = InWriter,
        ["stream"] = InStream,
        ["meter listener"] = InMeterListener,
        ["event listener"] = InEventListener,
        ["first-chance handler"] = InFirstChanceHandler,
    };

    /// <summary>Each place where code of the program runs, with all that it may do there.</summary>
    public static TheoryData<string, string> Calls
    {
        get
        {
            TheoryData<string, string> calls = [];
            foreach (string place in s_places.Keys)
                foreach (string work in SlowPaths.All.Keys) calls.Add(place, work);
            return calls;
        }
    }

    [Theory]
    [MemberData(nameof(Calls))]
    public void What_it_may_do_elsewhere_it_may_do_inside_a_call(string place, string work)
    {
        s_calls = 0;
        s_work = SlowPaths.All[work];
        TestThread.RunOnNew(s_places[place]);
        Assert.True(s_calls > 0, "it was not called");
    }

    // A few times are enough; the work may come here again.
    private static void CallBack()
    {
        if (t_isInside || Volatile.Read(ref s_calls) >= MostCalls) return;
        t_isInside = true;
        try
        {
            s_work();
            NativeAllocator.ReleaseThreadCache(); // another thread may have the block from now on
            NativeAllocator.Free(NativeAllocator.Alloc(100));
            Interlocked.Increment(ref s_calls);
        }
        finally
        {
            t_isInside = false;
        }
    }

    private static void InConstructor()
    {
        using SlabCache cache = new("user-code", 3_000, constructor: &Construct);
        nint[] objects = new nint[100];
        for (int i = 0; i < objects.Length; i++) objects[i] = (nint)cache.Alloc();
        Assert.Equal(objects.Length, objects.Distinct().Count());
        foreach (nint each in objects) cache.Free((void*)each);

        static void Construct(void* pointer) => CallBack();
    }

    private static void InShrinker()
    {
        using IDisposable registration = PageAllocator.RegisterShrinker(_ =>
        {
            CallBack();
            return 0;
        });
        // There is room for what the work needs, and not for a second block.
        void* first = Vmalloc.Alloc(Room);
        ResidentBudget.SetLimit(ResidentBudget.ChargedBytes + Room * 3 / 4);
        try
        {
            Assert.False(NativeAllocator.TryAlloc(Room, out _));
        }
        finally
        {
            ResidentBudget.SetLimit(Options.ResidentLimitBytes);
            Vmalloc.Free(first);
        }
    }

    private static void InWriter()
    {
        using CallingWriter writer = new();
        AllocatorReport.WriteSlabInfo(writer);
        AllocatorReport.WriteVmallocInfo(writer);
        AllocatorReport.WriteHeapMap(writer);
    }

    private static void InStream()
    {
        using CallingStream stream = new();
        AllocatorReport.WriteJson(stream);
    }

    private static void InMeterListener()
    {
        SpinWait.SpinUntil(() =>
        {
            AllocatorTelemetry.MakeOnce();
            return AllocatorTelemetry.IsMade; // by a thread of its own
        });
        using MeterListener listener = new();
        listener.InstrumentPublished = (instrument, it) =>
        {
            if (instrument.Meter.Name == "NativeAlloc") it.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((_, _, _, _) => CallBack());
        listener.Start();
        NativeAllocator.GetStatistics();
        listener.RecordObservableInstruments();
    }

    private static void InEventListener()
    {
        Thread? writer;
        using (CallingListener listener = new()) // its code runs on the thread that passes events on
        {
            SpinWait.SpinUntil(() =>
            {
                AllocatorTelemetry.MakeOnce();
                SlowPaths.All["large blocks"]();
                NativeAllocator.Trim();
                return Volatile.Read(ref s_calls) >= MostCalls; // it is not inside any more
            });
            writer = listener.Writer;
        }
        // That thread has objects by now, and ends a little after its last listener is gone: in the middle of the next
        // test, which would find more free than before.
        Assert.True(writer!.Join(TimeSpan.FromSeconds(30)), "the thread that passes events on has not ended");
    }

    private static void InFirstChanceHandler()
    {
        AppDomain.CurrentDomain.FirstChanceException += Handle;
        try
        {
            Assert.Throws<ArgumentException>(() => NativeAllocator.Free((void*)16));
            Assert.Throws<OutOfMemoryException>(() => { NativeAllocator.Alloc(nuint.MaxValue / 2); });
            Assert.Throws<ArgumentException>(() => { NativeAllocator.AlignedAlloc(16, 3); });
        }
        finally
        {
            AppDomain.CurrentDomain.FirstChanceException -= Handle;
        }

        static void Handle(object? sender, EventArgs args) => CallBack();
    }

    private sealed class CallingWriter : StringWriter
    {
        public override void Write(char value)
        {
            CallBack();
            base.Write(value);
        }

        public override void Write(string? value)
        {
            CallBack();
            base.Write(value);
        }

        public override void Write(ReadOnlySpan<char> value)
        {
            CallBack();
            base.Write(value);
        }
    }

    private sealed class CallingStream : MemoryStream
    {
        public override void Write(byte[] buffer, int offset, int count)
        {
            CallBack();
            base.Write(buffer, offset, count);
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            CallBack();
            base.Write(buffer);
        }
    }

    private sealed class CallingListener : EventListener
    {
        private EventSource? _source;

        /// <summary>The thread that passes events on; null before the first.</summary>
        internal Thread? Writer { get; private set; }

        // A source stays enabled when its listener is only disposed of: its thread would go on, and report each second.
        public override void Dispose()
        {
            if (_source != null) DisableEvents(_source);
            base.Dispose();
        }

        protected override void OnEventSourceCreated(EventSource eventSource)
        {
            if (eventSource.Name != "NativeAlloc") return;
            _source = eventSource;
            EnableEvents(eventSource, EventLevel.Verbose);
        }

        protected override void OnEventWritten(EventWrittenEventArgs eventData)
        {
            Writer = Thread.CurrentThread;
            CallBack();
        }
    }
}
