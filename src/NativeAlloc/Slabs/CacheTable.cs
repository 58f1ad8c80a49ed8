using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>
/// All caches by index, and which cache a page's class stands for. Indexes and <b>page classes</b>, the byte per page
/// that the fast paths read, are the same for the first caches:
/// <code>
/// index     page class                 cache
/// 1..104    index, 1..3 also 253..255  size classes; 16, 32 and 48 B have a return side
/// 105..107  index                      the blocks of magazines
/// 108..251  index                      users' caches with magazines
/// 256..     252 for all of them        users' caches without magazines, the wide ones: the frame names the cache
/// </code>
/// </summary>
/// <remarks>
/// <para>A thread's magazine of the wide class is always <see cref="NoMagazine"/>, which is full and empty at once. So
/// the fast paths leave every object of a wide cache to the slow ones, and need to know nothing of it.</para>
/// <para><b>Return sides.</b> Objects of 16, 32 and 48 bytes share cache lines. If a thread frees such an object that
/// another thread allocated, and then allocates one, it must not get the same again, and again: the two threads would
/// write the same line for ever. So these classes have two loaded magazines, one that Alloc pops and one that Free
/// pushes onto, and an object comes round only after many others. It costs the fast paths nothing, as the page class
/// says which magazine Free pushes onto. It costs a program of one thread nothing at all, as the pages of a cache get
/// the return side's class only when a second thread turns up.</para>
/// </remarks>
internal static unsafe class CacheTable
{
    /// <summary>Loaded magazines of a thread: one for each value of a page's class.</summary>
    internal const int Sides = 256;

    /// <summary>The caches that magazines come from, of 512, 1024 and 2048 bytes.</summary>
    internal const int FirstMagazineCache = SizeClasses.Count, MagazineCaches = 3;

    /// <summary>From here on caches are made by users.</summary>
    internal const int FirstUserCache = FirstMagazineCache + MagazineCaches;

    /// <summary>
    /// The classes with a return side: all that have two objects in a cache line of 64 bytes, wherever they begin.
    /// </summary>
    internal const int TinyClasses = 3;

    /// <summary>The page classes of return sides, which stand for the first caches.</summary>
    internal const int FirstReturnSide = Sides - TinyClasses;

    /// <summary>The page class that all wide caches share.</summary>
    internal const int WideClass = FirstReturnSide - 1;

    /// <summary>Indexes of wide caches. A frame names its cache by 16 bits.</summary>
    internal const int FirstWideCache = Sides, MaxCaches = ushort.MaxValue + 1;

    /// <summary>Caches that users can have at one time.</summary>
    internal const int MaxUserCaches = WideClass - FirstUserCache + MaxCaches - FirstWideCache;

    // A magazine holds at most 16 KiB, or 255 objects: what a thread can keep from others is bounded in bytes, class by
    // class. Where threads take turns at the depot it holds up to 128 KiB, as far as its block has slots for them, so
    // that of large objects, too, there is an exchange for several.
    private const nuint MagazineBytes = 16 * 1024, ContendedBytes = 128 * 1024;

    // From this size on: 32 of them fill a magazine, in a block that has slots for 63. With more than 32 a magazine of
    // smaller ones has no room for twice as many.
    private const nuint SmallestContended = MagazineBytes / (Magazine.SmallestBlockBytes / (2 * sizeof(long)));

    // Beyond this size an object goes straight to its slab: a lock is little against touching it.
    private const nuint LargestMagazineObject = SizeClasses.MagazineBytes;

    // The most that a depot keeps in full magazines, where threads pass many to each other.
    private const nuint DepotBytes = 1024 * 1024;

    private const int SmallestMagazine = 2;

    private const int WordBits = 64;

    private static readonly byte[] s_table; // keeps what the next two point into
    private static readonly nint s_noMagazine;
    private static readonly nuint s_caches;

    // A cache and its nodes.
    private static readonly nuint s_entryBytes = ObjectCache.Bytes + (nuint)(CacheNode.Bytes * ObjectCache.NodeCount);

