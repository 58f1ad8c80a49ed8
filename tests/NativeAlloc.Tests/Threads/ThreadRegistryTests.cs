using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Os;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Threads;

/// <summary>
/// Shows that a block goes from a thread that has ended to the next that needs one, as it is and without a collection;
/// that a live thread's block is its own; and that the number of blocks follows the threads that are alive together.
/// </summary>
public sealed unsafe class ThreadRegistryTests
{
    private const long Mark = 0x1234_5678_9ABC_DEF0;

    // Blocks of threads that ended in earlier tests would be found before those of this one.
    public ThreadRegistryTests() => NativeAllocator.Trim();

    [Fact]
    public void A_dead_threads_block_is_adopted_with_its_contents_and_without_a_collection()
    {
        byte* first = null, second = null;
        long found = 0;
        bool isNew = true;
        long adoptions = ThreadRegistry.Adoptions;
        Assert.True(GC.TryStartNoGCRegion(16 << 20));
        TestThread.RunOnNew(() =>
        {
            first = Attach(out _);
            *MarkOf(first) = Mark;
        });
        TestThread.RunOnNew(() =>
        {
            second = Attach(out isNew);
            found = *MarkOf(second);
        });
        GC.EndNoGCRegion(); // throws if there was a collection
        Assert.True(first == second, "the second thread has another block");
        Assert.Equal(Mark, found);
        Assert.False(isNew);
        Assert.Equal(adoptions + 1, ThreadRegistry.Adoptions);
    }

    [Fact]
    public void An_adopted_blocks_cached_objects_serve_the_new_owner()
    {
        nint freed = 0, received = 0;
        TestThread.RunOnNew(() =>
        {
            freed = (nint)NativeAllocator.Alloc(1000);
            NativeAllocator.Free((void*)freed);
        });
        TestThread.RunOnNew(() =>
        {
            received = (nint)NativeAllocator.Alloc(1000);
            NativeAllocator.Free((void*)received);
        });
        Assert.Equal(freed, received);
    }

    [Fact]
    public void A_live_threads_block_is_neither_adopted_nor_taken()
    {
        byte* held = null, other = null, taken = null;
        using ManualResetEventSlim attached = new(), finish = new();
        Thread holder = new(() =>
        {
            held = Attach(out _);
            attached.Set();
            finish.Wait();
        });
        holder.Start();
        attached.Wait(TestContext.Current.CancellationToken);
        taken = ThreadRegistry.TakeDead();
        TestThread.RunOnNew(() => other = Attach(out _));
        finish.Set();
        holder.Join();
        Assert.True(taken == null, "a live thread's block was taken");
        Assert.True(other != held, "a live thread's block was adopted");
    }

    [Fact]
    public void A_released_block_serves_the_next_thread_and_counts_as_no_adoption()
    {
        byte* first = null, second = null;
        bool isNew = true;
        long adoptions = ThreadRegistry.Adoptions;
        TestThread.RunOnNew(() =>
        {
            first = Attach(out _);
            ThreadRegistry.Release(first);
        });
        TestThread.RunOnNew(() =>
        {
            second = Attach(out isNew);
            ThreadRegistry.Release(second);
        });
        Assert.True(first == second, "the released block was not used again");
        Assert.False(isNew);
        Assert.Equal(adoptions, ThreadRegistry.Adoptions);
        Assert.Equal(ThreadBlockState.Unused, ThreadBlock.HeaderOf(first)->State);
    }

    [Fact]
    public void A_block_that_was_not_set_up_is_new_to_the_next_thread_as_well()
    {
        byte* first = null, second = null;
        bool isNew = false;
        TestThread.RunOnNew(() =>
        {
            first = Attach(out _);
            ThreadBlock.HeaderOf(first)->Initialized = 0; // as if its first owner had failed in between
            ThreadRegistry.Release(first);
        });
        TestThread.RunOnNew(() =>
        {
            second = ThreadRegistry.Attach(out isNew);
            ThreadRegistry.SetInitialized(second);
            ThreadRegistry.Release(second);
        });
        Assert.True(first == second, "the released block was not used again");
        Assert.True(isNew);
        Assert.Equal(1, ThreadBlock.HeaderOf(first)->Initialized);
    }

    [Fact]
    public void A_thread_whose_block_is_another_threads_by_now_gets_another_on_its_next_slow_path() =>
        TestThread.RunOnNew(() =>
    {
        // As in a native library's callback at thread exit, which finds the pointer to a block that was adopted
        // meanwhile.
        byte* mine = (byte*)NativeAllocator.GetBlock();
        Assert.True(mine == ThreadRegistry.OwnBlock());
        int id = ThreadBlock.HeaderOf(mine)->OwnerId;
        Assert.Equal(Environment.CurrentManagedThreadId, id);
        ThreadBlock.HeaderOf(mine)->OwnerId = -1;
        Assert.True(ThreadRegistry.OwnBlock() == null);
        byte* other = (byte*)NativeAllocator.GetBlock();
        Assert.True(other != mine);
        Assert.True(other == CurrentThread.t_block);
        NativeAllocator.ReleaseThreadCache();
        Assert.True(CurrentThread.t_block == null);
        ThreadBlock.HeaderOf(mine)->OwnerId = id; // its owner is this thread: the next one adopts it
    });

