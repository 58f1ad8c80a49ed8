using System.Runtime.InteropServices;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// A zone of a test's own over one section of the region. The section is brought online once and serves one test after
/// the other; between them its frames belong to nobody, so that no other zone finds a free block there.
/// </summary>
internal sealed unsafe class TestZone : IDisposable
{
    // Its section says that it is the normal zone's, as its pages may be looked up there; no free block of it is ever
    // on that zone's lists.
    private static readonly int s_index = NativeAlloc.Pages.Zone.IndexOf(0, ZoneKind.Normal);

    internal TestZone()
    {
        Forget();
        Zone = (Zone*)NativeMemory.AllocZeroed((nuint)sizeof(Zone));
        Zone->Initialize(LinearRegion.Frames, s_index);
        Locked(() => Zone->AddSection(First));
    }

    /// <summary>The zone that all directly mapped pages come from where there is one node.</summary>
    internal static Zone* Normal => PageLayer.ZoneOf(0, ZoneKind.Normal);

    /// <summary>
    /// Gives everything back that can be, so that nothing comes back in the midst of a test: not what finalizers free,
    /// nor what threads hold, nor areas that are kept. Threads that rest give up the last objects of a slab only when
    /// they are asked again.
    /// </summary>
    internal static void Settle()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        uint free;
        do
        {
            free = Normal->FreePages;
            Reclaimer.ReleaseAreas();
            Reclaimer.ReleaseCaches();
        }
        while (Normal->FreePages != free);
    }

    /// <summary>
    /// Brings the rest of a section online of which the system gave only a part, as it does after an injected failure:
    /// the next section is a whole one then. The zone that has the first part gets the rest.
    /// </summary>
    internal static void CompleteSection()
    {
        while (LinearRegion.OnlinePages % PageGeometry.SectionPages is var part && part != 0)
        {
            Zone* zone = PageLayer.ZoneAt(LinearRegion.ZoneIndexOf(LinearRegion.OnlinePages - part));
            if (!LinearRegion.TryBringSectionOnline(zone->Index, -1, out uint first, out uint pages))
                throw new InvalidOperationException("no memory for the rest of a section");
            zone->Lock.Acquire();
            zone->AddSection(first, pages: pages);
            zone->Lock.Release();
        }
    }

    /// <summary>
    /// Pages of the normal zone that are in use, but for those of slabs: of a thread that has ended meanwhile, the next
    /// who gives memory back frees the last objects, and slabs with them.
    /// </summary>
    internal static uint UsedBesideSlabs()
    {
        uint slabs = 0;
        for (uint page = 0; page < LinearRegion.OnlinePages; page++)
            if (LinearRegion.ClassOf(page) != 0 && LinearRegion.ZoneIndexOf(page) == Normal->Index) slabs++;
        return Normal->OnlinePages - Normal->FreePages - slabs;
    }

    internal Zone* Zone { get; private set; }

    /// <summary>First page of the section.</summary>
    internal uint First { get; } = Section.First;

    internal bool TryTake(int order, uint usedPages, out uint page, out bool zeroed) =>
        TryTake(order, usedPages, MemoryChoice.UsedFirst, out page, out zeroed);

    internal bool TryTake(int order, uint usedPages, MemoryChoice choice, out uint page, out bool zeroed) =>
        TryTake(new PageRequest(order, usedPages) { Choice = choice }, out page, out zeroed);

    internal bool TryTake(in PageRequest request, out uint page, out bool zeroed)
    {
        ulong* dirty = stackalloc ulong[(int)PageGeometry.SectionPages / 64];
        new Span<ulong>(dirty, (int)PageGeometry.SectionPages / 64).Clear();
        Zone->Lock.Acquire();
        try
        {
            bool taken = Zone->TryTake(request, out page, out _, dirty);
            zeroed = taken && new Span<ulong>(dirty, (int)PageGeometry.SectionPages / 64).IndexOfAnyExcept(0UL) < 0;
            return taken;
        }
        finally
        {
            Zone->Lock.Release();
        }
    }

    internal uint Take(int order, MemoryChoice choice = MemoryChoice.UsedFirst) =>
        TryTake(order, 1u << order, choice, out uint page, out _)
            ? page
            : throw new InvalidOperationException($"the zone has no block of order {order}");

    internal bool TryTakeAt(uint page, uint count)
    {
        bool taken = false;
        Locked(() => taken = Zone->TryTakeAt(page, count));
        return taken;
    }

    internal void Give(uint page, int order) => Locked(() => Zone->Give(page, order));

    internal void GiveRange(uint page, uint count) => Locked(() => Zone->GiveRange(page, count));

    /// <summary>Gives any number of pages back as if they had been purged.</summary>
    internal void GiveClean(uint page, uint count) => Locked(() =>
    {
        Zone->SetClean(page, count);
        Zone->GiveRange(page, count);
    });

    /// <summary>Purges the first dirty free block of an order, with the system or only in the books.</summary>
    internal bool TryPurge(int order, bool askSystem)
    {
        bool purged = false;
        Locked(() =>
        {
            purged = Zone->TryTakeDirty(order, out uint page);
            if (!purged) return;
            if (askSystem && !VirtualMemory.TryPurge(LinearRegion.AddressOf(page), PageGeometry.PageBytes << order))
                throw new InvalidOperationException("the system does not purge");
            Zone->SetClean(page, 1u << order);
            Zone->Give(page, order);
        });
        return purged;
    }

    /// <summary>
    /// Takes all but the first 2^order pages out of play, so that these are a world of their own: nothing merges beyond
    /// them.
    /// </summary>
    internal void Isolate(int order)
    {
        uint page = Take(order);
        for (int above = order; above < PageGeometry.MaxOrder; above++) Take(above);
        Give(page, order);
        if (page != First || Zone->FreePages != 1u << order)
            throw new InvalidOperationException("the part in play is not the first");
    }

    /// <summary>Puts what <see cref="Isolate"/> took back.</summary>
    internal void Rejoin(int order) => GiveRange(First + (1u << order), PageGeometry.SectionPages - (1u << order));

    /// <summary>Which of the section's first pages are free, as the frames say.</summary>
    internal bool[] FreePages(uint count = PageGeometry.SectionPages)
    {
        bool[] free = new bool[count];
        for (uint page = 0; page < count; page++)
        {
            PageFrame frame = LinearRegion.Frames[First + page];
            if (frame.State == PageState.Free) free.AsSpan((int)page, 1 << frame.Order).Fill(true);
        }
        return free;
    }

    internal void Locked(Action action)
    {
        Zone->Lock.Acquire();
        try
        {
            action();
        }
        finally
        {
            Zone->Lock.Release();
        }
    }

    public void Dispose()
    {
        NativeMemory.Free(Zone);
        Zone = null;
        Forget();
    }

    private static void Forget()
    {
        if (LinearRegion.Dirty.Any(Section.First, PageGeometry.SectionPages))
            VirtualMemory.TryPurge(LinearRegion.AddressOf(Section.First), PageGeometry.SectionBytes);
        LinearRegion.Dirty.Clear(Section.First, PageGeometry.SectionPages);
        new Span<PageFrame>(LinearRegion.Frames + Section.First, (int)PageGeometry.SectionPages).Clear();
    }

    // A class of its own: asking whether there is a section brings none online.
    private static class Section
    {
        internal static readonly uint First = BringOnline();

        private static uint BringOnline()
        {
            CompleteSection();
            if (!LinearRegion.TryBringSectionOnline(s_index, -1, out uint first, out _))
                throw new InvalidOperationException("no section for the tests");
            return first;
        }
    }
}
