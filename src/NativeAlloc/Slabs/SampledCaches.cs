using System.Runtime.CompilerServices;
using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>
/// What the slab layer does for the profiler. Sampled objects come from wide caches of their own, one for each size
/// class: so their frees take the slow path, which can look for them, and all other frees pay nothing. While the
/// profiler is on, allocations are counted in bytes: a thread's objects lie in a magazine at an index of its own, the
/// <b>counted side</b>, where the fast path of Alloc does not find them. What that path finds is the few that
/// <see cref="PopCounted"/> has counted and <b>opened</b> to it. Frees stay on their fast path: the page class of the
/// objects names the counted side, so what is opened becomes fewer with each allocation, and none comes back uncounted.
/// </summary>
/// <remarks>
/// <para>A sample that falls among the objects that are about to be opened belongs to their size, whatever the thread
/// allocates before it comes to that object. So those before it are opened, the class is marked
/// (<see cref="ThreadMagazines.SampleNext"/>), and the thread's next gap begins.</para>
/// <para>Weighed: to count each allocation by itself, which cost 1.54 times the time on traces, where this costs 1.30;
/// and to open a whole magazine at once. An object comes round only after as many others as are opened; with a whole
/// magazine, replays of traces took two to four times as long, with up to three times the memory.</para>
/// <para>The tiny classes keep their return side apart from the counted side, as it keeps threads from sharing cache
/// lines.</para>
/// </remarks>
internal static unsafe class SampledCaches
{
    // What is opened at once, as far as the thread has it: objects, and their bytes.
    private const int MostOpened = 32, OpenedBytes = 16 * 1024;

    /// <summary>
    /// By size class, the index of the wide cache; 0 before the profiler ran. Any thread, by Volatile.
    /// </summary>
    private static readonly ushort[] s_twins = new ushort[SizeClasses.Count];

    /// <summary>The indexes of those caches from first to last; none before the profiler ran. By Volatile.</summary>
    private static int s_first = int.MaxValue, s_last;

    // Without it the caches would be taken down as dropped ones.
    private static readonly object s_owner = new();

    /// <summary>
    /// Whether a cache is one of them. They are made side by side, unless a user makes caches meanwhile.
    /// </summary>
    internal static bool Contains(int index)
    {
        if (index < Volatile.Read(ref s_first) || index > Volatile.Read(ref s_last)) return false;
        return Array.IndexOf(s_twins, (ushort)index) > 0;
    }

    /// <summary>The cache of sampled objects of a size class; null where there is none.</summary>
    internal static ObjectCache* Of(int sizeClass)
    {
        int index = Volatile.Read(ref s_twins[sizeClass]);
        return index == 0 ? null : CacheTable.CacheAt(index);
    }

    /// <summary>
    /// Makes the caches, and has frees go their own way. One thread at a time; allocates managed memory.
    /// </summary>
    internal static void Begin()
    {
        for (int sizeClass = 1; sizeClass < SizeClasses.Count; sizeClass++)
        {
            nuint bytes = SizeClasses.BytesOf(sizeClass);
            if (s_twins[sizeClass] == 0) Make(sizeClass, bytes);
            if (bytes > SizeClasses.MagazineBytes) continue;
            if (CacheChain.TryReserveCountedSide(sizeClass)) CacheTable.CacheAt(sizeClass)->SeparateFrees(on: true);
        }
    }

    /// <summary>Lets frees and allocations share their magazines again.</summary>
    internal static void End()
    {
        for (int sizeClass = 1; SizeClasses.BytesOf(sizeClass) <= SizeClasses.MagazineBytes; sizeClass++)
            CacheTable.CacheAt(sizeClass)->SeparateFrees(on: false);
    }

    /// <summary>
    /// Pops an object from the counted side of the calling thread, and opens some more to the fast path of Alloc: these
    /// are counted now, all of them, up to the one that is to be a sample. Null where there is none, and where this one
    /// is to be the sample.
    /// </summary>
    /// <param name="block">The calling thread's block.</param>
    /// <param name="byteCount">The size.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void* PopCounted(nint* block, nuint byteCount)
    {
        if (byteCount > SizeClasses.MagazineBytes) return null;
        int sizeClass = byteCount <= SizeClasses.TableBytes
            ? (int)SizeClasses.OfSmall(byteCount) : SizeClasses.Of(byteCount);
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        if (magazines->Samples.Round != SampleGap.Round || magazines->SampleNext.Contains(sizeClass)) return null;
        int side = CacheTable.CountedSideOf(sizeClass);
        if (side == 0 || !RaisedFloors.TryEnter(magazines)) return null;
        void* pointer = PopInside(magazines, CacheTable.CacheAt(sizeClass), side);
        magazines->Claim.Leave();
        return pointer;
    }

