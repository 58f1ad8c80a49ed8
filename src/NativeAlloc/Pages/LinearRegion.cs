using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>
/// The direct mapping: one reserved range of addresses that all directly mapped pages lie in, and the tables that go
/// with it, indexed by page (<c>mem_map</c>). From a pointer to its page is one subtraction and one shift. Sections of
/// 64 MiB are brought online one after the other as zones ask for them.
/// </summary>
/// <remarks>
/// Tables, all outside the memory that is handed out: a byte per page that holds the size class of its slab (0: not a
/// slab), the page frames, a bitmap per page for a slab that begins there, a bit per page that says whether memory may
/// be behind it (<b>dirty</b>; a page that is not dirty reads as zero and costs nothing), a byte per pageblock for its
/// migrate type, and one per section for its zone. All but the classes and the bitmaps go on for the high pages (see
/// <see cref="HighRegion"/>), whose indexes begin at <see cref="HighFirstPage"/>.
/// </remarks>
internal static unsafe class LinearRegion
{
    /// <summary>Bits of a page's slab bitmap: a page holds 4096 of the smallest objects, 16 bytes.</summary>
    internal const int BitmapWords = (int)(PageGeometry.PageBytes / 16 / 64);

    private const int BitmapBytes = BitmapWords * sizeof(ulong);

    private const uint SectionBitmapBytes = PageGeometry.SectionPages * BitmapBytes;

    // The section and its bitmaps, and of each what lies behind it.
    internal const int MappingsPerOffline = 4;

    // Addresses are cheap and holes between blocks are not: four times the memory that can be behind them, and never
    // below 16 GiB.
    private const int ReservePerMemory = 4;
    private const ulong SmallestReserveBytes = 16UL << 30;

    // Where addresses are few: the least that is worth it, and the part of them that the region may be.
    private const uint SmallestBytes = 4 << 20, AddressPart = 4;

    /// <summary>First address of the region, a multiple of a section. A constant to the JIT.</summary>
    internal static readonly nuint Base;

    /// <summary>Pages of the region. A constant to the JIT.</summary>
    internal static readonly uint PageCount;

    /// <summary>Index of the first high page; from there to <see cref="EndPage"/> they have no address.</summary>
    internal static readonly uint HighFirstPage;

    /// <summary>One more than the largest index of any page.</summary>
    internal static readonly uint EndPage;

    // High pages have no use for holes: they are as many as there can be memory for. Their frames begin at a step of
    // the frames' own table.
    private const uint HighAlignment = MetadataRegion.StepBytes / PageFrame.Bytes;

    private static readonly nuint s_classes, s_dirty, s_frames, s_bitmaps, s_types, s_zones;

    private static NativeLock s_lock;
    private static MetadataRegion s_frameRegion, s_highFrameRegion, s_bitmapRegion;

    /// <summary>Pages before this one are online. Grown under the lock, read by any thread.</summary>
    private static uint s_onlinePages;

    static LinearRegion()
    {
        ulong wanted = Options.ReserveBytes != 0
            ? Math.Max(Options.ReserveBytes, PageGeometry.SectionBytes)
            : Math.Clamp(Machine.MemoryBytes * ReservePerMemory, SmallestReserveBytes, OptionTable.LargestReserveBytes);
        // Where addresses are few (ulimit -v), a share of them, down to a part of a section.
        nuint most = AddressShare.Of((nuint)BitOperations.RoundUpToPowerOf2(wanted), AddressPart);
        for (nuint bytes = most; bytes >= SmallestBytes; bytes /= 2)
        {
            nuint alignment = Math.Min(bytes, PageGeometry.SectionBytes);
            if (!VirtualMemory.TryReserve(bytes, alignment, out nuint address)) continue;
            uint pages = (uint)(bytes >> PageGeometry.PageShift);
            uint high = (pages + (HighAlignment - 1)) & ~(HighAlignment - 1);
            uint end =
                high + Math.Max(PageGeometry.SectionPages, pages / ReservePerMemory & ~(PageGeometry.SectionPages - 1));
            if (Tables.TryReserve(pages, end, out Tables tables))
            {
                Base = address;
                PageCount = pages;
                HighFirstPage = high;
                EndPage = end;
                s_classes = tables.Classes.Address;
                s_dirty = tables.Dirty.Address;
                s_frames = tables.Frames.Address;
                s_bitmaps = tables.Bitmaps.Address;
                s_types = tables.Types.Address;
                s_zones = tables.Zones.Address;
                s_frameRegion = tables.Frames;
                nuint beforeHigh = (nuint)high * PageFrame.Bytes, highBytes = (nuint)(end - high) * PageFrame.Bytes;
                s_highFrameRegion = MetadataRegion.Within(s_frames + beforeHigh, highBytes);
                s_bitmapRegion = tables.Bitmaps;
                return;
            }
            VirtualMemory.Release(address, bytes);
        }
        // Not even that: no page is ever found here, and every allocation fails as out of memory.
    }

