using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>
/// A thread's two magazines per cache, the <b>loaded</b> one that the fast paths use and the <b>previous</b> one, which
/// is full or empty (Bonwick and Adams: with two, a thread that goes back and forth over a magazine's edge does not go
/// to the depot each time). A magazine is known by its top; a thread that has none for a cache has
/// <see cref="CacheTable.NoMagazine"/>, which is full and empty at once.
/// </summary>
/// <remarks>
/// The owner uses its loaded magazines on the fast paths as it likes. Whatever else it does with them, and all that it
/// does with the previous ones, it does while it is inside (<see cref="RaisedFloors.TryEnter"/>); so does a thread that
/// has taken the block of a dead thread. A thread that recalls objects claims the block first; then the owner goes
/// around its magazines wherever it leaves the fast paths. What the claim does not keep the owner from is told at <see
/// cref="Recall"/>. Other threads read the tops for statistics, by Volatile.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ThreadMagazines : IClaimedPart
{
    /// <summary>
    /// Tops of the loaded magazines, by cache. First, so that the block's address and the cache's index find it.
    /// </summary>
    private fixed long _loaded[CacheTable.Sides];

    /// <summary>
    /// Objects that the next refill from slabs takes: grows from few to a whole magazine, so that a thread that needs
    /// ten takes no 255. 0 before the first.
    /// </summary>
    private fixed byte _refill[CacheTable.Sides];

    /// <summary>
    /// A byte of each loaded magazine's top when objects were last recalled: a class is idle where it is still the
    /// same. Where it is so by chance, objects are recalled that are in use, which does no harm. Only the thread that
    /// recalls uses it.
    /// </summary>
    private fixed byte _seen[CacheTable.Sides];

    /// <summary>Who uses the magazines beside the fast paths.</summary>
    public OwnerClaim Claim;

    /// <summary>
    /// Loaded magazines whose floor was raised. By threads that visit the cache in question while inside or with the
    /// claim; read by any thread.
    /// </summary>
    public SideSet Raised;

    /// <summary>
    /// Loaded magazines to recall objects from in this round. Only for the thread that has the claim.
    /// </summary>
    public SideSet Wanted;

    /// <summary>The object that was asked for. Only for the thread that has the claim.</summary>
    public AskedObject Asked;

    /// <summary>Of the profiler: when the thread's next sample is due. Only for the owner.</summary>
    public SampleCountdown Samples;

    /// <summary>
    /// Of the profiler: size classes whose next object is to be a sample, once what was opened is used up. Only for the
    /// owner.
    /// </summary>
    public SideSet SampleNext;

    /// <summary>
    /// Misses that the depot helped, and misses that the slabs helped. Written by the owner, read by any thread.
    /// </summary>
    public ulong DepotExchanges, SlabExchanges;

    /// <summary>Bytes that realloc copied from block to block. Written by the owner, read by any thread.</summary>
    private ulong _reallocCopiedBytes;

    /// <summary>
    /// Loaded magazines that the thread once did without when it allocated, and when it freed. Owner only.
    /// </summary>
    private SideSet _allocatedAround, _freedAround;

    /// <summary>
    /// 1 once the thread had a previous magazine. Until then their page is not even read: some systems count a page
    /// that was only read as memory of the process. Written by the owner while inside, read by any thread.
    /// </summary>
    private int _hasPrevious;

    /// <summary>Full magazines until the next whose objects are compared with their slabs. Owner, inside.</summary>
    private int _untilFullCheck;

    static OwnerClaim* IClaimedPart.ClaimOf(byte* block) => &Of(block)->Claim;

    internal static ThreadMagazines* Of(void* block)
    {
        Debug.Assert(sizeof(ThreadMagazines) <= ThreadBlock.SlabsBytes,
            "the slab layer's part of a thread block is too small");
        return (ThreadMagazines*)((byte*)block + ThreadBlock.SlabsOffset);
    }

    internal void Initialize()
    {
        Samples = new SampleCountdown { Seed = (ulong)(nint)Unsafe.AsPointer(ref this) };
        for (int cache = 0; cache < CacheTable.Sides; cache++)
        {
            _loaded[cache] = CacheTable.NoMagazine;
        }
    }

    internal nint Loaded(int cache) => (nint)Volatile.Read(ref _loaded[cache]);

    internal nint Previous(int cache) =>
        HasPrevious ? TopOf(Volatile.Read(ref PreviousAt(cache))) : CacheTable.NoMagazine;

    internal void SetLoaded(int cache, nint top) => Volatile.Write(ref _loaded[cache], top);

    internal void SetPrevious(int cache, nint top)
    {
        if (top == CacheTable.NoMagazine && !HasPrevious) return;
        Volatile.Write(ref _hasPrevious, 1);
        Volatile.Write(ref PreviousAt(cache), top == CacheTable.NoMagazine ? 0 : top);
    }

    /// <summary>
    /// Takes a loaded magazine away: of two who try, the owner and one that destroys the cache, one gets it.
    /// </summary>
    internal nint TakeLoaded(int cache) => (nint)Interlocked.Exchange(ref _loaded[cache], CacheTable.NoMagazine);

    /// <summary>Takes a previous magazine away.</summary>
    internal nint TakePrevious(int cache) =>
        HasPrevious ? TopOf(Interlocked.Exchange(ref PreviousAt(cache), 0)) : CacheTable.NoMagazine;

    private bool HasPrevious => Volatile.Read(ref _hasPrevious) != 0;

    // Zero where there is none, as memory is that was never written.
    private static nint TopOf(nint stored) => stored == 0 ? CacheTable.NoMagazine : stored;

    // Tops of the previous magazines, in the block's other system page.
    private ref nint PreviousAt(int cache) =>
        ref ((nint*)((byte*)Unsafe.AsPointer(ref this)
            + (ThreadBlock.PreviousOffset - ThreadBlock.SlabsOffset)))[cache];

    /// <summary>
    /// Whether an object lies near the top of a loaded magazine. The thread may be on its fast paths only; a slot that
    /// is below the floor, or was asked for, holds 0 or somebody else's address.
    /// </summary>
    internal bool IsLoaded(ObjectCache* cache, int side, void* pointer)
    {
        nint top = Loaded(side);
        if (top == CacheTable.NoMagazine || top == 0) return false;
        for (nint slot = top; slot > cache->Magazine.BlockOf(top) && top - slot < SlotsToLookAt * sizeof(nint);)
        {
            slot -= sizeof(nint);
            nint found = Volatile.Read(ref *(nint*)slot);
            if (found == 0) return false;
            if (found == (nint)pointer) return true;
        }
        return false;
    }

    private const int SlotsToLookAt = 8;

    /// <summary>Notes a loaded magazine's top; true if it is where it was the last time.</summary>
    internal bool NoteTop(int side, nint top)
    {
        byte seen = unchecked((byte)(top / sizeof(nint) ^ top / Magazine.LargestBlockBytes));
        bool same = _seen[side] == seen;
        _seen[side] = seen;
        return same;
    }

    /// <summary>Whether this magazine's objects are compared with their slabs: the first, then one in 32.</summary>
    internal bool IsFullCheckDue()
    {
        if (_untilFullCheck-- != 0) return false;
        _untilFullCheck = MagazinesPerFullCheck - 1;
        return true;
    }

    private const int MagazinesPerFullCheck = 32;

    /// <summary>
    /// Whether a thread does without a magazine this once. Where threads are many, the first object of a class that
    /// each allocates, and the first that it frees, goes around: many of them never have a second, and would keep a
    /// magazine and objects for nothing.
    /// </summary>
    internal bool GoesAround(int side, bool freeing)
    {
        if (!ThreadRegistry.HasMany || Loaded(side) != CacheTable.NoMagazine) return false;
        ref SideSet before = ref freeing ? ref _freedAround : ref _allocatedAround;
        if (before.Contains(side)) return false;
        before.Add(side);
        return true;
    }

    /// <summary>Objects for this refill, and twice as many for the next.</summary>
    internal int NextRefill(int cache, uint objectBytes, int capacity)
    {
        int wanted = _refill[cache];
        if (wanted == 0) wanted = (int)Math.Clamp(FirstRefillBytes / objectBytes, 1, FirstRefill);
        int count = Math.Min(wanted, capacity);
        _refill[cache] = (byte)Math.Min(count * 2, Magazine.MostObjects);
        return count;
    }

    internal void AddReallocCopied(nuint bytes) => Volatile.Write(ref _reallocCopiedBytes, _reallocCopiedBytes + bytes);

    /// <summary>
    /// What misses of the fast paths came to, and the bytes that realloc copied, over all threads.
    /// </summary>
    internal static ThreadCounts CountAll()
    {
        ThreadCounts sum;
        int version;
        do
        {
            version = ForgottenCounts.BeginSum();
            sum = s_forgotten;
            for (int index = 0; index < ThreadRegistry.Count; index++)
                if (ThreadRegistry.HasMemory(index)) Of(ThreadRegistry.At(index))->AddTo(ref sum);
        }
        while (ForgottenCounts.HasMoved(version));
        return sum;
    }

    /// <summary>
    /// Empty magazines leave nothing to forget but the counters, which are moved away. The caller has taken the block
    /// and is inside; it stays so. False where a magazine is there still.
    /// </summary>
    internal bool TryForget()
    {
        for (int side = 0; side < CacheTable.Sides; side++)
        {
            bool hasPrevious = side < CacheTable.FirstReturnSide && Previous(side) != CacheTable.NoMagazine;
            if (Loaded(side) != CacheTable.NoMagazine || hasPrevious) return false;
        }
        AddTo(ref s_forgotten);
        DepotExchanges = SlabExchanges = _reallocCopiedBytes = 0;
        return true;
    }

    private readonly void AddTo(ref ThreadCounts sum)
    {
        sum.DepotExchanges += (long)Volatile.Read(in DepotExchanges);
        sum.SlabExchanges += (long)Volatile.Read(in SlabExchanges);
        sum.ReallocCopiedBytes += (long)Volatile.Read(in _reallocCopiedBytes);
    }

    /// <summary>Of blocks that were forgotten. Under <see cref="ForgottenCounts"/>.</summary>
    private static ThreadCounts s_forgotten;

    // Threads that need one object each share its system page with others.
    private const uint FirstRefill = 8, FirstRefillBytes = 1024;
}

/// <summary>Counters of threads.</summary>
internal struct ThreadCounts
{
    /// <summary>Misses that the depot helped, and misses that the slabs helped.</summary>
    public long DepotExchanges, SlabExchanges;

    /// <summary>Bytes that realloc copied from block to block.</summary>
    public long ReallocCopiedBytes;
}

/// <summary>An object that a recall has taken out of a loaded magazine, leaving 0 in its slot.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AskedObject
{
    /// <summary>The slot; 0 where no object was asked for.</summary>
    public nint Slot;

    /// <summary>What was in the slot.</summary>
    public nint Object;

    /// <summary>The top was seen above the slot's successor, after a barrier.</summary>
    public bool IsBelowTop;
}
