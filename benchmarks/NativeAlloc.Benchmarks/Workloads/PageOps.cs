using System.Runtime.InteropServices;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>One operation on a block of pages.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PageOp
{
    public int Slot;

    /// <summary>The block's order if it is allocated, the complement of it if it is freed.</summary>
    public int Code;

    public readonly bool IsFree => Code < 0;

    public readonly int Order => Code < 0 ? ~Code : Code;
}

/// <summary>
/// A sequence of allocations and frees of whole pages, made up ahead of the measurement. A random order is drawn, all
/// being equally likely, and random blocks are freed until one of that order fits the limit. It begins with nothing
/// allocated; the frees of what is left at the end are a part of its own, so that the state in between can be looked
/// at.
/// </summary>
internal sealed unsafe class PageOps
{
    private PageOps(List<PageOp> ops, long drainStart, int slotCount, long peakPages)
    {
        Ops = (PageOp*)MappedPages.Allocate((nuint)ops.Count * (nuint)sizeof(PageOp));
        CollectionsMarshal.AsSpan(ops).CopyTo(new Span<PageOp>(Ops, ops.Count));
        Count = ops.Count;
        DrainStart = drainStart;
        SlotCount = slotCount;
        PeakPages = peakPages;
    }

    public PageOp* Ops { get; }

    public long Count { get; }

    /// <summary>From this operation on all that is left is freed.</summary>
    public long DrainStart { get; }

    public int SlotCount { get; }

    /// <summary>Pages in all blocks at the fullest moment.</summary>
    public long PeakPages { get; }

    /// <param name="seed">Equal seeds make equal sequences.</param>
    /// <param name="minOrder">The smallest order that is drawn.</param>
    /// <param name="maxOrder">The largest.</param>
    /// <param name="limitPages">The most that is allocated at a time.</param>
    /// <param name="allocations">How many allocations there are; there are as many frees.</param>
    public static PageOps Create(int seed, int minOrder, int maxOrder, long limitPages, int allocations)
    {
        Random random = new(seed);
        List<PageOp> ops = new(2 * allocations);
        List<(int Slot, int Order)> live = [];
        Stack<int> freeSlots = [];
        int slotCount = 0;
        long pages = 0, peakPages = 0;
        for (int i = 0; i < allocations; i++)
        {
            int order = random.Next(minOrder, maxOrder + 1);
            while (pages + (1L << order) > limitPages)
                FreeAt(random.Next(live.Count));
            if (!freeSlots.TryPop(out int slot))
                slot = slotCount++;
            live.Add((slot, order));
            ops.Add(new PageOp { Slot = slot, Code = order });
            pages += 1L << order;
            peakPages = Math.Max(peakPages, pages);
        }

        int drainStart = ops.Count;
        while (live.Count > 0)
            FreeAt(random.Next(live.Count));
        return new PageOps(ops, drainStart, slotCount, peakPages);

        void FreeAt(int index)
        {
            (int slot, int order) = live[index];
            live[index] = live[^1];
            live.RemoveAt(live.Count - 1);
            freeSlots.Push(slot);
            ops.Add(new PageOp { Slot = slot, Code = ~order });
            pages -= 1L << order;
        }
    }
}
