using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Allocators;

namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>A heap whose blocks are addresses. All of it is inlined; it adds nothing to the allocator.</summary>
internal readonly unsafe struct PointerHeap<TAllocator> : IHeap<nint>
    where TAllocator : struct, IAllocator
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static nint Alloc(uint bytes) => (nint)TAllocator.Alloc(bytes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static nint AllocZeroed(uint bytes) => (nint)TAllocator.AllocZeroed(bytes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static nint AlignedAlloc(uint bytes, uint alignment) => (nint)TAllocator.AlignedAlloc(bytes, alignment);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static nint Realloc(nint block, uint bytes) => (nint)TAllocator.Realloc((void*)block, bytes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Free(nint block) => TAllocator.Free((void*)block);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AlignedFree(nint block) => TAllocator.AlignedFree((void*)block);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ref byte At(nint block) => ref *(byte*)block;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsNone(nint block) => block == 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static nint Exchange(ref nint slot, nint block) => Interlocked.Exchange(ref slot, block);
}
