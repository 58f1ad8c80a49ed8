using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>
/// Gets objects back out of the magazines of threads that are alive and do nothing for it: all of what such a thread
/// keeps of a class, but the object on top of its loaded magazine. The fast paths know nothing of it.
/// </summary>
/// <remarks>
/// <para><b>The problem.</b> On its fast paths the owner pops (reads the top, reads the slot below, writes the top) and
/// pushes (reads the top, writes the slot there, writes the top). It looks at nothing else, and may be held up between
/// any two of these steps, for any time. So no other thread can pop a magazine off its owner, or move its top.</para>
/// <para><b>Claim.</b> The recalling thread claims the owner's magazines (<see cref="OwnerClaim"/>). From then on, and
/// until the claim ends, the owner moves its loaded tops one by one on the fast paths and does nothing else with its
/// magazines. The recalling thread takes its previous magazines.</para>
/// <para><b>Ask.</b> A pop that reads 0 below the top leaves the fast path. So, with the top at T, the recalling thread
/// exchanges the slot of the second object from the top, at T-2, for 0, and has that object: s. From here on the owner
/// cannot pop what lies further down, unless it had read s before.</para>
/// <para><b>Look.</b> All processors pass a barrier, which cuts the owner's steps in two: what it wrote before the cut
/// can be seen by all threads, and what it reads after the cut is the 0. Then the recalling thread reads the top:
/// t.</para>
/// <para><b>Take, if t is T or more.</b> At the cut the owner was not between reading s and writing the top: then the
/// top is at T-1, and to come to T from there the owner passes T-2 and fills the slot. A second barrier makes what the
/// owner stored before that top visible, as not all processors show stores in their order. If the slot is still 0
/// after that, s was not popped: after a pop only a push into the slot leads back up. And s will not be popped: a pop
/// reads the 0. So s and all that lies further down belong to the recalling thread, which drains them into their
/// slabs. The 0 stays as the magazine's <b>raised floor</b>, until the owner comes by a slow path
/// (<see cref="RaisedFloors"/>). If the slot is not 0, the owner has filled it again; there is nothing to take.</para>
/// <para><b>Put back, if t is below T.</b> The owner uses the magazine, and the recalling thread cannot tell whether it
/// has popped s. It exchanges the slot back from 0 to s, in one step. If s was not popped, the slot holds 0 until then,
/// and s is where it was. If s was popped, or the slot was above the top already, then the slot is above the top now,
/// or the owner is about to write a top below it, or the owner has filled it again. Above the top a slot may hold
/// anything: a push fills it before the top passes it, and a store of the owner that comes later replaces s. Where the
/// owner has filled it again the exchange finds no 0 and changes nothing.</para>
/// <para><b>Reads and writes.</b> All this asks that each pop reads its slot from memory, and that each operation
/// writes the top: two operations in a row, inlined into one method, must not hand an object or a top on in a register.
/// The pops therefore read the slot by Volatile (<see cref="Magazine.Peek"/>), which costs no instruction, and a test
/// reads the listing of such a method for the loads and the stores.</para>
/// <para><b>What can stay</b> with an idle thread: one object of a class, two of classes with a return side, with the
/// blocks of these magazines. What was weighed instead stands in docs/design/threads.md.</para>
/// </remarks>
internal static unsafe class Recall
{
    /// <summary>Recalls the objects of all threads that have not used them since the last time.</summary>
    /// <param name="all">Also those that were in use lately; and while another thread is at it, this one waits.</param>
    /// <returns>
    /// True if objects are left that another call may get: they were in use lately, or their owner is using them now.
    /// </returns>
    internal static bool Run(bool all) => Run<ProcessorSteps>(0, ThreadRegistry.Count, all);

    /// <summary>
    /// Does the same for the blocks from one index to before another, with steps as a test wants them.
    /// </summary>
    internal static bool Run<TSteps>(int first, int end, bool all)
        where TSteps : struct, IClaimSteps
    {
        ClaimRound<ThreadMagazines, TSteps> round;
        while (!ClaimRound<ThreadMagazines, TSteps>.TryBegin(first, end, out round))
        {
            if (!all) return true;
            SchedulePoint.GiveWay();
            Thread.Yield();
        }
        SideSet sides = default;
        bool anyLeft = false;
        ForeignReads.Begin();
        for (int i = round.FirstIndex; i < round.EndIndex; i++)
        {
            byte* block = ThreadRegistry.At(i);
            if (!ThreadRegistry.HasContents(block)) continue;
            if (Choose(ThreadMagazines.Of(block), all, ref sides, ref anyLeft)) round.Claim(block);
        }
        ForeignReads.End();
        if (!round.Hold()) anyLeft = true;
        for (int side = sides.Next(1); side >= 0; side = sides.Next(side + 1))
            if (!TryRecallFrom(round, side)) anyLeft = true;
        round.End();
        return anyLeft;
    }

