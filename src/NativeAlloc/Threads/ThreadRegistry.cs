using System.Diagnostics;
using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.Threads;

/// <summary>
/// All thread blocks. .NET tells nobody that a thread has ended, so a block is not given back at that point: the next
/// thread that needs one looks for a block whose owner is dead and <b>adopts</b> it, cached memory and all. The number
/// of blocks is therefore bounded by the largest number of threads that were alive at one time, whatever the churn,
/// without any garbage collection.
/// </summary>
/// <remarks>
/// <para>A thread counts as dead when its <see cref="Thread"/> object says so, or when that object is gone: the runtime
/// keeps the object of a running thread alive.</para>
/// <para>A dead thread may come back. A native library's callback at thread exit (a destructor of
/// <c>pthread_key_create</c>) runs after the runtime has taken leave of the thread. Where it calls managed code, the
/// thread gets another <see cref="Thread"/> object, but the thread-static pointer to its old block is still there. So
/// each block names its owner by <see cref="ThreadHeader.OwnerId"/>, and each slow path looks whether that is the
/// calling thread (<see cref="OwnBlock"/>). The fast paths do not look: if another thread has adopted the block
/// meanwhile, the two use the same magazines until the first slow path, and may get the same objects. See
/// docs/design/threads.md.</para>
/// </remarks>
internal static unsafe partial class ThreadRegistry
{
    /// <summary>
    /// Threads that can own a block at one time; those beyond it work without a cache, slower and correctly.
    /// </summary>
    internal const int MaxBlocks = 65_536;

    private static NativeLock s_lock;
    // Short where addresses are few: a thread has a stack of 128 times its block or more.
    private static MetadataRegion s_region = MetadataRegion.ReserveUpTo((nuint)MaxBlocks * ThreadBlock.Bytes);

    /// <summary>Blocks ever made. Grown under the lock, read by any thread.</summary>
    private static int s_count;

    /// <summary>
    /// Where the search for a dead owner goes on, so that it does not ask the same live threads each time.
    /// </summary>
    private static int s_cursor;

    private static long s_adoptions;

    /// <summary>Blocks made so far, at most the largest number of threads that were alive together.</summary>
    internal static int Count => Volatile.Read(ref s_count);

    /// <summary>How often a thread took over a dead thread's block.</summary>
    internal static long Adoptions => Volatile.Read(ref s_adoptions);

    internal static uint LockAcquisitions => s_lock.Acquisitions;

    internal static byte* At(int index) => (byte*)s_region.Address + (nuint)index * ThreadBlock.Bytes;

#if DEBUG
    /// <summary>
    /// A block that this thread uses beside its own: one that it sets up, or that it empties to release it. Owner
    /// thread only.
    /// </summary>
    [ThreadStatic]
    internal static byte* t_held;
#endif

    /// <summary>
    /// Checks that the calling thread may use a block: user code that runs inside an operation may have released the
    /// one that the operation began with. Memory of tests, which is no block of the registry, passes.
    /// </summary>
    /// <param name="part">Any address in the block.</param>
    [Conditional("DEBUG")]
    internal static void AssertHeld(void* part)
    {
#if DEBUG
        nuint offset = unchecked((nuint)part - s_region.Address);
        if (offset >= (nuint)Count * ThreadBlock.Bytes) return;
        byte* block = At((int)(offset / ThreadBlock.Bytes));
        Debug.Assert(block == (byte*)CurrentThread.t_block || block == t_held, "the block is the calling thread's: " +
            "no pointer into it is kept over user code");
#endif
    }

    /// <summary>Notes which block the calling thread uses, though it is not its own or is not any more.</summary>
    [Conditional("DEBUG")]
    internal static void SetHeld(byte* block)
    {
#if DEBUG
        t_held = block;
#endif
    }

    /// <summary>
    /// Gives the calling thread a block: a dead thread's, an unused one, or a new one. Null where none can be had.
    /// </summary>
    /// <param name="isNew">The layers above have not set this block up. They do, and then call
    /// <see cref="SetInitialized"/>.</param>
    internal static byte* Attach(out bool isNew)
    {
        Debug.Assert(CurrentThread.t_block == null, "the thread has a block already");
        isNew = false;
        // made before the lock: it may allocate on the managed heap, once per thread
        Thread thread = Thread.CurrentThread;
        s_lock.Acquire();
        byte* block = FindAbandoned(includeUnused: true);
        if (block == null) block = Make();
        if (block != null) SetMemory(block, has: true);
        bool attached = block != null && TrySetOwner(block, thread);
        if (attached)
        {
            ThreadHeader* header = ThreadBlock.HeaderOf(block);
            // its owner is dead
            if (header->State == ThreadBlockState.Owned)
            {
                Volatile.Write(ref s_adoptions, s_adoptions + 1);
                EventRing.Raise(EventKind.Adopted, (ulong)thread.ManagedThreadId);
            }
            header->State = ThreadBlockState.Owned;
            header->FreeSince = 0;
            isNew = header->Initialized == 0;
        }
        s_lock.Release();
        if (attached) SetHeld(block);
        return attached ? block : null;
    }

