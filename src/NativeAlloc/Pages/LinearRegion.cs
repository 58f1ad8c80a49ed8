using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>
/// The direct mapping: one reserved range of addresses that all directly mapped pages lie in, and the tables that go with it, indexed by
/// page (<c>mem_map</c>). From a pointer to its page is one subtraction and one shift. Sections of 64 MiB are brought online one after
/// the other as zones ask for them.
/// </summary>
/// <remarks>
/// Tables, all outside the memory that is handed out: a byte per page that holds the size class of its slab (0: not a slab), the page
/// frames, a bitmap per page for a slab that begins there, and a bit per page that says whether memory may be behind it (<b>dirty</b>;
/// a page that is not dirty reads as zero and costs nothing).
/// </remarks>
internal static unsafe class LinearRegion
{
    internal const int PageShift = 16;
    internal const nuint PageBytes = 1 << PageShift;

    /// <summary>Orders 0..10: blocks of 64 KiB to 64 MiB.</summary>
    internal const int MaxOrder = 10;

    internal const int OrderCount = MaxOrder + 1;

    /// <summary>A section is one block of the top order, so that no block ever spans two.</summary>
    internal const uint SectionPages = 1u << MaxOrder;

    internal const nuint SectionBytes = SectionPages * PageBytes;

    /// <summary>Bits of a page's slab bitmap: a page holds 4096 of the smallest objects, 16 bytes.</summary>
    internal const int BitmapWords = (int)(PageBytes / 16 / 64);

    private const int BitmapBytes = BitmapWords * sizeof(ulong);

    // Addresses are cheap and holes between blocks are not: four times the memory that can be behind them, and never below 16 GiB.
    private const int ReservePerMemory = 4;
    private const ulong SmallestReserveBytes = 16UL << 30, LargestReserveBytes = 1UL << 44;

    /// <summary>First address of the region, a multiple of a section. A constant to the JIT.</summary>
    internal static readonly nuint Base;

    /// <summary>Pages of the region. A constant to the JIT.</summary>
    internal static readonly uint PageCount;

    private static readonly nuint s_classes, s_dirty, s_frames, s_bitmaps;

    private static NativeLock s_lock;
    private static MetadataRegion s_frameRegion, s_bitmapRegion;

    /// <summary>Pages before this one are online. Grown under the lock, read by any thread.</summary>
    private static uint s_onlinePages;

    static LinearRegion()
    {
        ulong wanted = Math.Clamp(Machine.MemoryBytes * ReservePerMemory, SmallestReserveBytes, LargestReserveBytes);
        // Where address space is limited (ulimit -v) take what there is, down to one section.
        for (nuint bytes = (nuint)BitOperations.RoundUpToPowerOf2(wanted); bytes >= SectionBytes; bytes /= 2)
        {
            if (!VirtualMemory.TryReserve(bytes, SectionBytes, out nuint address)) continue;
            uint pages = (uint)(bytes >> PageShift);
            MetadataRegion classes = MetadataRegion.Reserve(pages);
            MetadataRegion dirty = MetadataRegion.Reserve(pages / 8);
            MetadataRegion frames = MetadataRegion.Reserve((nuint)pages * PageFrame.Bytes);
            MetadataRegion bitmaps = MetadataRegion.Reserve((nuint)pages * BitmapBytes);
            // Any pointer at all may be looked up in these two, so they are usable from the start to the end.
            if (classes.TryCommitTo(pages) && dirty.TryCommitTo(pages / 8) && frames.Address != 0 && bitmaps.Address != 0)
            {
                Base = address;
                PageCount = pages;
                s_classes = classes.Address;
                s_dirty = dirty.Address;
                s_frames = frames.Address;
                s_bitmaps = bitmaps.Address;
                s_frameRegion = frames;
                s_bitmapRegion = bitmaps;
                return;
            }
            VirtualMemory.Release(address, bytes);
            foreach (MetadataRegion table in (ReadOnlySpan<MetadataRegion>)[classes, dirty, frames, bitmaps])
                if (table.Address != 0) VirtualMemory.Release(table.Address, table.Bytes);
        }
        // Not even one section: no page is ever found here, and every allocation fails as out of memory.
    }

    internal static nuint Bytes => (nuint)PageCount << PageShift;

