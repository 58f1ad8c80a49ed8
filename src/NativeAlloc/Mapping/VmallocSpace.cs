using System.Diagnostics;
using System.Numerics;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Mapping;

/// <summary>
/// The vmalloc space (<c>VMALLOC_START</c> to <c>VMALLOC_END</c>): a reserved range of addresses, and the areas in it.
/// What is mapped in an area is the business of others; outside of areas, and on the guard page behind each, a touch is
/// an access violation.
/// </summary>
internal static unsafe class VmallocSpace
{
    /// <summary>The record that stands for the beginning of the space: a guard page and no area.</summary>
    private const uint Head = 1;

    /// <summary>The first record that may be an area's.</summary>
    internal const uint FirstRecord = Head + 1;

    // Addresses cost nothing, and moving to larger holes is how areas grow: eight times what the linear region takes,
    // in any case room for thousands of areas of 1 GiB that nobody has touched. Where memory files need a part of the
    // addresses with tables of its own, it is room for some of the largest areas that a machine can fill.
    private const ulong SmallestBytes = 1UL << 42, SmallestWithFiles = 256UL << 30, LargestBytes = 1UL << 44;
    private const int ReservePerMemory = 32;

    // The system allows 65,530 mappings to a process unless told otherwise, and an area is two of them: the area and
    // the hole behind it.
    private const int MaxAreas = 1 << 17;

    // The least that is worth it; and where addresses are few, the part of them that areas may be.
    private const uint LeastBytes = 4 << 20, AddressPart = 4;

    private static readonly nuint s_base;
    private static readonly uint s_pageCount;

    /// <summary>
    /// So many pages at the beginning of the space are for maps alone, where files cannot be mapped over any addresses;
    /// else 0, and all areas are of one kind. A constant to the JIT.
    /// </summary>
    private static readonly uint s_mapPages;
    private static readonly nuint s_areas;

    private static NativeLock s_lock;

    /// <summary>
    /// The records of areas, and by page the area that begins there. Grown under the lock; what is committed may be
    /// read by any thread.
    /// </summary>
    private static MetadataRegion s_areaRegion, s_startRegion;

    /// <summary>The areas, and those of the part for maps where there is one. Under the lock.</summary>
    private static AreaTree s_tree, s_mapTree;

    /// <summary>Stands for the beginning of the part for maps; none where there is no such part.</summary>
    private static uint s_mapHead;

    /// <summary>Records ever used, and the first of those that are not in use now. Under the lock.</summary>
    private static uint s_records, s_freeRecord;

    /// <summary>Areas in the space. Written under the lock, read by any thread.</summary>
    private static int s_count;

    static VmallocSpace()
    {
        ulong least = Platform.ChargesCommit ? SmallestWithFiles : SmallestBytes;
        ulong wanted = Options.VmallocReserveBytes != 0
            ? Math.Max(Options.VmallocReserveBytes, LeastBytes)
            : Math.Clamp(Machine.MemoryBytes * ReservePerMemory, least, LargestBytes);
        // Where addresses are few (ulimit -v), a share of them.
        nuint most = AddressShare.Of((nuint)BitOperations.RoundUpToPowerOf2(wanted), AddressPart);
        for (nuint bytes = most; bytes >= LeastBytes; bytes /= 2)
        {
            nuint mapBytes = Platform.Current.FileShareOf(bytes);
            if (!VirtualMemory.TryReserveForFiles(bytes, mapBytes, VirtualMemory.HugePageBytes, out nuint address))
                continue;
            MetadataRegion areas = MetadataRegion.ReserveUpTo(MaxAreas * (nuint)VmallocArea.Bytes);
            if (areas.Address == 0)
            {
                VirtualMemory.Release(address, bytes);
                continue;
            }
            uint pages = (uint)(bytes >> PageGeometry.PageShift);
            s_areaRegion = areas;
            s_areas = areas.Address;
            s_startRegion = MetadataRegion.Reserve((nuint)pages * sizeof(uint));
            s_base = address;
            s_pageCount = pages;
            s_mapPages = (uint)(mapBytes >> PageGeometry.PageShift);
            s_tree = s_mapTree = new AreaTree(Records);
            s_records = Head;
            return;
        }
        // None at all: no area is ever found here, and every request fails as out of memory.
    }

