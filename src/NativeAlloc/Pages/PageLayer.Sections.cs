using System.Runtime.CompilerServices;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <content>
/// Sections go offline: one that is free as a whole becomes inaccessible until a zone grows again. To purge it would be
/// enough as long as nobody reads it. But who dumps a process, or looks through it with a debugger, reads all that can
/// be read, and that makes memory of it, which the zone holds for clean.
/// </content>
internal static unsafe partial class PageLayer
{
    /// <summary>
    /// Takes sections that are free and clean as a whole out of their zones, for
    /// <see cref="TryTakeOffline"/> to make them inaccessible, and returns how many. High pages have no addresses that
    /// could be read, and where commit is charged, purged ones cannot be read.
    /// </summary>
    /// <param name="sections">Gets their first pages.</param>
    internal static int TakeFreeSections(Span<uint> sections)
    {
        if (Platform.ChargesCommit) return 0;
        int count = 0;
        Interlocked.Increment(ref s_purging); // who finds no memory meanwhile waits for them: see AwaitPurge
        for (int index = 0; index < ZoneCount && count < sections.Length; index++)
        {
            Zone* zone = ZoneAt(index);
            if (zone->Kind == ZoneKind.High) continue;
            zone->Lock.Acquire();
            while (count < sections.Length && zone->TryTakeSection(out sections[count])) count++;
            zone->Lock.Release();
        }
        if (count == 0) Interlocked.Decrement(ref s_purging);
        return count;
    }

    /// <summary>
    /// Makes sections inaccessible that were just taken, or gives them back to their zones. False where one is as
    /// before.
    /// </summary>
    /// <param name="sections">Their first pages.</param>
    /// <param name="wanted">False to give all of them back.</param>
    internal static bool TryTakeOffline(ReadOnlySpan<uint> sections, bool wanted)
    {
        bool all = true;
        foreach (uint page in sections)
        {
            Zone* zone = ZoneOf(page);
            bool offline = wanted && LinearRegion.TryTakeSectionOffline(page);
            zone->Lock.Acquire();
            if (offline) zone->AddOffline(page);
            else zone->AddSection(page, LinearRegion.TypeOf(page));
            zone->Lock.Release();
            all &= offline;
        }
        if (sections.Length != 0) Interlocked.Decrement(ref s_purging);
        return all;
    }

    // The other way round, for a zone that grows.
    private static bool TryBringBack(Zone* zone, int systemNode, out uint page)
    {
        zone->Lock.Acquire();
        bool taken = zone->TryTakeOffline(out page);
        zone->Lock.Release();
        if (!taken || LinearRegion.TryBringSectionBack(page, systemNode)) return taken;
        zone->Lock.Acquire();
        zone->AddOffline(page);
        zone->Lock.Release();
        return false;
    }

    /// <summary>
    /// Purges what is free and should have no memory, and has some: somebody has read it, see above. What came that way
    /// was never charged, so it is not counted.
    /// </summary>
    internal static void PurgeClean()
    {
        if (Platform.ChargesCommit) return;
        Interlocked.Increment(ref s_purging);
        for (uint section = 0; section < LinearRegion.OnlinePages; section += PageGeometry.SectionPages)
            if (!IsOffline(section) && LinearRegion.ZoneIndexOf(section) >= 0)
                PurgeClean(ZoneOf(section), section);
        Interlocked.Decrement(ref s_purging);
    }

    [SkipLocalsInit]
    private static void PurgeClean(Zone* zone, uint section)
    {
        ResidentBytes resident;
        uint end = Math.Min(section + PageGeometry.SectionPages, LinearRegion.OnlinePages);
        nuint bytes = (nuint)(end - section) << PageGeometry.PageShift;
        if (!VirtualMemory.TryReadResident(LinearRegion.AddressOf(section), bytes, (byte*)&resident)) return;
        for (uint at = section; ;)
        {
            zone->Lock.Acquire();
            bool taken = zone->TryTakeClean(ref at, end, out uint page, out int order);
            zone->Lock.Release();
            if (!taken) return;
            if (HasMemory((byte*)&resident, page - section, 1u << order))
                VirtualMemory.TryPurge(LinearRegion.AddressOf(page), PageGeometry.PageBytes << order);
            zone->Lock.Acquire();
            zone->Give(page, order);
            zone->Lock.Release();
        }
    }

    private static bool HasMemory(byte* resident, uint page, uint count)
    {
        nuint pages = PageGeometry.PageBytes / VirtualMemory.PageBytes;
        for (byte* at = resident + page * pages, end = at + count * pages; at < end; at++)
            if ((*at & 1) != 0) return true;
        return false;
    }

    /// <summary>A byte for each system page of a section, of the smallest that there are.</summary>
    [InlineArray((int)PageGeometry.SectionBytes / 4096)]
    private struct ResidentBytes
    {
        private byte _first;
    }

    private static bool IsOffline(uint section) =>
        LinearRegion.Frames[section].GetState() == PageState.Offline;
}