    internal static nuint Bytes => (nuint)PageCount << PageGeometry.PageShift;

    internal static uint LockAcquisitions => s_lock.Acquisitions;

    internal static uint OnlinePages => Volatile.Read(ref s_onlinePages);

    internal static PageFrame* Frames => (PageFrame*)s_frames;

    /// <summary>
    /// Index of the page an address lies in; at least <see cref="PageCount"/> for an address outside the region.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static nuint PageIndexOf(void* address) => unchecked((nuint)address - Base) >> PageGeometry.PageShift;

    internal static nuint AddressOf(uint page) => Base + ((nuint)page << PageGeometry.PageShift);

    /// <summary>
    /// The size class of the slab a page belongs to, 0 for any other page. A plain read: the byte was written before
    /// any pointer into the page was handed out and changes only after all of them have come back, and whatever carried
    /// the pointer here carried the byte.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static byte ClassOf(nuint page) => *(byte*)(s_classes + page);

    /// <summary>Sets the size class of a whole block; 0 when its slab is taken down.</summary>
    internal static void SetClass(uint page, uint count, byte sizeClass)
    {
        for (uint index = page; index < page + count; index++)
            Volatile.Write(ref *(byte*)(s_classes + index), sizeClass);
    }

    /// <summary>The slab bitmap that belongs to a page.</summary>
    internal static ulong* BitmapOf(uint page) => (ulong*)(s_bitmaps + (nuint)page * BitmapBytes);

    /// <summary>
    /// Which pages may have memory behind them. Changed under the lock of the zone that the pages belong to: a section
    /// is a multiple of 64 pages, so no word belongs to two zones. The bit of a page that the caller holds may be read
    /// without.
    /// </summary>
    internal static PageBits Dirty => new(s_dirty);

    /// <summary>The migrate type of the pageblock that a page lies in. Under the zone's lock, or as a hint.</summary>
    internal static MigrateType TypeOf(uint page) =>
        (MigrateType)Volatile.Read(ref *(byte*)(s_types + (page >> Pageblock.Order)));

    /// <summary>Sets the migrate type of whole pageblocks. Under the zone's lock.</summary>
    internal static void SetType(uint page, uint count, MigrateType type)
    {
        Debug.Assert((page | count) % Pageblock.Pages == 0, "types belong to whole pageblocks");
        for (uint block = page >> Pageblock.Order; block < (page + count) >> Pageblock.Order; block++)
            Volatile.Write(ref *(byte*)(s_types + block), (byte)type);
    }

    /// <summary>
    /// Index of the zone that a page's section belongs to; -1 for one that is not online, or for no page.
    /// </summary>
    internal static int ZoneIndexOf(uint page) =>
        page < EndPage ? Volatile.Read(ref *(byte*)(s_zones + page / PageGeometry.SectionPages)) - 1 : -1;

    /// <summary>Says that a section is online and whose it is.</summary>
    internal static void SetZoneIndex(uint firstPage, int zone) =>
        Volatile.Write(ref *(byte*)(s_zones + firstPage / PageGeometry.SectionPages), (byte)(zone + 1));

    /// <summary>
    /// Makes the frames of high pages before <paramref name="end"/> usable. Under the high region's lock.
    /// </summary>
    internal static bool TryCommitHighFrames(uint end) =>
        s_highFrameRegion.TryCommitTo((nuint)(end - HighFirstPage) * PageFrame.Bytes);

    /// <summary>
    /// Makes the next section usable: its memory, its frames, its bitmaps. Where the system refuses so much, a part,
    /// and the next part with the next call for the same zone. False where the region ends or the system refuses.
    /// </summary>
    /// <param name="zone">The zone that the section is for.</param>
    /// <param name="systemNode">Where its memory should come from; -1 for anywhere.</param>
    /// <param name="firstPage">The first page that is usable now.</param>
    /// <param name="pages">How many are.</param>
    /// <param name="wantedPages">A part with less than these is of no use.</param>
    internal static bool TryBringSectionOnline(
        int zone, int systemNode, out uint firstPage, out uint pages, uint wantedPages = 1)
    {
        s_lock.Acquire();
        firstPage = s_onlinePages;
        uint section = firstPage & ~(PageGeometry.SectionPages - 1);
        // The rest of another zone's section is left alone.
        if (firstPage != section && ZoneIndexOf(section) != zone) firstPage = section += PageGeometry.SectionPages;
        uint end = Math.Min(section + PageGeometry.SectionPages, PageCount);
        bool online = firstPage < end
            && s_frameRegion.TryCommitTo((nuint)end * PageFrame.Bytes)
            && s_bitmapRegion.TryCommitTo((nuint)end * BitmapBytes)
            && TryCommit(firstPage, end, wantedPages, out end);
        pages = online ? end - firstPage : 0;
        if (online)
        {
            // A wish: containers may forbid it.
            if (systemNode >= 0)
                VirtualMemory.TryBind(AddressOf(firstPage), (nuint)pages << PageGeometry.PageShift, systemNode);
            SetZoneIndex(section, zone);
            Volatile.Write(ref s_onlinePages, end);
        }
        s_lock.Release();
        Debug.Assert(!online || !Dirty.Any(firstPage, pages), "a new section has no memory behind it");
        return online;
    }