    private static VmallocArea* Records => (VmallocArea*)s_areas;

    internal static nuint Base => s_base;

    internal static nuint Bytes => (nuint)s_pageCount << PageGeometry.PageShift;

    internal static int Count => Volatile.Read(ref s_count);

    internal static uint LockAcquisitions => s_lock.Acquisitions;

    internal static VmallocArea* At(uint area) => Records + area;

    internal static nuint AddressOf(VmallocArea* area) => s_base + ((nuint)area->FirstPage << PageGeometry.PageShift);

    /// <summary>The number of an area's record, by which <see cref="At"/> finds it.</summary>
    internal static uint NumberOf(VmallocArea* area) => (uint)(area - Records);

    internal static bool Contains(void* address) => unchecked((nuint)address - s_base) < Bytes;

    /// <summary>
    /// Adds an area, busy and with nothing mapped in it. Null where there is no such hole, or no memory for the record.
    /// </summary>
    /// <param name="pages">Pages of the area.</param>
    /// <param name="alignmentPages">It begins at a multiple of so many pages: a power of two.</param>
    /// <param name="roomPages">So many pages behind it should be free for it to grow into; none, where no hole is that
    /// large.</param>
    internal static VmallocArea* Add(AreaKind kind, uint pages, uint alignmentPages = 1, uint roomPages = 0)
    {
        Debug.Assert(pages != 0 && uint.IsPow2(alignmentPages),
            "an area has pages, and an alignment is a power of two");
        s_lock.Acquire();
        VmallocArea* area = AddLocked(kind, pages, alignmentPages, roomPages);
        s_lock.Release();
        return area;
    }

    private static VmallocArea* AddLocked(AreaKind kind, uint pages, uint alignmentPages, uint roomPages)
    {
        ulong needed = (ulong)pages + VmallocArea.GuardPages + (alignmentPages - 1);
        if (needed >= s_pageCount || !TryMakeHead()) return null;
        ref AreaTree tree = ref TreeOf(kind);
        uint before = needed + roomPages < s_pageCount ? tree.BeforeHole((uint)needed + roomPages) : AreaTree.None;
        if (before == AreaTree.None) before = tree.BeforeHole((uint)needed);
        if (before == AreaTree.None) return null;
        uint hole = Records[before].FirstPage + Records[before].Pages + VmallocArea.GuardPages,
            end = hole + Records[before].HolePages;
        uint first = AlignUp(hole, alignmentPages);
        if (!s_startRegion.TryCommitTo((nuint)(first + 1) * sizeof(uint))) return null;
        uint number = TakeRecord();
        if (number == AreaTree.None) return null;
        VmallocArea* area = Records + number;
        uint holePages = end - first - pages - VmallocArea.GuardPages;
        *area = new VmallocArea { FirstPage = first, Pages = pages, UsedPages = pages, HolePages = holePages };
        area->Kind = kind;
        area->SetState(AreaState.Busy);
        tree.SetHole(before, first - hole);
        tree.Insert(number);
        Volatile.Write(ref Start(first), number);
        Volatile.Write(ref s_count, s_count + 1);
        return area;
    }

    /// <summary>
    /// Whether there is a hole for such an area: tells what <see cref="Add"/> lacked, addresses or memory for its
    /// tables.
    /// </summary>
    internal static bool HasHole(uint pages, uint alignmentPages)
    {
        ulong needed = (ulong)pages + VmallocArea.GuardPages + (alignmentPages - 1);
        s_lock.Acquire();
        bool has = needed < s_pageCount - s_mapPages
            && (s_records == Head || s_tree.BeforeHole((uint)needed) != AreaTree.None);
        s_lock.Release();
        return has;
    }

    /// <summary>Takes an area out that is busy and has nothing mapped in it any more.</summary>
    internal static void Remove(VmallocArea* area)
    {
        Debug.Assert(area->GetState() == AreaState.Busy && area->Runs == 0,
            "the area is the caller's, and its runs are gone");
        uint number = NumberOf(area);
        s_lock.Acquire();
        Volatile.Write(ref Start(area->FirstPage), AreaTree.None);
        ref AreaTree tree = ref TreeAt(area->FirstPage);
        tree.Remove(number);
        uint before = tree.AtOrBefore(area->FirstPage);
        tree.SetHole(before, Records[before].HolePages + area->Pages + VmallocArea.GuardPages + area->HolePages);
        area->SetState(AreaState.None);
        area->Left = s_freeRecord;
        s_freeRecord = number;
        Volatile.Write(ref s_count, s_count - 1);
        s_lock.Release();
    }

