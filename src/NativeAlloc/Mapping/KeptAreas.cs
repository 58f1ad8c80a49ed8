using System.Diagnostics;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Mapping;

/// <summary>
/// Freed areas that stay mapped, with their memory, for the next request (the kernel's lazy <c>vunmap</c>): touching
/// memory for the first time costs a hundred times what touching it again does. Bounded in bytes
/// (<see cref="LimitBytes"/>), in number, and in time by <see cref="Release(long)"/>.
/// </summary>
/// <remarks>
/// A small table without a lock: a slot holds an area's number and the pages it is charged with in one word, and goes
/// to the thread that exchanges it for 0. A word that comes back to a slot while another thread looks at it stands for
/// the same record with as much memory. Its length and its address may be others then, so the taker looks at it again
/// once it has it, and puts back what does not serve.
/// </remarks>
internal static unsafe class KeptAreas
{
    internal const int Slots = 64;

    /// <summary>An area of more runs is not kept: it would come back in more and more pieces.</summary>
    internal const uint MostRuns = 64;

    /// <summary>
    /// The area's number in the upper half, its charged pages in the lower; 0 for none. By Interlocked.
    /// </summary>
    private static readonly ulong[] s_slots = new ulong[Slots];

    /// <summary>When the slot was filled, by <see cref="Environment.TickCount64"/>. Any thread, by Volatile.</summary>
    private static readonly long[] s_times = new long[Slots];

    /// <summary>Charged pages in the table, or a few more while threads are at it. By Interlocked.</summary>
    private static long s_pages;

    /// <summary>Areas in the table, likewise.</summary>
    private static int s_count;

    internal static nuint Bytes => (nuint)Math.Max(0, Volatile.Read(ref s_pages)) << PageGeometry.PageShift;

    internal static int Count => Math.Max(0, Volatile.Read(ref s_count));

    /// <summary>The most that is kept.</summary>
    internal static nuint LimitBytes => Options.DirtyCapBytes;

    /// <summary>
    /// Takes a kept area that is as long as it should be, or longer up to a bound: the shortest. It is busy then; null
    /// where there is none.
    /// </summary>
    /// <param name="least">Pages that it has at least.</param>
    /// <param name="most">Pages that it has at most.</param>
    /// <param name="alignment">It begins at a multiple of this.</param>
    internal static VmallocArea* TakeLike(uint least, uint most, nuint alignment = 1) =>
        Take(new Search(Purpose.SameLength, least, most, alignment));

    /// <summary>
    /// Takes the kept area that serves a request with the least that is new, and leaves the larger ones for larger
    /// requests: it may be shorter or longer than what was asked for. It is busy then; null where there is none.
    /// </summary>
    /// <param name="pages">How many are wanted.</param>
    /// <param name="alignment">It begins at a multiple of this.</param>
    internal static VmallocArea* TakeToUse(uint pages, nuint alignment) =>
        Take(new Search(Purpose.Use, pages, MostChargedFor(pages), alignment));

    /// <summary>
    /// Takes the kept area whose memory serves a part of a larger request best: the smallest that is large enough, else
    /// the largest.
    /// </summary>
    internal static VmallocArea* TakeFor(uint pages) => Take(new Search(Purpose.Memory, pages, uint.MaxValue, 1));

    private static VmallocArea* Take(in Search search)
    {
        while (Volatile.Read(ref s_count) > 0)
        {
            int best = -1;
            ulong bestWord = 0;
            long bestScore = Search.Unfit;
            for (int slot = 0; slot < Slots; slot++)
            {
                ulong word = Volatile.Read(ref s_slots[slot]);
                if (word == 0) continue;
                long score = search.ScoreOf(AreaOf(word), PagesOf(word));
                if (score <= bestScore) continue;
                best = slot;
                bestWord = word;
                bestScore = score;
            }
            if (best < 0) return null;
            long keptSince = Volatile.Read(ref s_times[best]);
            if (!TryTakeSlot(best, bestWord)) continue;
            VmallocArea* area = AreaOf(bestWord);
            // Nobody else changes it from here on.
            if (search.ScoreOf(area, PagesOf(bestWord)) != Search.Unfit) return area;
            if (!TryPut(area, keptSince)) Teardown.Destroy(area);
        }
        return null;
    }

    // A small request gets no very large area: a larger request that comes next would have to touch fresh memory. But
    // where as much is kept besides, that is there for the larger one; else a block that grows each time from small to
    // large would leave one more such area each time.
    private static uint MostChargedFor(uint pages)
    {
        ulong half = (ulong)Math.Max(0, Volatile.Read(ref s_pages)) / 2;
        return (uint)Math.Min(Math.Max(Math.Max((ulong)pages * MostTimes, SmallPages), half), uint.MaxValue);
    }

    private const uint MostTimes = 4, SmallPages = 64;

    /// <summary>What a kept area is wanted for.</summary>
    private enum Purpose
    {
        /// <summary>Its addresses, as many as asked for, and the memory that it has.</summary>
        SameLength,

        /// <summary>Its memory where it stands, and room for the rest.</summary>
        Use,

        /// <summary>Its memory, which is moved elsewhere.</summary>
        Memory,
    }

