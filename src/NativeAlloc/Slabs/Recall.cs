using System.Diagnostics;
using NativeAlloc.Pages;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>
/// Gets objects back out of the magazines of threads that are alive and do nothing for it: all of what such a thread keeps of a class, but the object on top of its loaded magazine. The fast paths
/// know nothing of it.
/// </summary>
/// <remarks>
/// <para><b>The problem.</b> On its fast paths the owner pops (read the top; read the slot below; write the top) and pushes (read the top; write the slot there; write the top) without looking at anything
/// else, and may be held up between any two of these steps, for any time. So nobody else can take a magazine away, or move its top.</para>
/// <para><b>Claim.</b> The owner's slow paths announce themselves by a store and then look for a claim; one who claims stores that, makes every processor pass a barrier, and looks who is inside.
/// Of two such, one sees the other. From then on, and until the claim ends, the owner moves its loaded tops one by one on the fast paths and does nothing else with its magazines; its previous magazines
/// are free for the taking.</para>
/// <para><b>Ask.</b> A pop that reads 0 below the top leaves the fast path. So, with the top at T, the slot at T-2 is exchanged for 0, which gives s. A pop at T-1 that reads the slot
/// after that does not get s, and the owner cannot come to what is further down.</para>
/// <para><b>Look.</b> Whether a pop had read s before is not to be seen in the slot. All processors pass a barrier, which cuts the owner's steps in two: what it did before the cut can be seen by everybody,
/// and what it does after the cut sees the 0. Now the top is read, t. What an owner that popped s before the cut is doing at the cut shows in t: it is still about to write
/// the top, which is T-1; or it has written T-2 and lies below, or has come back, and then it has pushed something into the slot. And if s is the object of a push that was about to write the
/// top, that is T-2. So:</para>
/// <list type="bullet">
/// <item>t ≥ T: nobody can be between reading s and writing the top any more. A second barrier, as not all machines let others see the owner's stores in their order; then, if the slot
/// is still 0, s was not popped (after a pop only a push into the slot leads back up, and it would have come before t was read) and will not be: s and all that is further down belong to nobody but the one
/// who asked. If the slot is not 0, s was popped, or was above the top already when it was exchanged: there is nothing to take, and nothing was taken.</item>
/// <item>t &lt; T-2: s was popped, or was above the top already, as before. An owner that had just pushed s could not have come down here through the 0.</item>
/// <item>t = T-1 or T-2: nobody can say. s is kept in the thread's block, and looked at again in a later round, or settled by the owner.</item>
/// </list>
/// <para><b>Take.</b> What lies below the slot goes back to the slabs, and the 0 stays as the magazine's raised floor. The owner is left with what is above: one object, if it did not move.</para>
/// <para><b>Settle.</b> On its next slow path, before anything else, the owner puts an s that was left in doubt back if its slot is below the top and 0: it is not in the middle of a fast path there, and a
/// pop of s would have brought the top down to the slot, from where only a push leads up, which would have filled it. Then it moves what is above a raised floor down to where the magazine's bottom is. Nothing
/// else on the slow paths ever sees such a magazine. A thread that adopts the block does the same; whoever takes a cache down does it for all threads, as nobody is on a fast path of that cache then.</para>
/// <para><b>What can stay</b> with an idle thread: one object of a class, two of classes with a return side, with the blocks of these magazines; and up to four magazines that it was using when they were asked
/// for, if it fell idle that very moment.</para>
/// <para>What was weighed instead stands in docs/design/threads.md.</para>
/// </remarks>
internal static unsafe class Recall
{
    /// <summary>1 while a thread is at it. By Interlocked.</summary>
    private static int s_running;

