using NativeAlloc.High;
using NativeAlloc.Os;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that a page has one window however often it is mapped, that windows nobody uses are kept until they are
/// needed, and that whoever needs one that is not there gets the next.
/// </summary>
public sealed unsafe class PersistentMapTests : LeakCheckedTests
{
    private const nuint PageBytes = PageAllocator.PageSize;

    private const int Windows = PersistentWindows.WindowCount;

    [Fact]
    public void A_page_has_one_address_until_it_is_unmapped_as_often_as_it_was_mapped()
    {
        using HighPages pages = new(2);
        byte* address = Map(pages[0]);
        Assert.True(Map(pages[0]) == address && Map(pages[0]) == address);
        Assert.True(Map(pages[1]) != address);
        Pattern.Fill(address, PageBytes, 1);
        for (int i = 0; i < 3; i++)
        {
            Pattern.Check(address, PageBytes, 1);
            PersistentMap.Unmap(pages[0]);
        }
        Assert.Contains("not mapped", Assert.Throws<ArgumentException>("page",
            () => PersistentMap.Unmap(pages[0])).Message, StringComparison.Ordinal);
        PersistentMap.Unmap(pages[1]);
    }

    [Fact]
    public void A_page_may_be_unmapped_by_another_thread()
    {
        using HighPages pages = new(1);
        nint address = (nint)Map(pages[0]);
        TestThread.RunOnNew(() =>
        {
            Assert.Equal(address, (nint)Map(pages[0]));
            PersistentMap.Unmap(pages[0]);
            PersistentMap.Unmap(pages[0]);
        });
        Assert.Throws<ArgumentException>(() => PersistentMap.Unmap(pages[0]));
    }

    [Theory]
    [InlineData(PageFlags.None)]
    [InlineData(PageFlags.Dma)]
    public void A_page_with_an_address_is_mapped_there_already(PageFlags flags)
    {
        Page page = PageAllocator.AllocPage(flags);
        using (new InjectedFaults(_ => true)) // nothing is asked of the system
        {
            Assert.True(PersistentMap.Map(page) == page.Address);
            PersistentMap.Unmap(page);
        }
        PageAllocator.FreePage(page);
        Assert.Throws<ArgumentException>("page", () => { PersistentMap.Map(page); });
        Assert.Throws<ArgumentException>("page", () => PersistentMap.Unmap(page));
    }

