using System.Diagnostics;
using System.Runtime.CompilerServices;
using NativeAlloc.Os;

namespace NativeAlloc.Slabs;

/// <summary>
/// Magazines whose floor a recall has raised (see <see cref="Recall"/>), and the way to make them whole: their owner
/// does so before it does anything with its magazines on a slow path, so that nothing else there ever sees such a
/// magazine. A thread that adopts the block does the same. A thread that takes a cache down does it for all threads,
/// once it has seen that none of the cache's objects is live: no owner is on a fast path of that cache then.
/// </summary>
internal static unsafe class RaisedFloors
{
    /// <summary>
    /// Begins whatever the owner does with its magazines but on the fast paths, with all of them whole; false while
    /// another thread recalls objects from them, or takes a cache down. No code of users runs until the owner leaves:
    /// it could come here again.
    /// </summary>
    internal static bool TryEnter(ThreadMagazines* magazines)
    {
        Debug.Assert(!magazines->Claim.IsInside, "the owner is inside already");
        if (!magazines->Claim.TryEnter()) return false;
        if (magazines->Raised.IsEmpty || TryLowerAll(magazines)) return true;
        magazines->Claim.Leave();
        return false;
    }

    /// <summary>Waits until the other thread is done, and enters.</summary>
    internal static void Enter(ThreadMagazines* magazines)
    {
        while (!TryEnter(magazines))
        {
            SchedulePoint.GiveWay();
            Thread.Yield();
        }
    }

    // False where a cache cannot be visited: another thread takes it down, and lowers the floors of its magazines
    // itself.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryLowerAll(ThreadMagazines* magazines)
    {
        SideSet sides = magazines->Raised;
        bool all = true;
        for (int side = sides.Next(1); side >= 0; side = sides.Next(side + 1))
        {
            ObjectCache* cache = CacheTable.CacheAt(CacheTable.IndexOfSide(side));
            if (!cache->TryEnter())
            {
                all = false;
                continue;
            }
            Lower(cache, magazines, side);
            cache->Leave();
        }
        return all;
    }

    /// <summary>
    /// Makes one magazine whole, if its floor was raised: moves its objects down to where its bottom is.
    /// </summary>
    internal static void Lower(ObjectCache* cache, ThreadMagazines* magazines, int side)
    {
        if (!magazines->Raised.Contains(side)) return;
        magazines->SetLoaded(side, MoveDown(cache->Magazine, magazines->Loaded(side)));
        magazines->Raised.Remove(side);
    }

    private static nint MoveDown(Magazine magazine, nint top)
    {
        nint lowest = magazine.LowestOf(top), block = magazine.BlockOf(top);
        int count = Count(magazine, top);
        int capacity = count <= magazine.Capacity ? magazine.Capacity : magazine.LargestCapacity;
        nint bottom = magazine.FullTop(block) - capacity * sizeof(nint);
        new Span<nint>((nint*)lowest, count).CopyTo(new Span<nint>((nint*)bottom, count));
        ((nint*)bottom)[-1] = 0; // last, as an object may have been there
        return bottom + count * sizeof(nint);
    }

    /// <summary>Objects of a magazine whose floor was raised.</summary>
    internal static int Count(Magazine magazine, nint top) => (int)((top - magazine.LowestOf(top)) / sizeof(nint));
}