    [Fact]
    public void TakeDead_gives_a_dead_threads_block_once_and_nobody_else_gets_it_until_it_is_released()
    {
        byte* first = null, meanwhile = null;
        TestThread.RunOnNew(() => first = Attach(out _));
        byte* taken = ThreadRegistry.TakeDead();
        Assert.True(taken == first, "the dead thread's block was not found");
        Assert.Equal(ThreadBlockState.Draining, ThreadBlock.HeaderOf(taken)->State);
        Assert.True(ThreadRegistry.TakeDead() == null, "there is a second dead thread");
        TestThread.RunOnNew(() =>
        {
            meanwhile = Attach(out _);
            ThreadRegistry.Release(meanwhile);
        });
        Assert.True(meanwhile != taken, "a block that is being emptied was given out");
        ThreadRegistry.Release(taken);
        Assert.True(ThreadRegistry.TakeDead() == null, "a released block counts as a dead thread's");
        Assert.Equal(ThreadBlockState.Unused, ThreadBlock.HeaderOf(taken)->State);
    }

    [Fact]
    public void A_thread_whose_object_was_collected_counts_as_dead()
    {
        byte* block = null;
        AttachOnThreadThatIsForgotten(&block);
        nint owner = ThreadBlock.HeaderOf(block)->Owner;
        for (int i = 0; i < 10 && !IsCollected(owner); i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Assert.True(IsCollected(owner), "something keeps the thread's object alive");
        byte* taken = ThreadRegistry.TakeDead();
        Assert.True(taken == block, "the block of a collected thread was not found");
        ThreadRegistry.Release(taken);
    }

    [Fact]
    public void Threads_that_come_and_go_share_one_block()
    {
        int before = ThreadRegistry.Count;
        for (int i = 0; i < 100; i++) TestThread.RunOnNew(() => Attach(out _));
        Assert.InRange(ThreadRegistry.Count, before, before + 1);
    }

    [Fact]
    public void Threads_that_are_alive_together_have_a_block_each_and_the_next_as_many_need_no_more()
    {
        const int Threads = 16;
        int before = ThreadRegistry.Count;
        nint[] first = AttachTogether(Threads);
        int after = ThreadRegistry.Count;
        Assert.Equal(Threads, first.Distinct().Count());
        Assert.InRange(after, before, before + Threads);
        nint[] second = AttachTogether(Threads);
        Assert.Equal(Threads, second.Distinct().Count());
        Assert.Equal(after, ThreadRegistry.Count);
    }

    [Fact]
    public void Where_the_system_refuses_memory_for_a_block_the_thread_gets_none_and_may_try_again()
    {
        // Blocks are committed many at a time: threads are kept alive until one needs a commit.
        const int MoreThanOneCommit = 2 + (1 << 20) / ThreadBlock.Bytes;
        List<Thread> alive = [];
        using ManualResetEventSlim finish = new();
        bool refused = false, served = false;
        while (alive.Count < MoreThanOneCommit && !refused)
        {
            using ManualResetEventSlim attached = new();
            Thread thread = new(
                () =>
                {
                    using (new InjectedFaults(OsCall.Commit)) refused = Attach(out _) == null;
                    if (refused) served = Attach(out _) != null;
                    attached.Set();
                    finish.Wait();
                },
                maxStackSize: 256 * 1024);
            alive.Add(thread);
            thread.Start();
            attached.Wait(TestContext.Current.CancellationToken);
        }
        finish.Set();
        foreach (Thread thread in alive) thread.Join();
        Rest.ForgetBlocks(); // with so many, threads begin without magazines
        Assert.True(refused, "no thread needed a commit");
        Assert.True(served, "the thread got no block when the system had memory again");
    }

    private static nint[] AttachTogether(int count)
    {
        nint[] blocks = new nint[count];
        using Barrier together = new(count);
        TestThread.RunTogether(count, number =>
        {
            blocks[number] = (nint)Attach(out _);
            together.SignalAndWait();
        });
        return blocks;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void AttachOnThreadThatIsForgotten(byte** block)
    {
        Thread thread = new(() => *block = Attach(out _));
        thread.Start();
        thread.Join();
    }

    // In a method of its own, so that nothing on the test's stack keeps the thread's object alive.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool IsCollected(nint owner) => GCHandle.FromIntPtr(owner).Target == null;

    // As the allocator does: whoever comes after may rely on a block's parts being set up.
    private static byte* Attach(out bool isNew)
    {
        byte* block = ThreadRegistry.Attach(out isNew);
        if (block == null || !isNew) return block;
        ThreadMagazines.Of(block)->Initialize();
        ThreadRegistry.SetInitialized(block);
        return block;
    }

    // A place in the block that no layer uses.
    private static long* MarkOf(byte* block) => (long*)(block + ThreadBlock.Bytes - sizeof(long));
}