    [Fact]
    public void Mapping_a_page_again_costs_no_system_call_and_no_managed_memory()
    {
        using HighPages pages = new(1);
        byte* address = Map(pages[0]);
        PersistentMap.Unmap(pages[0]);
        using MemoryFileCalls calls = new();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            if (Map(pages[0]) != address) Assert.Fail("the page has another address");
            PersistentMap.Unmap(pages[0]);
        }
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.Equal(0, calls.Count);
    }

    [Fact]
    public void A_page_that_was_freed_and_purged_while_its_window_was_kept_reads_as_zero_there()
    {
        Page page = PageAllocator.AllocPage(PageFlags.High);
        byte* address = Map(page);
        Pattern.Fill(address, PageBytes, 3);
        PersistentMap.Unmap(page);
        PageAllocator.FreePage(page);
        NativeAllocator.Trim();
        Pattern.CheckZero(address, PageBytes); // the window is there still, though nobody's at this moment
        List<Page> taken = [];
        do taken.Add(PageAllocator.AllocPage(PageFlags.High));
        while (taken[^1] != page && taken[^1].Zone == PageZone.High);
        Assert.Equal(page, taken[^1]);
        Assert.True(Map(page) == address);
        Pattern.CheckZero(address, PageBytes);
        PersistentMap.Unmap(page);
        foreach (Page each in taken) PageAllocator.FreePage(each);
    }

    [Fact]
    public void A_page_that_was_freed_while_mapped_cannot_be_mapped_again_and_gives_its_window_back()
    {
        Page page = PageAllocator.AllocPage(PageFlags.High);
        Map(page);
        PageAllocator.FreePage(page);
        Assert.Contains($"{page.Index} is free", Assert.Throws<ArgumentException>("page",
            () => { PersistentMap.Map(page); }).Message, StringComparison.Ordinal);
        (int free, int idle) = PersistentWindows.Count();
        PersistentMap.Unmap(page);
        Assert.Equal((free, idle + 1), PersistentWindows.Count());
        Assert.Throws<ArgumentException>("page", () => PersistentMap.Unmap(page));
    }

    [Fact]
    public void No_page_is_refused()
    {
        Assert.Throws<ArgumentException>("page", () => { PersistentMap.Map(default); });
        Assert.Throws<ArgumentException>("page", () => PersistentMap.Unmap(default));
    }

    [Fact]
    public void When_windows_run_out_those_that_nobody_uses_are_unmapped_together()
    {
        PersistentWindows.Flush();
        using HighPages pages = new(Windows + 1);
        nuint first = (nuint)Map(pages[0]);
        for (int i = 1; i < Windows; i++) Map(pages[i]);
        for (int i = 0; i < Windows; i++) PersistentMap.Unmap(pages[i]);
        Assert.Equal((0, Windows), PersistentWindows.Count());
        using MemoryFileCalls calls = new();
        Map(pages[Windows]);
        Assert.Equal(2, calls.Count); // all of them at once, and the new one
        Assert.Equal((Windows - 1, 0), PersistentWindows.Count());
        for (nuint window = 1; window < Windows; window += 73)
            Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(first + window * PageBytes));
        PersistentMap.Unmap(pages[Windows]);
    }

    [Fact]
    public void Windows_in_use_stay_when_the_others_are_unmapped()
    {
        const int Group = 8; // that many side by side stay, and as many go
        PersistentWindows.Flush();
        using HighPages pages = new(Windows + 1);
        byte*[] addresses = new byte*[Windows];
        for (int i = 0; i < Windows; i++) *(addresses[i] = Map(pages[i])) = (byte)(i % 251);
        for (int i = 0; i < Windows; i++)
            if (i / Group % 2 == 0) PersistentMap.Unmap(pages[i]);
        using MemoryFileCalls calls = new();
        Map(pages[Windows]);
        Assert.Equal(Windows / Group / 2 + 1, calls.Count);
        for (int i = 0; i < Windows; i++)
        {
            if (i / Group % 2 == 0) continue;
            Assert.Equal(i % 251, *addresses[i]);
            PersistentMap.Unmap(pages[i]);
        }
        PersistentMap.Unmap(pages[Windows]);
        for (int i = 0; i < Windows; i++)
        {
            Assert.Equal(i % 251, *Map(pages[i]));
            PersistentMap.Unmap(pages[i]);
        }
    }

    [Fact]
    public void Where_unmapping_is_refused_windows_are_used_again_all_the_same()
    {
        PersistentWindows.Flush();
        using HighPages pages = new(2 * Windows);
        for (int i = 0; i < Windows; i++) *Map(pages[i]) = 1;
        for (int i = 0; i < Windows; i++) PersistentMap.Unmap(pages[i]);
        using (new MemoryFileCalls(number => number == 0))
        {
            for (int i = Windows; i < 2 * Windows; i++)
            {
                byte* address = Map(pages[i]);
                Assert.Equal(0, *address);
                *address = 2;
            }
        }
        for (int i = Windows; i < 2 * Windows; i++) PersistentMap.Unmap(pages[i]);
        for (int i = 0; i < 2 * Windows; i++)
        {
            Assert.Equal(i < Windows ? 1 : 2, *Map(pages[i]));
            PersistentMap.Unmap(pages[i]);
        }
    }

    [Fact]
    public void Where_the_system_refuses_nothing_changes_and_the_next_call_maps()
    {
        PersistentWindows.Flush();
        using HighPages pages = new(1);
        using (new InjectedFaults(OsCall.MapFile))
            Assert.Throws<OutOfMemoryException>(() => { PersistentMap.Map(pages[0]); });
        Assert.Equal((Windows, 0), PersistentWindows.Count());
        Assert.Throws<ArgumentException>(() => PersistentMap.Unmap(pages[0]));
        *Map(pages[0]) = 1;
        PersistentMap.Unmap(pages[0]);
    }

    [Fact]
    public void Who_finds_all_windows_in_use_waits_until_one_is_given_back()
    {
        const int Waiters = 3;
        using HighPages pages = new(Windows + Waiters);
        for (int i = 0; i < Windows; i++) Map(pages[i]);
        Waiter[] waiters = new Waiter[Waiters];
        for (int i = 0; i < Waiters; i++) waiters[i] = new Waiter(pages[Windows + i]);
        foreach (Waiter waiter in waiters) waiter.AwaitWaiting();
        for (int given = 0; given < Waiters; given++)
        {
            PersistentMap.Unmap(pages[given]);
            SpinWait.SpinUntil(() => waiters.Count(waiter => waiter.HasMapped) == given + 1);
        }
        foreach (Waiter waiter in waiters) waiter.Finish();
        for (int i = Waiters; i < Windows; i++) PersistentMap.Unmap(pages[i]);
        foreach (Waiter waiter in waiters) PersistentMap.Unmap(waiter.Page);
    }

    [Fact]
    public void Who_waits_for_a_window_uses_no_processor()
    {
        using HighPages pages = new(Windows + 1);
        for (int i = 0; i < Windows; i++) Map(pages[i]);
        Waiter waiter = new(pages[Windows]);
        waiter.AwaitWaiting();
        uint looked = PersistentWindows.LockAcquisitions;
        Thread.Sleep(50);
        // once for each call that a thread which was interrupted has left
        Assert.InRange(PersistentWindows.LockAcquisitions - looked, 0u, 10u);
        PersistentMap.Unmap(pages[0]);
        waiter.Finish();
        for (int i = 1; i <= Windows; i++) PersistentMap.Unmap(pages[i]);
    }

    [Fact]
    public void Who_is_interrupted_while_waiting_has_mapped_nothing_and_keeps_nobody_from_going_on()
    {
        using HighPages pages = new(Windows + 2);
        for (int i = 0; i < Windows; i++) Map(pages[i]);
        Waiter interrupted = new(pages[Windows]), other = new(pages[Windows + 1]);
        interrupted.AwaitWaiting();
        other.AwaitWaiting();
        interrupted.Interrupt();
        Assert.Throws<ThreadInterruptedException>(interrupted.Finish);
        Assert.Throws<ArgumentException>(() => PersistentMap.Unmap(pages[Windows]));
        Assert.False(other.HasMapped);
        PersistentMap.Unmap(pages[0]);
        other.Finish();
        Waiter later = new(pages[Windows]); // finds the call that nobody heeded, and waits again
        later.AwaitWaiting();
        PersistentMap.Unmap(pages[1]);
        later.Finish();
        for (int i = 2; i < pages.Count; i++) PersistentMap.Unmap(pages[i]);
    }

    [Fact]
    public void Threads_that_share_too_few_windows_never_see_each_others_pages()
    {
        const int Threads = 6, Pages = 24, Free = 5, Rounds = 3_000;
        using HighPages held = new(Windows - Free), pages = new(Pages);
        for (int i = 0; i < held.Count; i++) Map(held[i]);
        for (int i = 0; i < Pages; i++)
        {
            ((long*)Map(pages[i]))[0] = i;
            PersistentMap.Unmap(pages[i]);
        }
        TestThread.RunTogether(Threads, number =>
        {
            Random random = new(number);
            long[] written = new long[Pages];
            for (int round = 1; round <= Rounds; round++)
            {
                int which = random.Next(Pages);
                long* page = (long*)Map(pages[which]);
                long* own = page + 8 * (number + 1);
                if (page[0] != which || *own != written[which])
                    Assert.Fail($"page {which} says it is {page[0]} and has {*own}, not {written[which]}");
                written[which] = *own = round;
                if (round % 16 == 0) Thread.Yield();
                PersistentMap.Unmap(pages[which]);
            }
        });
        for (int i = 0; i < held.Count; i++) PersistentMap.Unmap(held[i]);
        (int free, int idle) = PersistentWindows.Count();
        Assert.Equal(Windows, free + idle);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Any_call_may_fail_at_any_time_while_threads_share_too_few_windows(bool many)
    {
        const int Threads = 4, Pages = 12, Free = 3, Rounds = 500;
        using HighPages held = new(Windows - Free), pages = new(Pages);
        for (int i = 0; i < held.Count; i++) Map(held[i]);
        int failures = 0;
        using (new MemoryFileCalls(number => many ? number % 3 != 0 : number % 5 == 0))
        {
            TestThread.RunTogether(Threads, number =>
            {
                Random random = new(number);
                for (int round = 0; round < Rounds; round++)
                {
                    Page page = pages[random.Next(Pages)];
                    try
                    {
                        *(uint*)Map(page) = page.Index;
                    }
                    catch (OutOfMemoryException)
                    {
                        Interlocked.Increment(ref failures);
                        continue;
                    }
                    PersistentMap.Unmap(page);
                }
            });
        }
        Assert.True(failures > 0, "no call failed");
        for (int i = 0; i < Pages; i++)
        {
            uint found = *(uint*)Map(pages[i]);
            Assert.True(found == 0 || found == pages[i].Index);
            PersistentMap.Unmap(pages[i]);
        }
        for (int i = 0; i < held.Count; i++) PersistentMap.Unmap(held[i]);
        (int free, int idle) = PersistentWindows.Count();
        Assert.Equal(Windows, free + idle);
    }

    private static byte* Map(Page page) => (byte*)PersistentMap.Map(page);

    /// <summary>A thread that maps a page as soon as it can.</summary>
    private sealed class Waiter
    {
        private readonly Thread _thread;
        private Exception? _error;
        private bool _hasMapped;

        internal Waiter(Page page)
        {
            Page = page;
            _thread = new Thread(Run) { IsBackground = true };
            _thread.Start();
        }

        internal Page Page { get; }

        internal bool HasMapped => Volatile.Read(ref _hasMapped);

        internal void AwaitWaiting() =>
            SpinWait.SpinUntil(() => (_thread.ThreadState & ThreadState.WaitSleepJoin) != 0);

        internal void Interrupt() => _thread.Interrupt();

        internal void Finish()
        {
            _thread.Join();
            if (_error != null) throw _error;
        }

        private void Run()
        {
            try
            {
                PersistentMap.Map(Page);
                Volatile.Write(ref _hasMapped, true);
            }
            catch (Exception error)
            {
                _error = error;
            }
        }
    }
}
