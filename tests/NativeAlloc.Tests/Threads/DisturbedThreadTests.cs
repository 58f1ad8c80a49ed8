using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Threads;

/// <summary>
/// Shows that what the runtime may do to a thread inside the library disturbs no operation: an interrupt, which stays
/// for the program to see, and a collection, which stops the thread where it stands.
/// </summary>
[Trait("Category", "Slow")]
public sealed class DisturbedThreadTests : LeakCheckedTests
{
    public static TheoryData<string> Work => [.. SlowPaths.All.Keys];

    [Theory]
    [MemberData(nameof(Work))]
    public void A_thread_that_was_interrupted_does_its_work_and_is_told_later(string work) => TestThread.RunOnNew(() =>
    {
        Thread.CurrentThread.Interrupt();
        SlowPaths.All[work]();
        Assert.Throws<ThreadInterruptedException>(() => Thread.Sleep(1));
    });

    [Theory]
    [MemberData(nameof(Work))]
    public void A_thread_that_a_collection_stops_at_each_place_does_its_work(string work)
    {
        using Collector collector = new();
        TestThread.RunOnNew(() =>
        {
            using WhileReached reached = new(_ => collector.Collect());
            SlowPaths.All[work]();
        });
        Assert.True(collector.Collections > 0, "the work has no such place");
    }

    /// <summary>Collects when it is asked to, while the thread that asks is stopped in managed code.</summary>
    private sealed class Collector : IDisposable
    {
        private const int MostCollections = 300;

        private readonly Thread _thread;
        private int _asked, _done;
        private bool _ends;

        internal Collector()
        {
            _thread = new Thread(Run) { IsBackground = true };
            _thread.Start();
        }

        internal int Collections => Volatile.Read(ref _done);

        internal void Collect()
        {
            if (_asked == MostCollections) return; // loops come to the same places again and again
            int number = _asked + 1;
            Volatile.Write(ref _asked, number);
            while (Volatile.Read(ref _done) != number) Thread.SpinWait(10); // the collection finds it here
        }

        public void Dispose()
        {
            Volatile.Write(ref _ends, true);
            _thread.Join();
        }

        private void Run()
        {
            while (!Volatile.Read(ref _ends))
            {
                int asked = Volatile.Read(ref _asked);
                if (asked == _done)
                {
                    Thread.Yield();
                    continue;
                }
                GC.Collect(0, GCCollectionMode.Forced, blocking: true);
                Volatile.Write(ref _done, asked);
            }
        }
    }
}