    /// <summary>What is looked for. The area may be taken and changed meanwhile: the answers are hints.</summary>
    private readonly record struct Search(Purpose Purpose, uint Least, uint Most, nuint Alignment)
    {
        internal const long Unfit = long.MinValue;

        // Areas that have memory enough come before those that have less, and these before those that are too short.
        private const long Enough = 1L << 40, LongEnough = 1L << 36;

        internal long ScoreOf(VmallocArea* area, uint charged)
        {
            uint length = Volatile.Read(ref area->Pages);
            if (VmallocSpace.AddressOf(area) % Alignment != 0) return Unfit;
            switch (Purpose)
            {
                case Purpose.SameLength:
                    return length >= Least && length <= Most ? -(long)length : Unfit;
                case Purpose.Memory:
                    return charged >= Least ? Enough - charged : charged;
                default:
                    if (charged >= Least) return charged <= Most ? Enough - charged : Unfit;
                    if (length >= Least) return LongEnough + charged;
                    return (ulong)length + Volatile.Read(ref area->HolePages) >= Least ? charged : Unfit;
            }
        }
    }

    /// <summary>
    /// Keeps a busy area; false, and nothing done, where it has too much memory or too many runs. Others that were kept
    /// longer may have to go for it.
    /// </summary>
    /// <param name="area">The area.</param>
    /// <param name="keptSince">The time that counts for its age; now, if it is 0.</param>
    internal static bool TryPut(VmallocArea* area, long keptSince = 0)
    {
        uint pages = (uint)((area->ChargedBytes + (PageGeometry.PageBytes - 1)) >> PageGeometry.PageShift);
        nuint bytes = (nuint)pages << PageGeometry.PageShift, limit = LimitBytes;
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
            Interlocked.Add(ref s_pages, pages);
            Interlocked.Increment(ref s_count);
            Volatile.Write(ref s_times[slot], keptSince != 0 ? keptSince : Environment.TickCount64);
            SchedulePoint.Reach();
            ulong word = (ulong)VmallocSpace.NumberOf(area) << 32 | pages;
            if (Interlocked.CompareExchange(ref s_slots[slot], word, 0) == 0) return true;
            Interlocked.Add(ref s_pages, -(long)pages);
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
            if (word != 0 && Volatile.Read(ref s_times[slot]) < before) TryRelease(slot, word, ref bytes);
        }
        return bytes;
    }

    /// <summary>
    /// Gives all of them back for the addresses and mappings that they have, with memory or without. False where it
    /// found none: one that another thread is just putting here, or taking, is that thread's.
    /// </summary>
    internal static bool TryReleaseAll()
    {
        bool any = false;
        nuint bytes = 0;
        for (int slot = 0; slot < Slots; slot++) any |= TryRelease(slot, Volatile.Read(ref s_slots[slot]), ref bytes);
        return any;
    }

    /// <summary>
    /// Counts mappings that are about to be made. Where they would be too many, the kept areas go, which have some.
    /// False, and nothing counted, where that is not enough.
    /// </summary>
    internal static bool TryTakeMappings(int mappings) =>
        MappingBudget.TryTake(mappings) || (TryReleaseAll() && MappingBudget.TryTake(mappings));

    /// <summary>
    /// Gives so much of the areas' memory back, of the oldest first and of each from its end on, or what there is. The
    /// areas stay. Returns the bytes.
    /// </summary>
    internal static nuint Purge(nuint wantedBytes)
    {
        nuint bytes = 0;
        for (int areas = 0; areas < Slots && bytes < wantedBytes; areas++)
        {
            int oldest = Oldest(withMemory: true);
            if (oldest < 0) break;
            ulong word = Volatile.Read(ref s_slots[oldest]);
            long keptSince = Volatile.Read(ref s_times[oldest]);
            if (PagesOf(word) == 0 || !TryTakeSlot(oldest, word)) continue;
            VmallocArea* area = AreaOf(word);
            nuint missing = wantedBytes - bytes, charged = area->ChargedBytes;
            nuint left = charged > missing ? (charged - missing) & ~(PurgePieceBytes - 1) : 0;
            nuint purged = Teardown.PurgeFrom(area, left);
            bytes += purged;
            if (purged == 0 || !TryPut(area, keptSince)) bytes += Teardown.Destroy(area);
        }
        return bytes;
    }

    // Not each page alone: the next request for memory will be as small.
    private const nuint PurgePieceBytes = 256 * 1024;

    // The slot of the area that was kept longest; -1 where there is none.
    private static int Oldest(bool withMemory)
    {
        int oldest = -1;
        long oldestTime = long.MaxValue;
        for (int slot = 0; slot < Slots; slot++)
        {
            ulong word = Volatile.Read(ref s_slots[slot]);
            long time = Volatile.Read(ref s_times[slot]);
            if (word == 0 || time >= oldestTime || (withMemory && PagesOf(word) == 0)) continue;
            oldest = slot;
            oldestTime = time;
        }
        return oldest;
    }

    // False where there is none.
    private static bool TryReleaseOldest()
    {
        int oldest = Oldest(withMemory: false);
        if (oldest < 0) return false;
        nuint bytes = 0;
        TryRelease(oldest, Volatile.Read(ref s_slots[oldest]), ref bytes);
        return true;
    }

    // False where somebody else was faster.
    private static bool TryRelease(int slot, ulong word, ref nuint bytes)
    {
        if (word == 0 || !TryTakeSlot(slot, word)) return false;
        bytes += Teardown.Destroy(AreaOf(word));
        return true;
    }

    private static bool TryTakeSlot(int slot, ulong word)
    {
        SchedulePoint.Reach();
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
