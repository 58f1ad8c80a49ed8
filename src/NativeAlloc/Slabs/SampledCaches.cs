using NativeAlloc.Pages;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>
/// What the slab layer does for the profiler. Sampled objects come from wide caches of their own, one for each size
/// class: so their frees take the slow path, which can look for them, and all other frees pay nothing. While the
/// profiler is on, frees of each size class go to another magazine than allocations come from, where an index for it is
/// left. Then a loaded magazine is only popped, and one that is cut short ends just where a sample is due.
/// </summary>
/// <remarks>
/// Without that separation a free and an allocation in turn would never come by a slow path, and what takes the place
/// of a freed object would never be sampled: a program that leaks what it allocates after it has freed a buffer of like
/// size would show no leak.
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
            CacheChain.TryReserveReturnSide(sizeClass);
            CacheTable.CacheAt(sizeClass)->SeparateFrees(on: true);
        }
    }

    /// <summary>Lets frees and allocations share their magazines again.</summary>
    internal static void End()
    {
        for (int sizeClass = 1; SizeClasses.BytesOf(sizeClass) <= SizeClasses.MagazineBytes; sizeClass++)
            CacheTable.CacheAt(sizeClass)->SeparateFrees(on: false);
    }

    /// <summary>Whether the calling thread's next object of a size class is to be a sample.</summary>
    internal static bool IsDue(void* block, int sizeClass)
    {
        nuint bytes = SizeClasses.BytesOf(sizeClass);
        if (block == null) return SampleGap.IsHit(bytes);
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        // Where objects were recalled from the magazine, it has become empty too early.
        bool isDue = magazines->Due.Contains(sizeClass) && !magazines->Raised.Contains(sizeClass);
        magazines->Due.Remove(sizeClass);
        return isDue || SampleGap.IsHit(ref magazines->SampleSeed, bytes);
    }

    /// <summary>
    /// Leaves only as many objects in the loaded magazine as come before a sample, and drains the others. To be called
    /// once for each magazine that becomes the loaded one: a second draw for the same objects would make samples more
    /// likely. The owner is inside.
    /// </summary>
    internal static void CutLoaded(ObjectCache* cache, void* block)
    {
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        int index = cache->Index;
        nint top = magazines->Loaded(index);
        if (index >= SizeClasses.Count || Magazine.IsEmpty(top)) return;
        int count = cache->Magazine.CountOf(top);
        bool isDue = magazines->Due.Contains(index); // and nobody has come for it yet
        int kept = isDue ? 0 : SampleGap.Draw(ref magazines->SampleSeed, cache->ObjectBytes, count);
        if (kept == count) return;
        magazines->Due.Add(index);
        nint bottom = cache->Magazine.BottomOf(top);
        SlabReturn batch = new(cache, PageFrame.None);
        batch.Drain((nint*)bottom, count - kept);
        cache->GiveSlabs(ThreadPages.Of(block), batch.End());
        new Span<nint>((nint*)top - kept, kept).CopyTo(new Span<nint>((nint*)bottom, kept));
        magazines->SetLoaded(index, bottom + kept * sizeof(nint));
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
