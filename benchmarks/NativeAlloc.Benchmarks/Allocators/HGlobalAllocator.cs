using System.Runtime.InteropServices;

namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>
/// The older interface, <see cref="Marshal.AllocHGlobal(nint)"/>. It knows neither zeroed nor aligned blocks: the first
/// are cleared here as its users have to, the second are borrowed from <see cref="NativeMemory"/>.
/// </summary>
internal readonly unsafe struct HGlobalAllocator : IAllocator
{
    public static void* Alloc(nuint size) => (void*)Marshal.AllocHGlobal((nint)size);

    public static void* AllocZeroed(nuint size)
    {
        void* block = (void*)Marshal.AllocHGlobal((nint)size);
        NativeMemory.Clear(block, size);
        return block;
    }

    public static void* AlignedAlloc(nuint size, nuint alignment) => NativeMemory.AlignedAlloc(size, alignment);

    public static void* Realloc(void* block, nuint size) => (void*)Marshal.ReAllocHGlobal((nint)block, (nint)size);

    public static void Free(void* block) => Marshal.FreeHGlobal((nint)block);

    public static void AlignedFree(void* block) => NativeMemory.AlignedFree(block);

    public static void* AllocPages(int order) => Alloc(IAllocator.BytesOf(order));

    public static void FreePages(void* block, int order) => Free(block);

    public static void* AllocLarge(nuint size) => Alloc(size);

    public static void* ReallocLarge(void* block, nuint oldSize, nuint size) => Realloc(block, size);

    public static void FreeLarge(void* block, nuint size) => Free(block);

    public static void Trim() => CHeap.Trim();
}