    /// <summary>Recalls the objects of all threads that have not used them since the last time.</summary>
    /// <param name="all">Also those that were in use lately; and if another thread is at it this one waits, and does not leave it to that.</param>
    /// <returns>True if objects are left that another call may get: they were in use lately, or their owner is using them now.</returns>
    internal static bool Run(bool all)
    {
        while (Interlocked.CompareExchange(ref s_running, 1, 0) != 0)
        {
            if (!all) return true;
            Thread.Yield();
        }
        int count = ThreadRegistry.Count;
        SideSet sides = default;
        bool anyWanted = false, anyLeft = false;
        for (int i = 0; i < count; i++)
        {
            if (!Choose(At(i), all, ref sides, ref anyLeft)) continue;
            At(i)->SetClaimed(true);
            anyWanted = true;
        }
        if (anyWanted)
        {
            Interlocked.MemoryBarrierProcessWide();
            for (int i = 0; i < count; i++)
            {
                if (!At(i)->IsClaimed || !At(i)->IsInside) continue;
                At(i)->SetClaimed(false);
                anyLeft = true;
            }
            for (int side = sides.Next(1); side >= 0; side = sides.Next(side + 1)) RecallFrom(side, count);
            for (int i = 0; i < count; i++) At(i)->SetClaimed(false);
        }
        Volatile.Write(ref s_running, 0);
        return anyLeft;
    }

    private static ThreadMagazines* At(int thread) => ThreadMagazines.Of(ThreadRegistry.At(thread));

