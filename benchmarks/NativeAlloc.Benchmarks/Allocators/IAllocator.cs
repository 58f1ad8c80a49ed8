namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>
/// An allocator under measurement. Implementations are empty structs: the JIT compiles generic code anew for every
/// struct type argument, so a measured loop calls the allocator directly, and inlines it where it can.
/// </summary>
internal unsafe interface IAllocator
{
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

    /// <summary>What a block of <see cref="AllocPages"/> has.</summary>
    static nuint BytesOf(int order) => (nuint)PageAllocator.PageSize << order;
}
