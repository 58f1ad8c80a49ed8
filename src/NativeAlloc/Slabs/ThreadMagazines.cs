using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>
/// A thread's two magazines per cache, the <b>loaded</b> one that the fast paths use and the <b>previous</b> one, which is full or empty
/// (Bonwick and Adams: with two, a thread that goes back and forth over a magazine's edge does not go to the depot each time). A
/// magazine is known by its top; a thread that has none for a cache has <see cref="SlabLayer.NoMagazine"/>, which is full and empty at once.
/// </summary>
/// <remarks>
/// The owner uses its loaded magazines on the fast paths as it likes. Whatever else is done with them, and all that is done with the previous ones, the owner does between <see cref="TryEnter"/> and
/// <see cref="Leave"/>, and so does whoever has taken the block of a dead thread. A thread that recalls objects claims the block first, as it would claim a thread's hot pages (see
/// <see cref="Pages.ThreadPages"/>): the owner then goes around its magazines wherever it leaves the fast paths. What the claim does not keep it from is told at <see cref="Recall"/>. Other threads read
/// the tops for statistics, by Volatile.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ThreadMagazines
{
    /// <summary>Tops of the loaded magazines, by cache. First, so that the block's address and the cache's index find it.</summary>
    private fixed long _loaded[SlabLayer.MaxCaches];

    /// <summary>Tops of the previous magazines.</summary>
    private fixed long _previous[SlabLayer.MaxCaches];

    /// <summary>Objects that the next refill from slabs takes: grows from few to a whole magazine, so that a thread that needs ten takes no 255.</summary>
    private fixed byte _refill[SlabLayer.MaxCaches];

    /// <summary>Low bits of each loaded magazine's top when objects were last recalled: a class is idle where they are still the same. That one only.</summary>
    private fixed ushort _seen[SlabLayer.MaxCaches];

    /// <summary>1 while the owner is on a slow path. Written by the owner, read by any thread.</summary>
    private int _inside;

    /// <summary>1 while another thread may be recalling objects. Written by that one, read by any thread.</summary>
    private int _claimed;

    /// <summary>1 when objects were recalled and the owner has not settled that yet. Written by the owner while inside, and by whoever has the claim; read by any thread.</summary>
    private int _disturbed;

    /// <summary>Loaded magazines whose floor was raised. By whoever visits the cache in question while inside or with the claim; read by any thread.</summary>
    public SideSet Raised;

    /// <summary>Loaded magazines to recall objects from in this round. Only for the thread that has the claim.</summary>
    public SideSet Wanted;

    /// <summary>Objects that were asked for, as <see cref="Raised"/>.</summary>
    public RecalledObjects Recalled;

    /// <summary>Misses of the fast paths, by what helped: the previous magazine, the depot, the slabs. Written by the owner, read by any thread.</summary>
    public ulong PreviousHits, DepotExchanges, SlabExchanges;

    /// <summary>Bytes that realloc copied from block to block. Written by the owner, read by any thread.</summary>
    private ulong _reallocCopiedBytes;

    internal static ThreadMagazines* Of(void* block)
    {
        Debug.Assert(sizeof(ThreadMagazines) <= ThreadBlock.SlabsBytes, "the slab layer's part of a thread block is too small");
        return (ThreadMagazines*)((byte*)block + ThreadBlock.SlabsOffset);
    }

    internal void Initialize()
    {
        for (int cache = 0; cache < SlabLayer.MaxCaches; cache++)
        {
            _loaded[cache] = SlabLayer.NoMagazine;
            _previous[cache] = SlabLayer.NoMagazine;
            _refill[cache] = FirstRefill;
        }
    }

    internal nint Loaded(int cache) => (nint)Volatile.Read(ref _loaded[cache]);

    internal nint Previous(int cache) => (nint)Volatile.Read(ref _previous[cache]);

    internal void SetLoaded(int cache, nint top) => Volatile.Write(ref _loaded[cache], top);

    internal void SetPrevious(int cache, nint top) => Volatile.Write(ref _previous[cache], top);

    /// <summary>Takes a loaded magazine away: of two who try, the owner and one that destroys the cache, one gets it.</summary>
    internal nint TakeLoaded(int cache) => (nint)Interlocked.Exchange(ref _loaded[cache], SlabLayer.NoMagazine);

    /// <summary>Takes a previous magazine away.</summary>
    internal nint TakePrevious(int cache) => (nint)Interlocked.Exchange(ref _previous[cache], SlabLayer.NoMagazine);

    /// <summary>
    /// Begins whatever the owner does with its magazines but on the fast paths; false while another thread recalls objects from them. No code of users runs until <see cref="Leave"/>: it could come here again.
    /// </summary>
    internal bool TryEnter()
    {
        Debug.Assert(!IsInside, "the owner is inside already");
        ThreadRegistry.AssertHeld(Unsafe.AsPointer(ref this));
        Volatile.Write(ref _inside, 1);
        if (Volatile.Read(ref _claimed) == 0 && (!IsDisturbed || TrySettle())) return true;
        Volatile.Write(ref _inside, 0);
        return false;
    }

    /// <summary>The same for one that must: waits until the other thread is done.</summary>
    internal void Enter()
    {
        while (!TryEnter()) Thread.Yield();
    }

    internal void Leave() => Volatile.Write(ref _inside, 0);

    internal readonly bool IsInside => Volatile.Read(in _inside) != 0;

    internal readonly bool IsClaimed => Volatile.Read(in _claimed) != 0;

    internal void SetClaimed(bool claimed) => Volatile.Write(ref _claimed, claimed ? 1 : 0);

    internal readonly bool IsDisturbed => Volatile.Read(in _disturbed) != 0;

    internal void SetDisturbed() => Volatile.Write(ref _disturbed, 1);

    // False where a cache is being taken down by somebody who settles that himself.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TrySettle()
    {
        if (!Recall.TrySettle((ThreadMagazines*)Unsafe.AsPointer(ref this))) return false; // a block is in native memory
        Volatile.Write(ref _disturbed, 0);
        return true;
    }

    /// <summary>Notes a loaded magazine's top; true if it is where it was the last time.</summary>
    internal bool NoteTop(int side, nint top)
    {
        ushort seen = unchecked((ushort)(top / sizeof(nint)));
        bool same = _seen[side] == seen;
        _seen[side] = seen;
        return same;
    }

    /// <summary>Objects for this refill, and twice as many for the next.</summary>
    internal int NextRefill(int cache, int capacity)
    {
        int count = Math.Min(_refill[cache], capacity);
        _refill[cache] = (byte)Math.Min(count * 2, Magazine.MostObjects);
        return count;
    }

    internal void AddReallocCopied(nuint bytes) => Volatile.Write(ref _reallocCopiedBytes, _reallocCopiedBytes + bytes);

    /// <summary>Bytes that realloc copied, over all threads that have a block.</summary>
    internal static long CountReallocCopied()
    {
        ulong bytes = 0;
        for (int index = 0; index < ThreadRegistry.Count; index++) bytes += Volatile.Read(ref Of(ThreadRegistry.At(index))->_reallocCopiedBytes);
        return (long)bytes;
    }

    private const byte FirstRefill = 8;
}
