using System.Diagnostics;
using System.Runtime.InteropServices;
using NativeAlloc.Threads;

namespace NativeAlloc.Slabs;

/// <summary>
/// A thread's two magazines per cache, the <b>loaded</b> one that the fast paths use and the <b>previous</b> one, which is full or empty
/// (Bonwick and Adams: with two, a thread that goes back and forth over a magazine's edge does not go to the depot each time). A
/// magazine is known by its top; a thread that has none for a cache has <see cref="SlabLayer.NoMagazine"/>, which is full and empty at once.
/// </summary>
/// <remarks>Owner thread only, or whoever has taken the block of a dead thread. Other threads read the tops for statistics, by Volatile.</remarks>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ThreadMagazines
{
    /// <summary>Tops of the loaded magazines, by cache. First, so that the block's address and the cache's index find it.</summary>
    private fixed long _loaded[SlabLayer.MaxCaches];

    /// <summary>Tops of the previous magazines.</summary>
    private fixed long _previous[SlabLayer.MaxCaches];

    /// <summary>Objects that the next refill from slabs takes: grows from few to a whole magazine, so that a thread that needs ten takes no 255.</summary>
    private fixed byte _refill[SlabLayer.MaxCaches];

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

    /// <summary>Whether refills have grown to whole magazines.</summary>
    internal bool RefillsWhole(int cache, int capacity) => _refill[cache] >= capacity;

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