    /// <summary>
    /// Makes a busy area longer, where the hole behind it is large enough. What is new has nothing mapped in it.
    /// </summary>
    /// <param name="pages">So long at least.</param>
    /// <param name="wantedPages">So long if the hole allows.</param>
    internal static bool TryExtend(VmallocArea* area, uint pages, uint wantedPages = 0)
    {
        Debug.Assert(pages >= area->Pages, "this grows");
        s_lock.Acquire();
        bool extended = pages - area->Pages <= area->HolePages;
        if (extended)
        {
            uint more = Math.Min(Math.Max(pages, wantedPages) - area->Pages, area->HolePages);
            Volatile.Write(ref area->Pages, area->Pages + more);
            TreeAt(area->FirstPage).SetHole(NumberOf(area), area->HolePages - more);
        }
        s_lock.Release();
        return extended;
    }

    /// <summary>Makes a busy area shorter. Nothing is mapped any more in what it loses.</summary>
    internal static void Shorten(VmallocArea* area, uint pages)
    {
        Debug.Assert(pages != 0 && pages <= area->Pages, "something is left");
        s_lock.Acquire();
        uint less = area->Pages - pages;
        Volatile.Write(ref area->Pages, pages);
        TreeAt(area->FirstPage).SetHole(NumberOf(area), area->HolePages + less);
        s_lock.Release();
    }

    /// <summary>
    /// Makes a busy area shorter at its beginning. Nothing is mapped any more in what it loses. False, and nothing
    /// done, where there is no memory for a table.
    /// </summary>
    internal static bool TryCutFront(VmallocArea* area, uint pages)
    {
        Debug.Assert(pages != 0 && pages < area->Pages, "something is left");
        s_lock.Acquire();
        uint number = NumberOf(area), first = area->FirstPage + pages;
        bool committed = s_startRegion.TryCommitTo((nuint)(first + 1) * sizeof(uint));
        if (committed)
        {
            ref AreaTree tree = ref TreeAt(area->FirstPage);
            uint before = tree.AtOrBefore(area->FirstPage - 1);
            Volatile.Write(ref Start(area->FirstPage), AreaTree.None);
            area->FirstPage = first; // still between the same neighbours
            area->Pages -= pages;
            Volatile.Write(ref Start(first), number);
            tree.SetHole(before, Records[before].HolePages + pages);
        }
        s_lock.Release();
        return committed;
    }

    /// <summary>
    /// The area that begins at an address, without a lock; null where none does. It may be anything by the time that
    /// the caller looks at it, unless the caller holds it.
    /// </summary>
    internal static VmallocArea* Starting(void* address)
    {
        nuint offset = unchecked((nuint)address - s_base);
        if (offset >= Bytes || offset % PageGeometry.PageBytes != 0) return null;
        nuint page = offset >> PageGeometry.PageShift;
        if ((page + 1) * sizeof(uint) > s_startRegion.CommittedBytes) return null;
        uint number = Volatile.Read(ref Start((uint)page));
        return number == AreaTree.None ? null : Records + number;
    }

    /// <summary>
    /// The end of the records that were ever used: an area has a smaller number, from <see cref="FirstRecord"/> on.
    /// </summary>
    internal static uint EndOfRecords()
    {
        s_lock.Acquire();
        uint end = s_records;
        s_lock.Release();
        return end;
    }

    /// <summary>Finds the area that an address lies in, anywhere, and copies what is known of it.</summary>
    internal static bool TryFind(void* address, out VmallocArea found)
    {
        found = default;
        if (!Contains(address)) return false;
        uint page = (uint)(((nuint)address - s_base) >> PageGeometry.PageShift);
        s_lock.Acquire();
        uint number = TreeAt(page).AtOrBefore(page);
        bool inside = number > Head && page - Records[number].FirstPage < Records[number].Pages;
        if (inside) found = Records[number];
        s_lock.Release();
        return inside;
    }

