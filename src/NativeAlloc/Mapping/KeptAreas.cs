using System.Diagnostics;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Mapping;

/// <summary>
/// Freed areas that stay mapped, with their memory, for the next request (the kernel's lazy <c>vunmap</c>): touching
/// memory for the first time costs a hundred times what touching it again does. They are bounded in bytes
/// (<see cref="LimitBytes"/>) and in number; the decay bounds them in time (<see cref="Release(long)"/>).
/// </summary>
/// <remarks>
/// A small table without a lock. A slot holds an area's number and its pages in one word; the thread that exchanges the
/// word for 0 has the area. A word may leave a slot and come back while another thread looks at it. It then stands for
/// the same area with as many pages, so that does no harm.
/// </remarks>
internal static unsafe class KeptAreas
{
    internal const int Slots = 64;

    /// <summary>An area of more runs is not kept: it would come back in more and more pieces.</summary>
    internal const uint MostRuns = 64;

    /// <summary>The area's number in the upper half, its pages in the lower; 0 for none. By Interlocked.</summary>
    private static readonly ulong[] s_slots = GC.AllocateArray<ulong>(Slots, pinned: true);

    /// <summary>When the slot was filled, by <see cref="Environment.TickCount64"/>. Any thread, by Volatile.</summary>
    private static readonly long[] s_times = new long[Slots];

    /// <summary>Pages in the table, or a few more while threads are at it. By Interlocked.</summary>
    private static long s_pages;

    /// <summary>Areas in the table, likewise.</summary>
    private static int s_count;

    internal static nuint Bytes => (nuint)Math.Max(0, Volatile.Read(ref s_pages)) << PageGeometry.PageShift;

    internal static int Count => Math.Max(0, Volatile.Read(ref s_count));

    /// <summary>The most that is kept.</summary>
    internal static nuint LimitBytes => Options.DirtyCapBytes;

    /// <summary>Takes a kept area that has so many pages, and no more than an eighth more bytes than were asked for. It is busy then; null where there is none.</summary>
    internal static VmallocArea* TakeLike(uint pages, nuint byteCount) =>
        Take(pages, Math.Max(pages, (uint)((byteCount + byteCount / 8) >> PageGeometry.PageShift)), orLargest: false);

    /// <summary>Takes the kept area that serves a part of a larger request best: the smallest that is large enough, else the largest.</summary>
    internal static VmallocArea* TakeFor(uint pages) => Take(pages, uint.MaxValue, orLargest: true);

    private static VmallocArea* Take(uint least, uint most, bool orLargest)
    {
        while (Volatile.Read(ref s_count) > 0)
        {
            int best = -1;
            ulong bestWord = 0;
            for (int slot = 0; slot < Slots; slot++)
            {
                ulong word = Volatile.Read(ref s_slots[slot]);
                uint pages = PagesOf(word), bestPages = PagesOf(bestWord);
                if (word == 0 || pages > most || (pages < least && !orLargest)) continue;
                bool better = best < 0 || (pages >= least ? bestPages < least || pages < bestPages : bestPages < pages);
                if (!better) continue;
                best = slot;
                bestWord = word;
            }
            if (best < 0) return null;
            if (TryTakeSlot(best, bestWord)) return AreaOf(bestWord);
        }
        return null;
    }

    /// <summary>Keeps a busy area; false, and nothing done, where it is too large or has too many runs. Others that were kept longer may have to go for it.</summary>
    internal static bool TryPut(VmallocArea* area)
    {
        nuint bytes = (nuint)area->Pages << PageGeometry.PageShift, limit = LimitBytes;
        if (bytes > limit || area->RunCount > MostRuns) return false;
        while (Bytes + bytes > limit && TryReleaseOldest()) { }
        while (true)
        {
            int slot = Array.IndexOf(s_slots, 0UL); // a hint
            if (slot < 0)
            {
                TryReleaseOldest();
                continue;
            }
            area->SetState(AreaState.Kept);
            Interlocked.Add(ref s_pages, area->Pages);
            Interlocked.Increment(ref s_count);
            Volatile.Write(ref s_times[slot], Environment.TickCount64);
            if (Interlocked.CompareExchange(ref s_slots[slot], (ulong)VmallocSpace.NumberOf(area) << 32 | area->Pages, 0) == 0) return true;
            Interlocked.Add(ref s_pages, -(long)area->Pages);
            Interlocked.Decrement(ref s_count);
            area->SetState(AreaState.Busy);
        }
    }

    /// <summary>Gives back what has been kept since before a point in time; returns the bytes.</summary>
    internal static nuint Release(long before = long.MaxValue)
    {
        nuint bytes = 0;
        for (int slot = 0; slot < Slots; slot++)
        {
            ulong word = Volatile.Read(ref s_slots[slot]);
            if (word != 0 && Volatile.Read(ref s_times[slot]) < before) bytes += Release(slot, word);
        }
        return bytes;
    }

    // False where there is none.
    private static bool TryReleaseOldest()
    {
        int oldest = -1;
        for (int slot = 0; slot < Slots; slot++)
            if (Volatile.Read(ref s_slots[slot]) != 0 && (oldest < 0 || Volatile.Read(ref s_times[slot]) < Volatile.Read(ref s_times[oldest]))) oldest = slot;
        if (oldest < 0) return false;
        Release(oldest, Volatile.Read(ref s_slots[oldest]));
        return true;
    }

    // 0 where somebody else was faster.
    private static nuint Release(int slot, ulong word) =>
        word != 0 && TryTakeSlot(slot, word) ? Teardown.Destroy(AreaOf(word)) : 0;

    private static bool TryTakeSlot(int slot, ulong word)
    {
        if (Interlocked.CompareExchange(ref s_slots[slot], 0, word) != word) return false;
        Interlocked.Add(ref s_pages, -(long)PagesOf(word));
        Interlocked.Decrement(ref s_count);
        bool taken = AreaOf(word)->TryChange(AreaState.Kept, AreaState.Busy);
        Debug.Assert(taken, "the thread that takes the word has the area");
        return true;
    }

    private static VmallocArea* AreaOf(ulong word) => VmallocSpace.At((uint)(word >> 32));

    private static uint PagesOf(ulong word) => unchecked((uint)word);
}