    /// <summary>
    /// The users' caches. Reserved with the first of them, and grown, under the lock of those who add caches.
    /// </summary>
    private static MetadataRegion s_userCaches;

    /// <summary>A bit for each index that has a cache. Set by Interlocked, after the cache is there.</summary>
    private static readonly ulong[] s_exists = new ulong[MaxCaches / WordBits];

    /// <summary>
    /// Indexes of no cache that are return sides: a bit each. Set under the lock of those who add caches, for good.
    /// </summary>
    private static readonly ulong[] s_isSide = new ulong[Sides / WordBits];

    // The return side of each index, and the index of each side. Written under the lock of those who add caches.
    private static readonly byte[] s_returnSides = MakeReturnSides(), s_indexes = MakeIndexes();

    // The counted side of each size class; 0 for none. Written under the same lock.
    private static readonly byte[] s_countedSides = new byte[SizeClasses.Count];

    /// <summary>
    /// No index from here on has ever been used. Grown under the lock of those who add caches, read by any thread.
    /// </summary>
    private static int s_end = FirstUserCache;

    static CacheTable()
    {
        // A pinned array, as no call can do without these caches: the system may refuse a mapping at this very moment.
        // So many bytes have a multiple of the block's size with zeroes below, wherever they begin.
        const int NoneBytes = 3 * Magazine.LargestBlockBytes;
        s_table = GC.AllocateUninitializedArray<byte>(NoneBytes + FirstUserCache * (int)s_entryBytes, pinned: true);
        Array.Clear(s_table);
        nint table = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(s_table));
        s_noMagazine = (table + 2 * Magazine.LargestBlockBytes) & ~(nint)(Magazine.LargestBlockBytes - 1);
        s_caches = (nuint)((table + NoneBytes) & ~(nint)(ObjectCache.Bytes - 1));
        for (int index = 1; index < SizeClasses.Count; index++) Initialize(index, SizeClasses.BytesOf(index), null);
        for (int i = 0; i < MagazineCaches; i++)
            Initialize(FirstMagazineCache + i, (nuint)(Magazine.SmallestBlockBytes << i), null);
    }

    /// <summary>
    /// The top of a magazine that is full and empty: an address at a multiple of the largest block, with a 0 below.
    /// </summary>
    internal static nint NoMagazine => s_noMagazine;

    /// <summary>The cache at an index that has one, or had one.</summary>
    internal static ObjectCache* CacheAt(int index) => (ObjectCache*)(index < FirstUserCache
        ? s_caches + (nuint)index * s_entryBytes
        : s_userCaches.Address + (nuint)(index - FirstUserCache) * s_entryBytes);

    /// <summary>
    /// The loaded magazine that objects of a cache are freed to: the cache's own, or its return side.
    /// </summary>
    internal static int ReturnSideOf(int side) => side < Sides ? Volatile.Read(ref s_returnSides[side]) : side;

    /// <summary>The cache of a loaded magazine, by index. Of the wide class there are none.</summary>
    internal static int IndexOfSide(int side) => Volatile.Read(ref s_indexes[side]);

    /// <summary>
    /// The loaded magazine that objects of a size class are popped from while the profiler counts them; 0 for none.
    /// </summary>
    internal static int CountedSideOf(int index) =>
        index < SizeClasses.Count ? Volatile.Read(ref s_countedSides[index]) : 0;

    /// <summary>
    /// Gives a size class a counted side, if it has none and an index of a user's cache is left: one that objects are
    /// freed to as well, unless the class has a return side. Only one thread at a time adds or removes caches or sides.
    /// It stays for good.
    /// </summary>
    internal static bool TryReserveCountedSide(int sizeClass)
    {
        if (s_countedSides[sizeClass] != 0) return true;
        int side = WideClass - 1;
        while (side >= FirstUserCache && (Exists(side) || IsSide(side))) side--;
        if (side < FirstUserCache) return false;
        s_isSide[side / WordBits] |= 1UL << side;
        Volatile.Write(ref s_indexes[side], (byte)sizeClass);
        if (sizeClass > TinyClasses)
        {
            Volatile.Write(ref s_returnSides[sizeClass], (byte)side);
            CacheAt(sizeClass)->SetReturnSide((byte)side);
        }
        Volatile.Write(ref s_countedSides[sizeClass], (byte)side);
        return true;
    }

    private static bool IsSide(int index) => index < Sides && (s_isSide[index / WordBits] >> index & 1) != 0;

    private static byte[] MakeReturnSides()
    {
        byte[] sides = new byte[Sides];
        for (int side = 0; side < Sides; side++)
            sides[side] = (byte)(side is > 0 and <= TinyClasses ? FirstReturnSide - 1 + side : side);
        return sides;
    }

    private static byte[] MakeIndexes()
    {
        byte[] indexes = new byte[Sides];
        for (int side = 0; side < Sides; side++)
            indexes[side] = (byte)(side < FirstReturnSide ? side : side - (FirstReturnSide - 1));
        return indexes;
    }

    /// <summary>The cache that a page is a slab of; null for none. The page is online.</summary>
    internal static ObjectCache* CacheOfPage(nuint page)
    {
        int pageClass = LinearRegion.ClassOf(page);
        if (pageClass == WideClass) return CacheAt(LinearRegion.Frames[page].Cache); // set before the class
        return pageClass == 0 ? null : CacheAt(IndexOfSide(pageClass));
    }

    /// <summary>
    /// As <see cref="CacheOfPage"/>, but null also for the allocator's own objects, which users do not hold.
    /// </summary>
    internal static ObjectCache* UserCacheOfPage(nuint page) =>
        LinearRegion.ClassOf(page) is >= FirstMagazineCache and < FirstUserCache ? null : CacheOfPage(page);

    /// <summary>
    /// Bytes of the object that begins at an address, for fast paths: 0 where none begins, where this thread freed the
    /// object last of its class, and where it takes longer to tell, as it does for users' caches, for a thread that has
    /// not allocated yet, and in check mode. Whether the object is free in another way it does not tell.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static nuint BytesOfObject(void* address)
    {
        if (Options.Check) return 0; // a constant to the JIT
        nint* loaded = CurrentThread.t_block; // first, so that nothing has to be kept across the lookup
        nuint page = LinearRegion.PageIndexOf(address);
        if (page >= LinearRegion.PageCount || loaded == null) return 0;
        int pageClass = LinearRegion.ClassOf(page);
        nuint index = (nuint)IndexOfSide(pageClass);
        if (unchecked(index - 1) >= SizeClasses.Count - 1) return 0;
        ObjectCache* cache = (ObjectCache*)(s_caches + index * s_entryBytes);
        return cache->BeginsAt(address) && !Magazine.IsOnTop(loaded[pageClass], address) ? cache->ObjectBytes : 0;
    }

    /// <summary>Whether there is a cache at an index.</summary>
    internal static bool Exists(int index) => (Volatile.Read(ref s_exists[index / WordBits]) >> index & 1) != 0;

    /// <summary>
    /// The next index after this one that has a cache; 0 after the last. From 0 on it goes through all of them.
    /// </summary>
    internal static int Next(int index)
    {
        for (int end = Volatile.Read(ref s_end), at = index + 1; at < end; at = (at / WordBits + 1) * WordBits)
        {
            ulong rest = Volatile.Read(ref s_exists[at / WordBits]) >> at;
            if (rest != 0) return at + BitOperations.TrailingZeroCount(rest);
        }
        return 0;
    }

    /// <summary>Whether there is an index for another cache.</summary>
    internal static bool HasFree => FindFree() != 0;

    /// <summary>
    /// Makes a cache. Only one thread at a time adds or removes one. False where there is no index, or no memory for
    /// the table.
    /// </summary>
    /// <param name="objectBytes">Bytes from one object to the next.</param>
    /// <param name="constructor">Runs once for each object of a new slab; null for none.</param>
    /// <param name="heapBytes">For a cache of a heap, which is a wide one: the heap's count of bytes. Else
    /// null.</param>
    /// <param name="wide">The cache is to be a wide one.</param>
    /// <param name="index">The cache.</param>
    internal static bool TryAdd(nuint objectBytes, delegate*<void*, void> constructor, long* heapBytes, bool wide,
        out int index)
    {
        index = heapBytes == null && !wide ? FindFree() : FindFree(FirstWideCache, MaxCaches);
        if (index == 0 || !TryCommit(index)) return false;
        if (index >= Volatile.Read(ref s_end)) Volatile.Write(ref s_end, index + 1);
        Initialize(index, objectBytes, constructor, heapBytes);
        return true;
    }

    /// <summary>Frees the index of a cache that nothing is left of and that is closed to visitors.</summary>
    internal static void Remove(int index) => Interlocked.And(ref s_exists[index / WordBits], ~(1UL << index));

    /// <summary>Checks every cache. Throws where something is wrong.</summary>
    internal static void Verify()
    {
        for (int index = Next(0); index != 0; index = Next(index))
        {
            if (!CacheAt(index)->TryEnter()) continue;
            try
            {
                CacheAt(index)->Verify();
            }
            finally
            {
                CacheAt(index)->Leave();
            }
        }
    }

    private static int FindFree()
    {
        int narrow = FindFree(FirstUserCache, WideClass);
        return narrow != 0 ? narrow : FindFree(FirstWideCache, MaxCaches);
    }

    private static int FindFree(int first, int end)
    {
        for (int at = first; at < end; at = (at / WordBits + 1) * WordBits)
        {
            ulong sides = at < Sides ? s_isSide[at / WordBits] : 0;
            ulong free = ~(Volatile.Read(ref s_exists[at / WordBits]) | sides) >> at;
            if (free == 0) continue;
            int found = at + BitOperations.TrailingZeroCount(free);
            return found < end ? found : 0;
        }
        return 0;
    }

    // The reservation is halved where addresses are short: there is room for fewer caches then.
    private static bool TryCommit(int index)
    {
        nuint bytes = (MaxCaches - FirstUserCache) * s_entryBytes;
        for (; s_userCaches.Address == 0 && bytes >= MetadataRegion.StepBytes; bytes /= 2)
            s_userCaches = MetadataRegion.Reserve(bytes);
        nuint needed = (nuint)(index + 1 - FirstUserCache) * s_entryBytes;
        return s_userCaches.Address != 0 && s_userCaches.TryCommitTo(needed);
    }

    private static void Initialize(int index, nuint objectBytes, delegate*<void*, void> constructor,
        long* heapBytes = null)
    {
        Magazine magazine = default;
        int depotLimit = 0;
        bool ofMagazines = index is >= FirstMagazineCache and < FirstUserCache; // else each magazine would need one
        if (index < WideClass && !ofMagazines && objectBytes <= LargestMagazineObject)
        {
            int capacity = (int)Math.Clamp(MagazineBytes / objectBytes, SmallestMagazine, Magazine.MostObjects);
            magazine = objectBytes < SmallestContended
                ? Magazine.Of(capacity)
                : Magazine.Of(capacity, (int)Math.Min(ContendedBytes / objectBytes, Magazine.MostObjects));
            depotLimit = (int)(DepotBytes / ((nuint)magazine.LargestCapacity * objectBytes));
        }
        ObjectCache* cache = CacheAt(index);
        int pageClass = Math.Min(index, WideClass);
        CacheNode* nodes = (CacheNode*)(cache + 1);
        cache->Initialize(index, pageClass, ReturnSideOf(pageClass), objectBytes, magazine, depotLimit, nodes,
            constructor);
        cache->HeapBytes = heapBytes;
        Interlocked.Or(ref s_exists[index / WordBits], 1UL << index);
    }
}
