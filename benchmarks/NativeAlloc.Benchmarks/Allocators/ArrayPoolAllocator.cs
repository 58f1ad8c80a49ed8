namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>
/// Stands for <see cref="System.Buffers.ArrayPool{T}.Shared"/> among the allocators. It has no pointers to give: the
/// heap workloads use <see cref="Heaps.ArrayPoolHeap"/> instead, which says why, and the others are not for it.
/// </summary>
internal readonly unsafe struct ArrayPoolAllocator : IAllocator
{
    public static void* Alloc(nuint size) => throw NoPointers();

    public static void* AllocZeroed(nuint size) => throw NoPointers();

    public static void* AlignedAlloc(nuint size, nuint alignment) => throw NoPointers();

    public static void* Realloc(void* block, nuint size) => throw NoPointers();

    public static void Free(void* block) => throw NoPointers();

    public static void AlignedFree(void* block) => throw NoPointers();

    public static void* AllocPages(int order) => throw NoPointers();

    public static void FreePages(void* block, int order) => throw NoPointers();

    public static void* AllocLarge(nuint size) => throw NoPointers();

    public static void* ReallocLarge(void* block, nuint oldSize, nuint size) => throw NoPointers();

    public static void FreeLarge(void* block, nuint size) => throw NoPointers();

    private static NotSupportedException NoPointers() => new("an array pool hands out arrays, not pointers");
}