    internal static uint LockAcquisitions => s_lock.Acquisitions;

    internal static uint OnlinePages => Volatile.Read(ref s_onlinePages);

    internal static PageFrame* Frames => (PageFrame*)s_frames;

    /// <summary>Index of the page an address lies in; at least <see cref="PageCount"/> for an address outside the region.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static nuint PageIndexOf(void* address) => unchecked((nuint)address - Base) >> PageShift;

    /// <summary>The smallest order whose blocks hold so many pages.</summary>
    internal static int OrderOf(uint pages) => pages <= 1 ? 0 : BitOperations.Log2(pages - 1) + 1;

    internal static nuint AddressOf(uint page) => Base + ((nuint)page << PageShift);

    /// <summary>
    /// The size class of the slab a page belongs to, 0 for any other page. A plain read: the byte was written before any pointer into
    /// the page was handed out and changes only after all of them have come back, and whatever carried the pointer here carried the byte.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static byte ClassOf(nuint page) => *(byte*)(s_classes + page);

    /// <summary>Sets the size class of a whole block; 0 when its slab is taken down.</summary>
    internal static void SetClass(uint page, uint count, byte sizeClass)
    {
        for (uint index = page; index < page + count; index++) Volatile.Write(ref *(byte*)(s_classes + index), sizeClass);
    }

    /// <summary>The slab bitmap that belongs to a page.</summary>
    internal static ulong* BitmapOf(uint page) => (ulong*)(s_bitmaps + (nuint)page * BitmapBytes);

    /// <summary>True if any page of the range may have memory behind it. Under the lock of the zone that the pages belong to.</summary>
    internal static bool AnyDirty(uint page, uint count)
    {
        for (uint index = page, end = page + count; index < end;)
        {
            ulong bits = DirtyWord(index) & RangeMask(index, end);
            if (bits != 0) return true;
            index = (index | 63) + 1;
        }
        return false;
    }

    internal static void MarkDirty(uint page, uint count)
    {
        for (uint index = page, end = page + count; index < end; index = (index | 63) + 1) DirtyWord(index) |= RangeMask(index, end);
    }

    internal static void MarkClean(uint page, uint count)
    {
        for (uint index = page, end = page + count; index < end; index = (index | 63) + 1) DirtyWord(index) &= ~RangeMask(index, end);
    }

    /// <summary>Whether a page may have memory behind it. Of a block that the caller holds, also without the lock: the bit is then nobody else's.</summary>
    internal static bool IsDirty(uint page) => (Volatile.Read(ref DirtyWord(page)) >> (int)(page & 63) & 1) != 0;

    /// <summary>How many pages of the range may have memory behind them. Under the zone's lock.</summary>
    internal static uint CountDirty(uint page, uint count)
    {
        uint dirty = 0;
        for (uint index = page, end = page + count; index < end; index = (index | 63) + 1)
            dirty += (uint)BitOperations.PopCount(DirtyWord(index) & RangeMask(index, end));
        return dirty;
    }

    // The bits of index's word that lie in [index, end). A section is a multiple of 64 pages, so no word is shared between zones.
    private static ulong RangeMask(uint index, uint end)
    {
        uint wordEnd = Math.Min(end, (index | 63) + 1);
        return ulong.MaxValue >> (int)(64 - (wordEnd - index)) << (int)(index & 63);
    }

    private static ref ulong DirtyWord(uint page) => ref ((ulong*)s_dirty)[page >> 6];

    /// <summary>Makes the next section usable: its memory, its frames, its bitmaps. False where the region ends or the system refuses.</summary>
    internal static bool TryBringSectionOnline(out uint firstPage)
    {
        s_lock.Acquire();
        firstPage = s_onlinePages;
        uint end = firstPage + SectionPages;
        bool online = end <= PageCount
            && s_frameRegion.TryCommitTo((nuint)end * PageFrame.Bytes)
            && s_bitmapRegion.TryCommitTo((nuint)end * BitmapBytes)
            && VirtualMemory.TryCommit(AddressOf(firstPage), SectionBytes);
        if (online) Volatile.Write(ref s_onlinePages, end);
        s_lock.Release();
        Debug.Assert(!online || !AnyDirty(firstPage, SectionPages), "a new section has no memory behind it");
        return online;
    }
}