    /// <summary>Copies the first area that begins at or behind a page: how reports walk the space.</summary>
    internal static bool TryNext(uint page, out VmallocArea found)
    {
        s_lock.Acquire();
        found = default;
        bool any = s_count != 0 && page < s_mapPages && TryNext(s_mapTree, page, s_mapHead, s_mapPages, ref found);
        any = any || (s_count != 0 && TryNext(s_tree, Math.Max(page, s_mapPages), Head, s_pageCount, ref found));
        s_lock.Release();
        return any;
    }

    private static bool TryNext(in AreaTree tree, uint page, uint head, uint endPage, ref VmallocArea found)
    {
        uint number = page == Records[head].FirstPage ? head : tree.AtOrBefore(page - 1);
        if (number == AreaTree.None) return false;
        uint next =
            Records[number].FirstPage + Records[number].Pages + VmallocArea.GuardPages + Records[number].HolePages;
        number = tree.AtOrBefore(next);
        if (next >= endPage || number == head || Records[number].FirstPage < page) return false;
        found = Records[number];
        return true;
    }

    /// <summary>
    /// What areas of so many pages begin at multiples of: huge pages stand at multiples of their size.
    /// </summary>
    internal static nuint AlignmentOf(uint pages) =>
        pages >= Pageblock.Pages ? VirtualMemory.HugePageBytes : PageGeometry.PageBytes;

    private static bool TryMakeHead()
    {
        if (s_records > Head) return true;
        if (!s_areaRegion.TryCommitTo((Head + 2) * (nuint)VmallocArea.Bytes)
            || !s_startRegion.TryCommitTo(sizeof(uint))) return false;
        s_records = Head + 1;
        MakeHead(ref s_tree, Head, s_mapPages, s_pageCount);
        if (s_mapPages == 0) return true;
        uint number = TakeRecord();
        s_mapHead = number;
        MakeHead(ref s_mapTree, number, 0, s_mapPages);
        return true;
    }

    private static void MakeHead(ref AreaTree tree, uint number, uint firstPage, uint endPage)
    {
        Records[number] = new VmallocArea
        {
            FirstPage = firstPage,
            HolePages = endPage - firstPage - VmallocArea.GuardPages,
        };
        Records[number].SetState(AreaState.Busy);
        tree.Insert(number);
    }

    private static ref AreaTree TreeOf(AreaKind kind) =>
        ref s_mapPages != 0 && kind == AreaKind.Map ? ref s_mapTree : ref s_tree;

    private static ref AreaTree TreeAt(uint page) => ref page < s_mapPages ? ref s_mapTree : ref s_tree;

    private static uint TakeRecord()
    {
        uint number = s_freeRecord;
        if (number != AreaTree.None)
        {
            s_freeRecord = Records[number].Left;
            return number;
        }
        number = s_records;
        if (number >= MaxAreas || !s_areaRegion.TryCommitTo((nuint)(number + 1) * VmallocArea.Bytes))
            return AreaTree.None;
        s_records++;
        return number;
    }

    // Which area begins at a page: a table beside the tree, so that freeing takes no lock to find its area.
    private static ref uint Start(uint page) => ref ((uint*)s_startRegion.Address)[page];

    private static uint AlignUp(uint page, uint alignmentPages)
    {
        // Alignment counts from address 0, and the space begins at a multiple of a huge page only.
        uint offset = (uint)(s_base >> PageGeometry.PageShift) & (alignmentPages - 1);
        return ((page + offset + (alignmentPages - 1)) & ~(alignmentPages - 1)) - offset;
    }

    /// <summary>Checks the tree. Throws where something is wrong; takes the lock.</summary>
    internal static void Verify()
    {
        if (s_pageCount == 0) return;
        s_lock.Acquire();
        uint count = 0;
        string? error = s_records == Head ? null : s_tree.FindError(s_pageCount, out count, s_mapPages);
        uint heads = 1;
        if (error == null && s_records != Head && s_mapPages != 0)
        {
            error = s_mapTree.FindError(s_mapPages, out uint maps);
            count += maps;
            heads++;
        }
        if (error == null && s_records != Head && count != s_count + heads)
            error = $"the tree has {count} areas and says {s_count + heads}";
        s_lock.Release();
        if (error != null) throw new InvalidOperationException($"vmalloc space: {error}");
    }
}
