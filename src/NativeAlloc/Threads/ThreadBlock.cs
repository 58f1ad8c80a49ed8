using System.Runtime.InteropServices;

namespace NativeAlloc.Threads;

/// <summary>
/// What a thread has of its own, in one piece of native memory. The layers above own a part each and know it by its
/// offset; this layer knows only who owns the whole. The slab layer comes first, so that its hottest array begins at
/// the block's address.
/// </summary>
internal static unsafe class ThreadBlock
{
    /// <summary>
    /// Bytes of a block: two system pages of 4 KiB. All parts but one are in the first, so that the second has memory
    /// only with threads that fill magazines.
    /// </summary>
    internal const int Bytes = 8192;

    /// <summary>The slab layer's part: loaded magazines first (2 KiB), then what only slow paths touch.</summary>
    internal const int SlabsOffset = 0, SlabsBytes = 2816;

    /// <summary>The page layer's part.</summary>
    internal const int PagesOffset = SlabsOffset + SlabsBytes, PagesBytes = 1216;

    /// <summary>This layer's own part, a <see cref="ThreadHeader"/>.</summary>
    internal const int HeaderOffset = PagesOffset + PagesBytes;

    /// <summary>
    /// The slab layer's other part, the previous magazines. As long as it was not written it reads as zero and has no
    /// memory.
    /// </summary>
    internal const int PreviousOffset = 4096;

    internal static ThreadHeader* HeaderOf(byte* block) => (ThreadHeader*)(block + HeaderOffset);
}

/// <summary>Who owns a thread block. Every field is written under the registry's lock.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ThreadHeader
{
    /// <summary>A weak GC handle on the owner's <see cref="Thread"/> object; 0 before the block's first use.</summary>
    public nint Owner;

    /// <summary>What the block is used for at present.</summary>
    public ThreadBlockState State;

    /// <summary>1 once the layers above have set their parts up; they stay valid from then on.</summary>
    public int Initialized;

    /// <summary>
    /// The owner's <see cref="Thread.ManagedThreadId"/>, which no other living thread has; 0 for none. Read by any
    /// thread.
    /// </summary>
    public int OwnerId;

    /// <summary>
    /// Since when it is known that no thread uses the block, by <see cref="Environment.TickCount"/>; 0 while one does.
    /// </summary>
    public uint FreeSince;
}

internal enum ThreadBlockState
{
    /// <summary>No thread has it, and its caches are empty.</summary>
    Unused = 0,

    /// <summary>
    /// A thread's own. When that thread is dead, another thread that needs a block adopts this one with its contents.
    /// </summary>
    Owned = 1,

    /// <summary>Taken from a dead thread by one that empties it.</summary>
    Draining = 2,
}