    // Which magazines of a thread to recall objects from. The thread goes on meanwhile, so it is an estimate.
    private static bool Choose(ThreadMagazines* magazines, bool all, ref SideSet sides, ref bool anyLeft)
    {
        magazines->Wanted = default;
        bool any = false;
        for (int side = 1; side < CacheTable.Sides; side++)
        {
            nint top = magazines->Loaded(side);
            bool isIdle = magazines->NoteTop(side, top);
            bool hasPrevious = side < CacheTable.FirstReturnSide && IsMagazine(magazines->Previous(side));
            if (!hasPrevious && !HasTwo(top)) continue;
            if (!isIdle && !all)
            {
                anyLeft = true;
                continue;
            }
            magazines->Wanted.Add(side);
            sides.Add(side);
            any = true;
        }
        return any;
    }

    // False where objects are left as their owner is using them.
    private static bool TryRecallFrom<TSteps>(in ClaimRound<ThreadMagazines, TSteps> round, int side)
        where TSteps : struct, IClaimSteps
    {
        int index = CacheTable.IndexOfSide(side);
        ObjectCache* cache = CacheTable.CacheAt(index);
        if (!cache->TryEnter()) return true; // it is being taken down, with all that threads keep of it
        bool anyAsked = false, all = true;
        foreach (byte* block in round)
        {
            ThreadMagazines* magazines = ThreadMagazines.Of(block);
            magazines->Asked = default;
            if (!magazines->Wanted.Contains(side)) continue;
            if (side == index) MagazineStore.Empty(cache, null, magazines->TakePrevious(index));
            anyAsked |= TryAsk<TSteps>(magazines, side);
        }
        if (anyAsked)
        {
            TSteps.PassBarrier();
            foreach (byte* block in round) Look<TSteps>(ThreadMagazines.Of(block), side);
            TSteps.PassBarrier();
            foreach (byte* block in round) all &= TryTakeOrPutBack<TSteps>(cache, ThreadMagazines.Of(block), side);
        }
        cache->Leave();
        return all;
    }

    private static bool TryAsk<TSteps>(ThreadMagazines* magazines, int side)
        where TSteps : struct, IClaimSteps
    {
        TSteps.BeforeStep();
        nint top = magazines->Loaded(side), slot = top - 2 * sizeof(nint);
        if (!HasTwo(top)) return false;
        TSteps.BeforeStep();
        magazines->Asked = new AskedObject { Slot = slot, Object = Interlocked.Exchange(ref *(nint*)slot, 0) };
        return true;
    }

    private static void Look<TSteps>(ThreadMagazines* magazines, int side)
        where TSteps : struct, IClaimSteps
    {
        if (magazines->Asked.Slot == 0) return;
        TSteps.BeforeStep();
        magazines->Asked.IsBelowTop = magazines->Loaded(side) > magazines->Asked.Slot + sizeof(nint);
    }

    // False where the owner is using the magazine.
    private static bool TryTakeOrPutBack<TSteps>(ObjectCache* cache, ThreadMagazines* magazines, int side)
        where TSteps : struct, IClaimSteps
    {
        AskedObject asked = magazines->Asked;
        if (asked.Slot == 0) return true;
        TSteps.BeforeStep();
        if (!asked.IsBelowTop)
        {
            Interlocked.CompareExchange(ref *(nint*)asked.Slot, asked.Object, 0);
            return false;
        }
        if (Volatile.Read(ref *(nint*)asked.Slot) != 0) return false; // filled again
        magazines->Raised.Add(side);
        nint lowest = cache->Magazine.LowestOf(asked.Slot);
        SlabReturn batch = new(cache, PageFrame.None);
        batch.Drain(&asked.Object, 1);
        batch.Drain((nint*)lowest, (int)((asked.Slot - lowest) / sizeof(nint)));
        cache->GiveSlabs(null, batch.End());
        return true;
    }

    // 0: a block that is being set up
    private static bool IsMagazine(nint top) => top != 0 && top != CacheTable.NoMagazine;

    private static bool HasTwo(nint top) =>
        IsMagazine(top) && Magazine.Peek(top) != 0 && Magazine.Peek(top - sizeof(nint)) != 0;
}
