using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>
/// What is known about one 64 KiB page (<c>struct page</c>). Frames stand in an array outside the memory that is handed
/// out, at the page's index. Of a block of several pages only the first, the <b>head</b>, says anything; the others are
/// <see cref="PageState.Inner"/>.
/// </summary>
/// <remarks>
/// The holder of a page owns its frame. While the page is free, that is its zone, under the zone's lock; in a hot list,
/// the thread that owns the list; in a slab, the slab's cache, under the lock of the slab's node. While the page is in
/// a large block, or in a block of the page allocator, only the block's user changes the frame, by freeing the block.
/// </remarks>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
internal struct PageFrame
{
    /// <summary>Bytes of a frame: two to a cache line.</summary>
    internal const int Bytes = 32;

    /// <summary>No page: the end of a list.</summary>
    internal const uint None = uint.MaxValue;

    /// <summary>Next page of the list the head is in.</summary>
    [FieldOffset(0)] public uint Next;

    /// <summary>Previous page of that list.</summary>
    [FieldOffset(4)] public uint Previous;

    /// <summary>What the page is used for.</summary>
    [FieldOffset(8)] public PageState State;

    /// <summary>The block is 2^Order pages (free blocks, slabs, blocks of the page allocator).</summary>
    [FieldOffset(9)] public byte Order;

    /// <summary>Slabs: the <see cref="PageState.Slab"/> page's list in its cache (see <c>NodeSlabs</c>).</summary>
    [FieldOffset(10)] public byte List;

    /// <summary>
    /// Taken blocks: index of the zone they came from (<see cref="Zone.IndexOf"/>), written when they were taken;
    /// <see cref="NoZone"/> once they have gone back to it.
    /// </summary>
    [FieldOffset(11)] public byte ZoneIndex;

    /// <summary>Slabs: index of the cache. In the frames of all pages of the slab.</summary>
    [FieldOffset(12)] public ushort Cache;

    /// <summary>Slabs: objects that are in the slab, not with a thread, a magazine or the user.</summary>
    [FieldOffset(14)] public ushort FreeObjects;

    /// <summary>Slabs: no word of the bitmap before this one has a free object.</summary>
    [FieldOffset(16)] public ushort FirstWord;

    /// <summary>Single pages: the hot list they go back to, a migrate type.</summary>
    [FieldOffset(18)] public MigrateType Type;

    /// <summary>Free blocks: memory may be behind one of their pages.</summary>
    [FieldOffset(19)] public bool Dirty;

    /// <summary>Large blocks: how many pages they have, any number.</summary>
    [FieldOffset(20)] public uint PageCount;

    /// <summary>
    /// Single pages that users hold: taken as cold, and to go back to the cold end of the hot list. False in all
    /// others.
    /// </summary>
    [FieldOffset(24)] public bool Cold;

    /// <summary>
    /// Slabs: system pages inside that have been given back, and what they have been charged with taken back. See
    /// <c>ObjectCache.PurgeHoles</c>.
    /// </summary>
    [FieldOffset(26)] public ushort PurgedPages;

    /// <summary>
    /// Pages in hot lists: the low half of the address of the thread's lists, which tells threads apart.
    /// </summary>
    [FieldOffset(28)] private uint _hotOwner;

    /// <summary>The zone of a page that is in its zone.</summary>
    internal const byte NoZone = byte.MaxValue;

    /// <summary>Says that a page is in one of a thread's hot lists.</summary>
    internal unsafe void SetHot(void* owner)
    {
        Volatile.Write(ref _hotOwner, LowHalfOf(owner));
        SetState(PageState.Hot);
    }

    /// <summary>
    /// Whether a page is in one of a thread's hot lists, and, as far as the frame says, in no other's.
    /// </summary>
    internal unsafe bool IsHotOf(void* owner) =>
        GetState() == PageState.Hot && Volatile.Read(in _hotOwner) == LowHalfOf(owner);

    private static unsafe uint LowHalfOf(void* owner) => unchecked((uint)(nuint)owner);

    /// <summary>Reads the state of a page that may be somebody else's.</summary>
    internal PageState GetState() => (PageState)Volatile.Read(ref Unsafe.As<PageState, byte>(ref State));

    /// <summary>Sets the state after all that it stands for.</summary>
    internal void SetState(PageState state) => Volatile.Write(ref Unsafe.As<PageState, byte>(ref State), (byte)state);

    /// <summary>
    /// Takes the head of a block, which no other thread can free or move then; false where another thread was faster,
    /// or it is no such block. The caller frees the block, or sets the state again.
    /// </summary>
    /// <param name="from">What the block is.</param>
    internal bool TryTake(PageState from)
    {
        SchedulePoint.Reach();
        return Interlocked.CompareExchange(ref State, PageState.Taken, from) == from;
    }
}

/// <summary>What a page is used for.</summary>
internal enum PageState : byte
{
    /// <summary>
    /// Not the head of anything: inside a block, or not brought online yet. The value of zeroed memory.
    /// </summary>
    Inner = 0,

    /// <summary>Head of a free block in a zone's free list.</summary>
    Free,

    /// <summary>In a thread's hot list.</summary>
    Hot,

    /// <summary>Head of a block taken from the page layer and not further described.</summary>
    Taken,

    /// <summary>Head of a slab.</summary>
    Slab,

    /// <summary>Head of a large block of any number of pages.</summary>
    Large,

    /// <summary>Head of a block of 2^order pages that the page allocator's user holds.</summary>
    Block,

    /// <summary>Head of a section that is free and inaccessible (see <c>PageLayer.TryTakeOffline</c>).</summary>
    Offline,

    /// <summary>
    /// Head of a free block that is in no list for the moment: its memory is given back or moved elsewhere, or it is
    /// not unlocked yet.
    /// </summary>
    Withheld,
}
