namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>
/// An allocator under measurement. Implementations are empty structs: the JIT compiles generic code anew for every
/// struct type argument, so a measured loop calls the allocator directly, and inlines it where it can.
/// </summary>
internal unsafe interface IAllocator
{
    private static readonly Dictionary<string, long> s_noCounters = [];

    static abstract void* Alloc(nuint size);

    static abstract void* AllocZeroed(nuint size);

    static abstract void* AlignedAlloc(nuint size, nuint alignment);

    static abstract void* Realloc(void* block, nuint size);

    static abstract void Free(void* block);

    /// <summary>Frees a block of <see cref="AlignedAlloc"/>.</summary>
    static abstract void AlignedFree(void* block);

    /// <summary>
    /// A block of 2^<paramref name="order"/> pages of 64 KiB: an ordinary one of that size, unless the allocator has
    /// something of its own for whole pages.
    /// </summary>
    static abstract void* AllocPages(int order);

    /// <summary>Frees a block of <see cref="AllocPages"/>.</summary>
    static abstract void FreePages(void* block, int order);

    /// <summary>
    /// A block of a megabyte or more: an ordinary one, unless the allocator has something of its own for them.
    /// </summary>
    static abstract void* AllocLarge(nuint size);

    /// <summary>Gives a block of <see cref="AllocLarge"/> another size.</summary>
    /// <param name="block">The block, which is gone then.</param>
    /// <param name="oldSize">What it was allocated with.</param>
    /// <param name="size">What it shall have.</param>
    static abstract void* ReallocLarge(void* block, nuint oldSize, nuint size);

    /// <summary>Frees a block of <see cref="AllocLarge"/> or <see cref="ReallocLarge"/>.</summary>
    static abstract void FreeLarge(void* block, nuint size);

    /// <summary>Has the allocator give back what it keeps, if it keeps anything and can be told.</summary>
    static virtual void Trim()
    {
    }

    /// <summary>
    /// Goes through what the allocator does rarely, for the compiler's sake, where it is compiled at run time. Leaves
    /// it without memory and as a workload would find it.
    /// </summary>
    static virtual void WarmUp()
    {
    }

    /// <summary>
    /// What the allocator counts about itself, by name, since the process began. Results have these per 1000
    /// operations, so a new entry is all that a new figure needs.
    /// </summary>
    static virtual IReadOnlyDictionary<string, long> ReadCounters() => s_noCounters;

    /// <summary>What a block of <see cref="AllocPages"/> has.</summary>
    static nuint BytesOf(int order) => (nuint)PageAllocator.PageSize << order;
}
