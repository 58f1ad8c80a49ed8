using System.Runtime.CompilerServices;
using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>
/// What the slab layer does for the profiler. Sampled objects come from wide caches of their own, one for each size
/// class: so their frees take the slow path, which can look for them, and all other frees pay nothing. While the
/// profiler is on, allocations are counted in bytes: the magazine that they are popped from lies at an index of its
/// own, the <b>counted side</b>, where the fast path of Alloc does not find it and goes on to <see cref="PopCounted"/>.
/// Frees stay on their fast path: the page class of the objects names that index.
/// </summary>
/// <remarks>
/// <para>Weighed: to have frees go to another magazine than allocations come from, and to cut a loaded magazine short
/// where a sample is due. Then nothing has to be counted one by one. But an object comes round only after as many
/// others as a magazine holds; replays of traces took two to four times as long, with up to three times the
/// memory.</para>
/// <para>The tiny classes keep their return side apart from the counted side, as it keeps threads from sharing cache
/// lines.</para>
/// </remarks>
internal static unsafe class SampledCaches
{
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
    /// Pops an object from the counted side of the calling thread, as the fast path of Alloc does from its own. Null
    /// where there is none, and where it is to be a sample.
    /// </summary>
    /// <param name="block">The calling thread's block.</param>
    /// <param name="byteCount">The size.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void* PopCounted(nint* block, nuint byteCount)
    {
        if (byteCount > SizeClasses.MagazineBytes) return null;
        int sizeClass = byteCount <= SizeClasses.TableBytes
            ? (int)SizeClasses.OfSmall(byteCount) : SizeClasses.Of(byteCount);
        nint* loaded = block + CacheTable.CountedSideOf(sizeClass); // class 0 has no magazine
        nint top = *loaded, pointer = Magazine.Peek(top);
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        if (pointer == 0 || magazines->Samples.Round != SampleGap.Round) return null;
        if ((magazines->Samples.Bytes -= (long)SizeClasses.BytesOf(sizeClass)) <= 0) return null;
        *loaded = top - sizeof(nint);
        return (void*)pointer;
    }

    /// <summary>Whether the calling thread's next object of a size class is to be a sample.</summary>
    internal static bool IsDue(void* block, int sizeClass)
    {
        nuint bytes = SizeClasses.BytesOf(sizeClass);
        return block == null
            ? SampleGap.IsHit(bytes) : SampleGap.Count(ref ThreadMagazines.Of(block)->Samples, bytes);
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
    /// Puts the loaded magazine, of which an object was just popped, where the fast path of Alloc does not find it. The
    /// owner is inside.
    /// </summary>
    internal static void Hide(ObjectCache* cache, ThreadMagazines* magazines)
    {
        int index = cache->Index, side = CacheTable.CountedSideOf(index);
        if (side == 0) return;
        nint hidden = magazines->Loaded(side);
        if (!Magazine.IsEmpty(hidden)) return; // borrowed from: the rest of this one is not counted
        magazines->SetLoaded(side, magazines->Loaded(index));
        magazines->SetLoaded(index, hidden);
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