    // The owner is inside.
    private static void* PopInside(ThreadMagazines* magazines, ObjectCache* cache, int side)
    {
        nint counted = magazines->Loaded(side), open = magazines->Loaded(cache->Index);
        if (Magazine.IsEmpty(counted) || !Magazine.IsEmpty(open)) return null;
        int objects = 1;
        if (open != CacheTable.NoMagazine)
        {
            int most = Math.Min(OpenedAtOnce(cache), cache->Magazine.RoomOf(open) + 1);
            objects = Math.Min(most, cache->Magazine.CountOf(counted));
        }
        long bytes = cache->ObjectBytes;
        if (objects * bytes < magazines->Samples.Bytes)
        {
            magazines->Samples.Bytes -= objects * bytes;
        }
        else
        {
            objects = (int)((magazines->Samples.Bytes - 1) / bytes);
            if (objects == 0) return null;
            magazines->SampleNext.Add(cache->Index);
            SampleGap.Restart(ref magazines->Samples);
        }
        nint rest = counted - objects * sizeof(nint);
        new Span<nint>((nint*)rest, objects - 1).CopyTo(new Span<nint>((nint*)open, objects - 1));
        magazines->SetLoaded(side, rest);
        magazines->SetLoaded(cache->Index, open + (objects - 1) * sizeof(nint));
        return (void*)((nint*)counted)[-1];
    }

    // With the one that is asked for.
    private static int OpenedAtOnce(ObjectCache* cache) =>
        (int)Math.Clamp(OpenedBytes / cache->ObjectBytes, 1, MostOpened);

    /// <summary>Whether the calling thread's next object of a size class is to be a sample.</summary>
    internal static bool IsDue(void* block, int sizeClass)
    {
        nuint bytes = SizeClasses.BytesOf(sizeClass);
        if (block == null || !CountsOf(block)->SampleNext.Contains(sizeClass)) return IsDue(block, bytes);
        ThreadMagazines.Of(block)->SampleNext.Remove(sizeClass);
        return true;
    }

    /// <summary>Counts what the calling thread allocates by its size; true if it is to be a sample.</summary>
    internal static bool IsDue(void* block, nuint bytes) =>
        block == null ? SampleGap.IsHit(bytes) : SampleGap.Count(ref CountsOf(block)->Samples, bytes);

    // What an earlier round has marked is void.
    private static ThreadMagazines* CountsOf(void* block)
    {
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        if (magazines->Samples.Round != SampleGap.Round) magazines->SampleNext = default;
        return magazines;
    }

    /// <summary>
    /// The page of the object that the calling thread would get of a size class, plus 1; 0 where none is at hand.
    /// </summary>
    internal static uint WitnessOf(void* block, int sizeClass)
    {
        if (block == null) return 0;
        nint pointer = Magazine.Peek(ThreadMagazines.Of(block)->Loaded(CacheTable.CountedSideOf(sizeClass)));
        return pointer == 0 ? 0 : (uint)LinearRegion.PageIndexOf((void*)pointer) + 1;
    }

    /// <summary>
    /// Puts the loaded magazine, of which an object was just popped, where the fast path of Alloc does not find it, and
    /// has an empty one in its place for what is opened. The owner is inside.
    /// </summary>
    internal static void Hide(ObjectCache* cache, void* block)
    {
        int index = cache->Index, side = CacheTable.CountedSideOf(index);
        if (side == 0) return;
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        nint open = magazines->Loaded(side);
        if (!Magazine.IsEmpty(open)) return; // borrowed from: the rest of this one is not counted
        if (open == CacheTable.NoMagazine && OpenedAtOnce(cache) > 1) open = EmptyMagazine(cache, block);
        magazines->SetLoaded(side, magazines->Loaded(index));
        magazines->SetLoaded(index, open);
    }

    // None where there is no memory for it: then objects are counted one by one.
    private static nint EmptyMagazine(ObjectCache* cache, void* block)
    {
        CacheNode* node = cache->NodeOf(ThreadPages.Of(block));
        nint empty = MagazineStore.TakeBlock(cache, node, ThreadPages.Of(block));
        return empty == 0 ? CacheTable.NoMagazine : cache->Magazine.MakeEmpty(empty, cache->CapacityNow(node));
    }

    private static void Make(int sizeClass, nuint bytes)
    {
        int index = CacheChain.Create($"sampled-{bytes}", bytes, null, s_owner, wide: true);
        if (index == 0) return; // there are as many caches as there can be: this class is not sampled
        Volatile.Write(ref s_first, Math.Min(s_first, index));
        Volatile.Write(ref s_last, Math.Max(s_last, index));
        Volatile.Write(ref s_twins[sizeClass], (ushort)index);
    }
}