    /// <summary>Says that the layers above have set their parts of a block up.</summary>
    internal static void SetInitialized(byte* block)
    {
        s_lock.Acquire();
        ThreadHeader* header = ThreadBlock.HeaderOf(block);
        if (header->Initialized == 0) Volatile.Write(ref s_withContents, s_withContents + 1);
        Volatile.Write(ref header->Initialized, 1);
        s_lock.Release();
    }

    /// <summary>
    /// The calling thread's block; null where it has none, or where the one that it had is another's now.
    /// </summary>
    internal static byte* OwnBlock()
    {
        byte* block = (byte*)CurrentThread.t_block;
        return block != null && Volatile.Read(ref ThreadBlock.HeaderOf(block)->OwnerId)
            == Environment.CurrentManagedThreadId ? block : null;
    }

    /// <summary>
    /// Takes a dead thread's block in order to empty it; <see cref="Release"/> must follow. Null when there is none.
    /// </summary>
    /// <param name="restMilliseconds">Only where the thread was seen dead so long ago: until then the next thread may
    /// want what is in the block.</param>
    internal static byte* TakeDead(uint restMilliseconds = 0)
    {
        s_lock.Acquire();
        byte* block = FindAbandoned(includeUnused: false, restMilliseconds);
        if (block != null) ThreadBlock.HeaderOf(block)->State = ThreadBlockState.Draining;
        s_lock.Release();
        SetHeld(block);
        return block;
    }

    /// <summary>Makes an emptied block available to any thread.</summary>
    internal static void Release(byte* block)
    {
        s_lock.Acquire();
        ThreadHeader* header = ThreadBlock.HeaderOf(block);
        Debug.Assert(header->State != ThreadBlockState.Unused, "released twice");
        SetOwner(header, null);
        header->State = ThreadBlockState.Unused;
        HasRested(header, 0);
        s_lock.Release();
        SetHeld(null);
    }

    /// <summary>Frees what names the owners, when nobody can use the library any more.</summary>
    internal static void FreeHandles()
    {
        for (int index = 0; index < Count; index++)
        {
            if (!HasMemory(index)) continue;
            ThreadHeader* header = ThreadBlock.HeaderOf(At(index));
            if (header->Owner != 0) GCHandle.FromIntPtr(header->Owner).Free();
            header->Owner = 0;
        }
    }

    private static byte* FindAbandoned(bool includeUnused, uint restMilliseconds = 0)
    {
        int count = s_count;
        for (int step = 0; step < count; step++)
        {
            int index = s_cursor + step;
            if (index >= count) index -= count;
            byte* block = At(index);
            bool found = includeUnused;
            if (HasMemory(index))
            {
                ThreadHeader* header = ThreadBlock.HeaderOf(block);
                found = IsOfDead(header) ? HasRested(header, restMilliseconds)
                    : includeUnused && header->State == ThreadBlockState.Unused;
            }
            if (!found) continue;
            s_cursor = index;
            return block;
        }
        return null;
    }

    private static bool IsOfDead(ThreadHeader* header) => header->State == ThreadBlockState.Owned
        && GCHandle.FromIntPtr(header->Owner).Target is not Thread { IsAlive: true };

    private static byte* Make()
    {
        int count = s_count;
        if (!s_region.TryCommitTo((nuint)(count + 1) * ThreadBlock.Bytes)) return null;
        Volatile.Write(ref s_count, count + 1);
        return At(count);
    }

    private static void SetOwner(ThreadHeader* header, Thread? thread)
    {
        GCHandle owner = GCHandle.FromIntPtr(header->Owner);
        owner.Target = thread;
        Volatile.Write(ref header->OwnerId, thread?.ManagedThreadId ?? 0);
    }

    private static bool TrySetOwner(byte* block, Thread thread)
    {
        ThreadHeader* header = ThreadBlock.HeaderOf(block);
        try
        {
            if (header->Owner == 0) header->Owner = GCHandle.ToIntPtr(GCHandle.Alloc(null, GCHandleType.Weak));
            SetOwner(header, thread);
            return true;
        }
        catch (OutOfMemoryException)
        {
            return false; // the runtime's handle table is full: the thread goes on without a cache
        }
    }
}
