using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.Slabs;

/// <summary>
/// A cache's part on one NUMA node (<c>kmem_list3</c>): the depot that threads of the node exchange magazines with, and
/// the slabs that are cut from the node's pages.
/// </summary>
/// <remarks>
/// What threads write without a lock and what they write under it are two cache lines apart (the processor fetches
/// lines in pairs), and so are nodes and caches.
/// </remarks>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
internal struct CacheNode
{
    internal const int Bytes = 384;

    private const int LinePairBytes = 128;

    /// <summary>Magazines for threads to exchange. Any thread.</summary>
    [FieldOffset(0)] public Depot Depot;

    /// <summary>Guards the slab lists, and the frames and bitmaps of the slabs.</summary>
    [FieldOffset(LinePairBytes)] public NativeLock Lock;

    /// <summary>
    /// Times that objects were taken out of slabs and put back into them, one per batch. Written under the lock, read
    /// by any thread.
    /// </summary>
    [FieldOffset(LinePairBytes + 8)] public ulong Refills;

    /// <inheritdoc cref="Refills"/>
    [FieldOffset(LinePairBytes + 16)] public ulong Drains;

    /// <summary>Full, partial and free slabs. Under the lock.</summary>
    [FieldOffset(LinePairBytes + 24)] public NodeSlabs Slabs;

    internal void Initialize()
    {
        this = default;
        Slabs.Initialize();
    }
}
