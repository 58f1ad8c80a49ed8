using NativeAlloc.Benchmarks.Heaps;

namespace NativeAlloc.Benchmarks.Latency;

/// <summary>As <see cref="TimedAllocator{TAllocator}"/>, for a heap that has no allocator behind it.</summary>
internal readonly struct TimedHeap<THeap, TBlock> : IHeap<TBlock>
    where THeap : struct, IHeap<TBlock>
    where TBlock : struct
{
    public static TBlock Alloc(uint bytes)
    {
        long began = CallClock.Begin();
        TBlock block = THeap.Alloc(bytes);
        CallClock.End(CallKind.Alloc, began);
        return block;
    }

    public static TBlock AllocZeroed(uint bytes)
    {
        long began = CallClock.Begin();
        TBlock block = THeap.AllocZeroed(bytes);
        CallClock.End(CallKind.Alloc, began);
        return block;
    }

    public static TBlock AlignedAlloc(uint bytes, uint alignment) => THeap.AlignedAlloc(bytes, alignment);

    public static TBlock Realloc(TBlock block, uint bytes)
    {
        long began = CallClock.Begin();
        block = THeap.Realloc(block, bytes);
        CallClock.End(CallKind.Realloc, began);
        return block;
    }

    public static void Free(TBlock block)
    {
        long began = CallClock.Begin();
        THeap.Free(block);
        CallClock.End(CallKind.Free, began);
    }

    public static void AlignedFree(TBlock block) => THeap.AlignedFree(block);

    public static ref byte At(TBlock block) => ref THeap.At(block);

    public static bool IsNone(TBlock block) => THeap.IsNone(block);

    public static TBlock Exchange(ref TBlock slot, TBlock block) => THeap.Exchange(ref slot, block);
}
