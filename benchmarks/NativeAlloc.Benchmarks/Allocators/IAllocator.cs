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
}
