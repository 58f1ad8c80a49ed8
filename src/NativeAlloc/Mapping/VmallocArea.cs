using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Mapping;

/// <summary>
/// An area of the vmalloc space (<c>struct vm_struct</c> and <c>vmap_area</c> in one): pages side by side, behind them
/// a guard page, behind that a hole up to the next area.
/// </summary>
/// <remarks>
/// The fields of the tree, and the area's address, belong to <see cref="VmallocSpace"/>, under its lock. The address
/// changes only while the state is <see cref="AreaState.Busy"/>, so the thread that made the area busy may read it
/// without the lock. What is mapped belongs to that thread, too.
/// </remarks>
[StructLayout(LayoutKind.Sequential, Size = Bytes)]
internal struct VmallocArea
{
    internal const int Bytes = 64;

    /// <summary>Pages behind each area that are never mapped, so that an overrun faults.</summary>
    internal const uint GuardPages = 1;

    /// <summary>The first page, from the beginning of the space.</summary>
    public uint FirstPage;

    /// <summary>
    /// Pages of the area that can be touched, without the guard. Its user has the first <see cref="UsedPages"/> of
    /// them; the others are room to grow into.
    /// </summary>
    public uint Pages;

    /// <summary>Pages of the hole behind the guard.</summary>
    public uint HolePages;

    /// <summary>
    /// The subtrees of areas before and behind this one; 0 for none. Of a record that is not in use, <see cref="Left"/>
    /// is the next such.
    /// </summary>
    public uint Left, Right;

    /// <summary>
    /// Random: what makes a tree of areas in any order shallow. No area has a larger one than the area above it.
    /// </summary>
    public uint Priority;

    /// <summary>The largest hole in the tree from here on down.</summary>
    public uint LargestHole;

    /// <summary>What becomes of the area at present: an <see cref="AreaState"/>. By Interlocked and Volatile.</summary>
    public int State;

    /// <summary>
    /// Pages of each run: an array of <see cref="RunCount"/>, or 0 where there is only one run. A run is memory that
    /// came in one piece. A map has no such array.
    /// </summary>
    public nint Runs;

    public uint RunCount;

    /// <summary>What the area is for.</summary>
    public AreaKind Kind;

    /// <summary>The system may use huge pages for it.</summary>
    public bool Huge;

    /// <summary>
    /// The tail of a live area was there when the decay's thread looked last. For the thread that holds the area.
    /// </summary>
    public bool IsTailIdle;

    /// <summary>
    /// All that is charged had memory when it was looked at last. More of the area was not charged since then.
    /// </summary>
    public bool IsDense;

    /// <summary>
    /// Bytes that the resident budget was charged with: a part of the area from its beginning on. What is behind it was
    /// never touched since it came from the system, and reads as zero.
    /// </summary>
    public nuint ChargedBytes;

    /// <summary>
    /// Of a stale area, the record of the next one; 0 for none. Under the lock of <see cref="Teardown"/>.
    /// </summary>
    public uint NextStale;

    /// <summary>Pages that the area's user has; of a kept area, those that its last user had.</summary>
    public uint UsedPages;

    internal readonly nuint SizeBytes => (nuint)Pages << PageGeometry.PageShift;

    internal readonly nuint UsedBytes => (nuint)UsedPages << PageGeometry.PageShift;

    /// <summary>
    /// So much may come into memory by what the user writes: a huge page comes as a whole, also the last one.
    /// </summary>
    internal readonly nuint ReachedBytes
    {
        get
        {
            nuint end = (UsedBytes + (VirtualMemory.HugePageBytes - 1)) & ~(VirtualMemory.HugePageBytes - 1);
            return Huge && end <= SizeBytes ? end : UsedBytes;
        }
    }

    /// <summary>Charged bytes behind what the user reaches.</summary>
    internal readonly nuint TailBytes => ChargedBytes > ReachedBytes ? ChargedBytes - ReachedBytes : 0;

    /// <summary>
    /// Mappings that the area is counted as, beside one for each run: the addresses behind it, and the memory of an
    /// area that is in one run, which is not written down.
    /// </summary>
    internal readonly int OwnMappings => Kind == AreaKind.Map ? 1 : 2;

    internal AreaState GetState() => (AreaState)Volatile.Read(ref State);

    internal void SetState(AreaState state)
    {
        SchedulePoint.Reach();
        Volatile.Write(ref State, (int)state);
    }

    /// <summary>
    /// Goes from one state to another; false where another thread was faster or the area is in another state.
    /// </summary>
    internal bool TryChange(AreaState from, AreaState to)
    {
        SchedulePoint.Reach();
        return Interlocked.CompareExchange(ref State, (int)to, (int)from) == (int)from;
    }

    /// <summary>
    /// Makes a live area busy; waits while the decay's thread is at its tail. False where no user holds it.
    /// </summary>
    internal bool TryTakeLive()
    {
        while (!TryChange(AreaState.Live, AreaState.Busy))
        {
            if (GetState() is not (AreaState.Live or AreaState.Trimmed)) return false;
            SchedulePoint.GiveWay();
            Thread.Yield();
        }
        return true;
    }
}

/// <summary>What becomes of an area.</summary>
internal enum AreaState
{
    /// <summary>The record is not in use.</summary>
    None = 0,

    /// <summary>A thread is making it, changing it or taking it down.</summary>
    Busy,

    /// <summary>A user holds it.</summary>
    Live,

    /// <summary>A user holds it, and the decay's thread gives back its tail at the moment.</summary>
    Trimmed,

    /// <summary>Nobody holds it: mapped, with its memory, for the next request.</summary>
    Kept,

    /// <summary>
    /// Nobody holds it, and the system refused to unmap it: it goes at the next opportunity. It has no memory, unless
    /// the system refused to take that, too; then it is charged still.
    /// </summary>
    Stale,
}

/// <summary>What an area is for (the flags of <c>/proc/vmallocinfo</c>).</summary>
internal enum AreaKind : byte
{
    /// <summary>Memory of its own: <c>vmalloc</c>.</summary>
    Vmalloc,

    /// <summary>High pages of a user: <c>vmap</c>.</summary>
    Map,
}