    // Which magazines of a thread to recall objects from. The thread goes on meanwhile, so it is an estimate.
    private static bool Choose(ThreadMagazines* magazines, bool all, ref SideSet sides, ref bool anyLeft)
    {
        magazines->Wanted = default;
        bool any = false;
        for (int side = 1; side < CacheTable.Sides; side++)
        {
            nint top = magazines->Loaded(side);
            bool isIdle = magazines->NoteTop(side, top);
            if (!MayGive(magazines, side, top)) continue;
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

    private static bool MayGive(ThreadMagazines* magazines, int side, nint top)
    {
        if (side < CacheTable.FirstReturnSide && IsMagazine(magazines->Previous(side))) return true;
        if (!IsMagazine(top)) return false;
        RecalledObject* recalled = magazines->IsDisturbed ? magazines->Recalled.Find(side) : null;
        return recalled == null ? HasTwo(top) : !IsInDoubt(recalled->Slot, top);
    }

    private static void RecallFrom(int side, int count)
    {
        int index = CacheTable.IndexOfSide(side);
        ObjectCache* cache = CacheTable.CacheAt(index);
        if (!cache->TryEnter()) return;
        bool asked = false;
        for (int i = 0; i < count; i++)
        {
            if (Wanted(i) is var magazines && magazines == null) continue;
            if (side == index) MagazineStore.Empty(cache, null, magazines->TakePrevious(index));
            asked |= Ask(magazines, side, magazines->Loaded(side));
        }
        if (asked)
        {
            Interlocked.MemoryBarrierProcessWide();
            for (int i = 0; i < count; i++)
                if (Wanted(i) is var magazines && magazines != null) Look(magazines, side);
            Interlocked.MemoryBarrierProcessWide();
            for (int i = 0; i < count; i++)
                if (Wanted(i) is var magazines && magazines != null) Take(cache, magazines, side);
        }
        cache->Leave();

        ThreadMagazines* Wanted(int thread)
        {
            ThreadMagazines* magazines = At(thread);
            return magazines->IsClaimed && magazines->Wanted.Contains(side) ? magazines : null;
        }
    }

    // ── the steps for one magazine ───────────────────────────────────────────────────────────────────────────────────────────────

    /// <summary>Takes the object below the top one out. True if there was one, or one of an earlier round is still in doubt: go on with a barrier and <see cref="Look"/>.</summary>
    internal static bool Ask(ThreadMagazines* magazines, int side, nint top)
    {
        if (magazines->Recalled.Find(side) != null) return true;
        if (!IsMagazine(top) || !HasTwo(top)) return false;
        RecalledObject* recalled = magazines->Recalled.FindPlace();
        if (recalled == null) return false;
        nint slot = top - 2 * sizeof(nint);
        recalled->Object = Interlocked.Exchange(ref *(nint*)slot, 0);
        recalled->Side = side;
        recalled->WasBelow = 0;
        recalled->Slot = slot;
        return true;
    }

    /// <summary>Looks where the top is; what was asked for is forgotten where it had been given out. Go on with a barrier and <see cref="Take"/>.</summary>
    internal static void Look(ThreadMagazines* magazines, int side)
    {
        RecalledObject* recalled = magazines->Recalled.Find(side);
        if (recalled == null) return;
        nint top = magazines->Loaded(side);
        if (IsInDoubt(recalled->Slot, top)) return;
        if (top > recalled->Slot) recalled->WasBelow = 1;
        else recalled->Slot = 0;
    }

    /// <summary>Puts what nobody else can reach into its slabs.</summary>
    internal static void Take(ObjectCache* cache, ThreadMagazines* magazines, int side)
    {
        RecalledObject* recalled = magazines->Recalled.Find(side);
        if (recalled == null) return;
        magazines->SetDisturbed();
        if (recalled->WasBelow == 0) return;
        nint slot = recalled->Slot, pointer = recalled->Object;
        recalled->Slot = 0;
        if (Volatile.Read(ref *(nint*)slot) != 0) return; // filled again
        magazines->Raised.Add(side);
        nint lowest = cache->Magazine.LowestOf(slot);
        SlabReturn batch = new(cache, PageFrame.None);
        batch.Put(&pointer, 1);
        batch.Put((nint*)lowest, (int)((slot - lowest) / sizeof(nint)));
        cache->GiveSlabs(null, batch.End());
    }

    // ── afterwards ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    /// <summary>Makes all of the calling thread's magazines whole again. False where a cache cannot be visited: somebody takes it down, who does that for all threads.</summary>
    internal static bool TrySettle(ThreadMagazines* magazines)
    {
        SideSet sides = magazines->Raised;
        magazines->Recalled.AddTo(ref sides);
        bool all = true;
        for (int side = sides.Next(1); side >= 0; side = sides.Next(side + 1))
        {
            ObjectCache* cache = CacheTable.CacheAt(CacheTable.IndexOfSide(side));
            if (!cache->TryEnter())
            {
                all = false;
                continue;
            }
            Settle(cache, magazines, side);
            cache->Leave();
        }
        return all;
    }

    /// <summary>Makes one magazine whole again: puts an object in doubt back where it belongs to the magazine, and lowers its floor.</summary>
    internal static void Settle(ObjectCache* cache, ThreadMagazines* magazines, int side)
    {
        nint top = magazines->Loaded(side);
        RecalledObject* recalled = magazines->Recalled.Find(side);
        if (recalled != null)
        {
            Debug.Assert(cache->Magazine.BlockOf(top) == cache->Magazine.BlockOf(recalled->Slot), "the magazine is the same that was asked");
            nint* slot = (nint*)recalled->Slot;
            if ((nint)slot < top && *slot == 0) *slot = recalled->Object;
            recalled->Slot = 0;
        }
        if (!magazines->Raised.Contains(side)) return;
        magazines->SetLoaded(side, LowerFloor(cache->Magazine, top));
        magazines->Raised.Remove(side);
    }

    // Moves a magazine's objects down to where its bottom is, and returns the top.
    private static nint LowerFloor(Magazine magazine, nint top)
    {
        nint lowest = magazine.LowestOf(top), block = magazine.BlockOf(top);
        int count = (int)((top - lowest) / sizeof(nint));
        nint bottom = magazine.FullTop(block) - (count <= magazine.Capacity ? magazine.Capacity : magazine.LargestCapacity) * sizeof(nint);
        new Span<nint>((nint*)lowest, count).CopyTo(new Span<nint>((nint*)bottom, count));
        ((nint*)bottom)[-1] = 0; // last, as an object may have been there
        return bottom + count * sizeof(nint);
    }

    /// <summary>Objects of a magazine that may have a raised floor, or one in doubt.</summary>
    internal static int Count(Magazine magazine, ThreadMagazines* magazines, int side, nint top)
    {
        nint lowest = magazine.LowestOf(top), floor = lowest - sizeof(nint);
        RecalledObject* recalled = magazines->Recalled.Find(side);
        if (recalled != null && recalled->Slot == floor) lowest = magazine.LowestOf(floor); // what is in doubt belongs to the magazine, and so does what is below
        return (int)((top - lowest) / sizeof(nint));
    }

    private static bool IsMagazine(nint top) => top != 0 && top != CacheTable.NoMagazine; // 0: a block that is being set up

    private static bool HasTwo(nint top) => ((nint*)top)[-1] != 0 && ((nint*)top)[-2] != 0;

    private static bool IsInDoubt(nint slot, nint top) => top == slot || top == slot + sizeof(nint);
}