    /// <summary>
    /// Makes a section that nobody uses inaccessible, with its bitmaps: no memory is behind it, and none comes by being
    /// read, as a dump does. False, and nothing changed, where the system or the budget for mappings refuses.
    /// </summary>
    internal static bool TryTakeSectionOffline(uint firstPage)
    {
        if (!MappingBudget.TryTake(MappingsPerOffline)) return false;
        if (!VirtualMemory.TryDecommit(AddressOf(firstPage), PageGeometry.SectionBytes))
        {
            MappingBudget.Give(MappingsPerOffline);
            return false;
        }
        VirtualMemory.TryDecommit((nuint)BitmapOf(firstPage), SectionBitmapBytes); // a wish
        return true;
    }

    /// <summary>Makes such a section usable again. False where the system refuses.</summary>
    /// <param name="firstPage">Its first page.</param>
    /// <param name="systemNode">Where its memory should come from; -1 for anywhere.</param>
    internal static bool TryBringSectionBack(uint firstPage, int systemNode)
    {
        nuint address = AddressOf(firstPage);
        if (!VirtualMemory.TryCommit((nuint)BitmapOf(firstPage), SectionBitmapBytes)
            || (!Platform.ChargesCommit && !VirtualMemory.TryCommit(address, PageGeometry.SectionBytes))) return false;
        MappingBudget.Give(MappingsPerOffline);
        if (systemNode >= 0) VirtualMemory.TryBind(address, PageGeometry.SectionBytes, systemNode);
        return true;
    }

    /// <summary>The tables that go with the pages, while they are being reserved.</summary>
    private struct Tables
    {
        internal MetadataRegion Classes, Dirty, Frames, Bitmaps, Types, Zones;

        /// <summary>Reserves all tables; where one cannot be had, none stays reserved.</summary>
        /// <param name="pages">Pages of the linear region.</param>
        /// <param name="end">One more than the largest index of any page.</param>
        internal static bool TryReserve(uint pages, uint end, out Tables tables)
        {
            tables = new Tables
            {
                Classes = MetadataRegion.ReserveLow(pages), // read by every free
                Dirty = MetadataRegion.Reserve(end / 8),
                Frames = MetadataRegion.Reserve((nuint)end * PageFrame.Bytes),
                Bitmaps = MetadataRegion.Reserve((nuint)pages * BitmapBytes),
                Types = MetadataRegion.Reserve(end / Pageblock.Pages),
                Zones = MetadataRegion.Reserve(end / PageGeometry.SectionPages),
            };
            // These four are small, and some are asked about any pointer at all: they are usable from start to end.
            bool usable = tables.Classes.TryCommitTo(pages) && tables.Dirty.TryCommitTo(end / 8)
                && tables.Types.TryCommitTo(end / Pageblock.Pages)
                && tables.Zones.TryCommitTo(end / PageGeometry.SectionPages);
            if (usable && tables.Frames.Address != 0 && tables.Bitmaps.Address != 0) return true;
            ReadOnlySpan<MetadataRegion> all =
                [tables.Classes, tables.Dirty, tables.Frames, tables.Bitmaps, tables.Types, tables.Zones];
            foreach (MetadataRegion table in all)
                if (table.Address != 0) VirtualMemory.Release(table.Address, table.Bytes);
            return false;
        }
    }

    // Near a limit (ulimit -d) the system refuses a whole section and still gives less. Then little is taken at a time,
    // so that something is left for others, and nothing for what would need several parts.
    private static bool TryCommit(uint firstPage, uint wantedEnd, uint wantedPages, out uint end)
    {
        const uint FewPages = 2 * Pageblock.Pages;
        end = wantedEnd;
        if (Platform.ChargesCommit) return true; // pages are committed when they are taken
        if (VirtualMemory.TryCommit(AddressOf(firstPage), (nuint)(end - firstPage) << PageGeometry.PageShift))
            return true;
        if (end - firstPage <= FewPages || wantedPages > FewPages) return false;
        end = firstPage + FewPages;
        return VirtualMemory.TryCommit(AddressOf(firstPage), (nuint)FewPages << PageGeometry.PageShift);
    }
}
