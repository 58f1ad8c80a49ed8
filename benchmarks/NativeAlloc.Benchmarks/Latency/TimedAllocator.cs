using NativeAlloc.Benchmarks.Allocators;

namespace NativeAlloc.Benchmarks.Latency;

/// <summary>
/// An allocator of which every call is timed: for the latency columns, not for the time per operation.
/// </summary>
internal readonly unsafe struct TimedAllocator<TAllocator> : IAllocator
    where TAllocator : struct, IAllocator
{
    public static void* Alloc(nuint size)
    {
        long began = CallClock.Begin();
        void* block = TAllocator.Alloc(size);
        CallClock.End(CallKind.Alloc, began);
        return block;
    }

    public static void* AllocZeroed(nuint size)
    {
        long began = CallClock.Begin();
        void* block = TAllocator.AllocZeroed(size);
        CallClock.End(CallKind.Alloc, began);
        return block;
    }

    public static void* AlignedAlloc(nuint size, nuint alignment)
    {
        long began = CallClock.Begin();
        void* block = TAllocator.AlignedAlloc(size, alignment);
        CallClock.End(CallKind.Alloc, began);
        return block;
    }

    public static void* Realloc(void* block, nuint size)
    {
        long began = CallClock.Begin();
        block = TAllocator.Realloc(block, size);
        CallClock.End(CallKind.Realloc, began);
        return block;
    }

    public static void Free(void* block)
    {
        long began = CallClock.Begin();
        TAllocator.Free(block);
        CallClock.End(CallKind.Free, began);
    }

    public static void AlignedFree(void* block)
    {
        long began = CallClock.Begin();
        TAllocator.AlignedFree(block);
        CallClock.End(CallKind.Free, began);
    }

    public static void* AllocPages(int order)
    {
        long began = CallClock.Begin();
        void* block = TAllocator.AllocPages(order);
        CallClock.End(CallKind.Alloc, began);
        return block;
    }

    public static void FreePages(void* block, int order)
    {
        long began = CallClock.Begin();
        TAllocator.FreePages(block, order);
        CallClock.End(CallKind.Free, began);
    }

    public static void* AllocLarge(nuint size)
    {
        long began = CallClock.Begin();
        void* block = TAllocator.AllocLarge(size);
        CallClock.End(CallKind.Alloc, began);
        return block;
    }

    public static void* ReallocLarge(void* block, nuint oldSize, nuint size)
    {
        long began = CallClock.Begin();
        block = TAllocator.ReallocLarge(block, oldSize, size);
        CallClock.End(CallKind.Realloc, began);
        return block;
    }

    public static void FreeLarge(void* block, nuint size)
    {
        long began = CallClock.Begin();
        TAllocator.FreeLarge(block, size);
        CallClock.End(CallKind.Free, began);
    }

    public static void Trim() => TAllocator.Trim();

    public static void WarmUp() => TAllocator.WarmUp();

    public static IReadOnlyDictionary<string, long> ReadCounters() => TAllocator.ReadCounters();
}
