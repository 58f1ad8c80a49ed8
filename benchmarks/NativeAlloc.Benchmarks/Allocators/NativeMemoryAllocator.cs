using System.Runtime.InteropServices;

namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>What .NET offers: the C library's allocator behind <see cref="NativeMemory"/>.</summary>
internal readonly unsafe struct NativeMemoryAllocator : IAllocator
{
    public static void* Alloc(nuint size) => NativeMemory.Alloc(size);

    public static void* AllocZeroed(nuint size) => NativeMemory.AllocZeroed(size);

    public static void* AlignedAlloc(nuint size, nuint alignment) => NativeMemory.AlignedAlloc(size, alignment);

    public static void* Realloc(void* block, nuint size) => NativeMemory.Realloc(block, size);

    public static void Free(void* block) => NativeMemory.Free(block);

    public static void AlignedFree(void* block) => NativeMemory.AlignedFree(block);

    public static void* AllocPages(int order) => Alloc(IAllocator.BytesOf(order));

    public static void FreePages(void* block, int order) => Free(block);

    public static void* AllocLarge(nuint size) => Alloc(size);

    public static void* ReallocLarge(void* block, nuint oldSize, nuint size) => Realloc(block, size);

    public static void FreeLarge(void* block, nuint size) => Free(block);

    public static void Trim() => CHeap.Trim();
}
