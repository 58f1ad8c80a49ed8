using System.Diagnostics;
using System.Runtime.InteropServices;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>
/// A cache's store of whole magazines on one node (Bonwick and Adams' depot), full ones and empty ones, which threads
/// exchange for their own in a few steps whatever a magazine holds, without a lock.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Depot
{
    private DepotStack _full, _empty;

    /// <summary>Decides how many full magazines the depot keeps.</summary>
    public DepotSize Size;

    /// <summary>Objects in the full magazines, where these hold different numbers. By Interlocked.</summary>
    private long _objects;

    /// <summary>Threads that asked for a full magazine and got one, and that got none. By Interlocked.</summary>
    private long _hits, _misses;

    internal readonly int FullCount => _full.Count;

    internal readonly int EmptyCount => _empty.Count;

    /// <summary>Whether a thread is popping just now. See <see cref="MagazineReads"/>.</summary>
    internal readonly bool IsBeingPopped => _full.IsBeingPopped || _empty.IsBeingPopped;

    internal readonly long Hits => Volatile.Read(in _hits);

    internal readonly long Misses => Volatile.Read(in _misses);

    internal readonly long Objects => Math.Max(0, Volatile.Read(in _objects));

    internal void CountObjects(int objects) => Interlocked.Add(ref _objects, objects);

    internal void PushFull(nint block) => _full.Push<NoPause>(block);

    internal void PushEmpty(nint block) => _empty.Push<NoPause>(block);

    /// <summary>
    /// Full and empty magazines that were in the depot all the time since the last call (Bonwick and Adams' working
    /// set).
    /// </summary>
    internal (int Full, int Empty) ReadAndResetUnneeded() =>
        (_full.ReadAndResetLowWater(), _empty.ReadAndResetLowWater());

    /// <summary>A full magazine's block, or 0, for somebody who empties it: not counted as asked for.</summary>
    internal nint PopSurplus() => _full.Pop<NoPause>();

    /// <summary>A full magazine's block, or 0.</summary>
    internal nint PopFull()
    {
        nint block = _full.Pop<NoPause>();
        Interlocked.Increment(ref block != 0 ? ref _hits : ref _misses);
        return block;
    }

    /// <summary>An empty magazine's block, or 0.</summary>
    internal nint PopEmpty() => _empty.Pop<NoPause>();

    /// <summary>
    /// What happens between the steps of an exchange: nothing, but in tests that try every order of the steps of two
    /// threads.
    /// </summary>
    internal interface IPause
    {
        static abstract void BeforeStep();
    }

    private readonly struct NoPause : IPause
    {
        public static void BeforeStep() => SchedulePoint.Reach();
    }
}

/// <summary>
/// A stack of magazines that any number of threads push onto and pop from without a lock (Treiber's). Each block's
/// first slot names the next one.
/// </summary>
/// <remarks>
/// The head is the top block's number and a tag that changes with every push, in one word. A thread that has read the
/// head and the block below it, and is then held up while others pop that block and push it again, finds another tag
/// and starts over. The slot it read may have been somebody's data by then, but it could always be read: no section
/// goes offline while a thread pops (<see cref="MagazineReads"/>). Where commit is charged, pages do not stay readable
/// when they are free: there one thread at a time pops, so that no block goes while another looks at it.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
internal struct DepotStack
{
    /// <summary>Number of the top block in the low bits, 0 for none; the tag above.</summary>
    private long _head;

    /// <summary>Blocks on the stack, or a few more or less while threads are at it.</summary>
    private int _count;

    /// <summary>Threads that are popping. By Interlocked.</summary>
    private int _popping;

    /// <summary>The fewest blocks since <see cref="ReadAndResetLowWater"/>. Any thread.</summary>
    private LowWater _lowWater;

    // The linear region has at most 2^44 bytes, which are 2^35 magazines of the smallest size; 28 bits are left for the
    // tag.
    private const int NumberBits = 36;
    private const long NumberMask = (1L << NumberBits) - 1;

    // One for all stacks: a pop is some ten instructions.
    private static NativeLock s_popLock;

    internal readonly int Count => Math.Max(0, Volatile.Read(in _count));

    internal readonly bool IsBeingPopped => Volatile.Read(in _popping) != 0;

    internal int ReadAndResetLowWater() => (int)_lowWater.ReadAndReset((ulong)Count);

    internal void Push<TPause>(nint block)
        where TPause : Depot.IPause
    {
        long number = NumberOf(block);
        while (true)
        {
            TPause.BeforeStep();
            long head = Volatile.Read(ref _head);
            Volatile.Write(ref Magazine.Link(block), (nint)(head & NumberMask));
            long pushed = unchecked((head & ~NumberMask) + (1L << NumberBits)) | number;
            TPause.BeforeStep();
            if (Interlocked.CompareExchange(ref _head, pushed, head) == head) break;
        }
        Interlocked.Increment(ref _count);
    }

    internal nint Pop<TPause>()
        where TPause : Depot.IPause
    {
        nint block;
        if (Platform.ChargesCommit)
        {
            s_popLock.Acquire();
            block = PopFirst<TPause>();
            s_popLock.Release();
            return block;
        }
        Interlocked.Increment(ref _popping);
        block = PopFirst<TPause>();
        Interlocked.Decrement(ref _popping);
        return block;
    }

    private nint PopFirst<TPause>()
        where TPause : Depot.IPause
    {
        while (true)
        {
            TPause.BeforeStep();
            long head = Volatile.Read(ref _head);
            if ((head & NumberMask) == 0) return 0;
            nint block = BlockOf(head & NumberMask);
            TPause.BeforeStep();
            long below = Volatile.Read(ref Magazine.Link(block));
            TPause.BeforeStep();
            // What was read may be anything if the block is gone: then the head has changed, too.
            if (Interlocked.CompareExchange(ref _head, (head & ~NumberMask) | (below & NumberMask), head) != head)
                continue;
            _lowWater.Note((ulong)Math.Max(0, Interlocked.Decrement(ref _count)));
            Volatile.Write(ref Magazine.Link(block), 0); // it may be the magazine's floor
            return block;
        }
    }

    private static long NumberOf(nint block)
    {
        Debug.Assert((nuint)block >= LinearRegion.Base && block % Magazine.SmallestBlockBytes == 0,
            "magazines are objects of slabs");
        return (long)(((nuint)block - LinearRegion.Base) / Magazine.SmallestBlockBytes) + 1;
    }

    private static nint BlockOf(long number) =>
        (nint)(LinearRegion.Base + (nuint)(number - 1) * Magazine.SmallestBlockBytes);
}
