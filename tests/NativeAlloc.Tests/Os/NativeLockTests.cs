using System.Runtime.InteropServices;
using NativeAlloc.Os;
using NativeAlloc.TestHost;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>
/// Shows that the lock lets one thread in at a time, counts, and waits through a <see cref="Thread.Interrupt"/>.
/// </summary>
public sealed unsafe class NativeLockTests : IDisposable
{
    private readonly NativeLock* _lock = (NativeLock*)NativeMemory.AllocZeroed((nuint)sizeof(NativeLock));

    public void Dispose() => NativeMemory.Free(_lock);

    [Fact]
    public void Zeroed_memory_is_a_free_lock()
    {
        Assert.False(_lock->IsHeld);
        Assert.Equal(0u, _lock->Acquisitions);
        _lock->Acquire();
        Assert.True(_lock->IsHeld);
        _lock->Release();
        Assert.False(_lock->IsHeld);
        Assert.Equal(1u, _lock->Acquisitions);
    }

    [Fact]
    public void Four_threads_exclude_each_other_and_every_acquisition_counts()
    {
        const int Threads = 4, Rounds = 50_000;
        long counter = 0; // no atomic operation: a second thread inside would lose increments
        int inside = 0;
        TestThread.RunTogether(Threads, _ =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                _lock->Acquire();
                if (++inside != 1) throw new InvalidOperationException("two threads are inside");
                counter++;
                inside--;
                _lock->Release();
            }
        });
        Assert.Equal(Threads * Rounds, counter);
        Assert.Equal((uint)(Threads * Rounds), _lock->Acquisitions);
        Assert.False(_lock->IsHeld);
    }

    [Fact]
    public void A_holder_that_sleeps_keeps_all_others_out()
    {
        int finished = 0;
        bool seenEarly = false;
        _lock->Acquire();
        Thread release = new(() =>
        {
            Thread.Sleep(60); // long enough for the others to go to sleep themselves
            seenEarly = Volatile.Read(ref finished) != 0;
            _lock->Release();
        });
        release.Start();
        TestThread.RunTogether(3, _ =>
        {
            _lock->Acquire();
            Interlocked.Increment(ref finished);
            _lock->Release();
        });
        release.Join();
        Assert.False(seenEarly);
        Assert.Equal(3, finished);
        Assert.Equal(4u, _lock->Acquisitions);
    }

    [Fact]
    public void A_waiting_thread_that_is_interrupted_waits_on_and_gets_the_lock()
    {
        bool acquired = false, interruptedInside = false, interruptedAfter = false;
        using ManualResetEventSlim waiting = new();
        _lock->Acquire();
        Thread waiter = new(() =>
        {
            waiting.Set();
            try
            {
                _lock->Acquire();
                Volatile.Write(ref acquired, true);
                _lock->Release();
            }
            catch (ThreadInterruptedException)
            {
                interruptedInside = true;
            }
            try
            {
                Thread.Sleep(1000);
            }
            catch (ThreadInterruptedException)
            {
                interruptedAfter = true; // the interrupt was there all the time
            }
        });
        waiter.Start();
        waiting.Wait(TestContext.Current.CancellationToken);
        Thread.Sleep(20);
        waiter.Interrupt();
        Thread.Sleep(40);
        Assert.False(Volatile.Read(ref acquired));
        Assert.True(waiter.IsAlive);
        _lock->Release();
        waiter.Join();
        Assert.True(acquired);
        Assert.False(interruptedInside);
        Assert.True(interruptedAfter);
    }
}
